package object

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Step is one step of a field's path: the key of a mapping, or an element of a list.
type Step struct {
	Key string
	// Match are keys and values that select an element of a list. Empty: the element at Index.
	Match   [][2]string
	Index   int
	Element bool
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// Steps parses a path: spec.containers[name=api].ports[0], metadata.annotations["a.b/c"].
func Steps(path string) ([]Step, error) {
	var steps []Step
	for rest := path; rest != ""; {
		var s Step
		var err error
		if rest[0] == '[' {
			s, rest, err = bracket(rest)
		} else {
			rest = strings.TrimPrefix(rest, ".")
			end := strings.IndexAny(rest, ".[")
			if end < 0 {
				end = len(rest)
			}
			s.Key, rest = rest[:end], rest[end:]
			if !plainKey.MatchString(s.Key) {
				err = fmt.Errorf("invalid key %q", s.Key)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", path, err)
		}
		steps = append(steps, s)
	}
	return steps, nil
}

func bracket(text string) (Step, string, error) {
	if strings.HasPrefix(text, `["`) {
		quoted, err := strconv.QuotedPrefix(text[1:])
		rest, closed := strings.CutPrefix(text[1+len(quoted):], "]")
		if err != nil || !closed {
			return Step{}, "", fmt.Errorf("%s is not closed", text)
		}
		key, err := strconv.Unquote(quoted)
		return Step{Key: key}, rest, err
	}
	inside, rest, closed := strings.Cut(text[1:], "]")
	if !closed {
		return Step{}, "", fmt.Errorf("%s is not closed", text)
	}
	s := Step{Element: true}
	if i, err := strconv.Atoi(inside); err == nil {
		s.Index = i
		return s, rest, nil
	}
	for _, pair := range strings.Split(inside, ",") {
		k, v, ok := strings.Cut(pair, "=")
		if !ok {
			return Step{}, "", fmt.Errorf("[%s] is neither an index nor key=value", inside)
		}
		s.Match = append(s.Match, [2]string{k, v})
	}
	return s, rest, nil
}

// Value returns the value at a path, if there is one.
func Value(v any, path []Step) (any, bool) {
	for _, s := range path {
		var ok bool
		if v, ok = s.of(v); !ok {
			return nil, false
		}
	}
	return v, true
}

func (s Step) of(v any) (any, bool) {
	if !s.Element {
		m, _ := v.(map[string]any)
		below, ok := m[s.Key]
		return below, ok
	}
	list, _ := v.([]any)
	if s.Match == nil {
		if s.Index < 0 || s.Index >= len(list) {
			return nil, false
		}
		return list[s.Index], true
	}
	for _, e := range list {
		if s.fits(func(key string) string {
			m, _ := e.(map[string]any)
			return fmt.Sprint(m[key])
		}) {
			return e, true
		}
	}
	return nil, false
}

func (s Step) fits(value func(key string) string) bool {
	for _, m := range s.Match {
		if value(m[0]) != m[1] {
			return false
		}
	}
	return true
}

// Find returns the node at a path below another, and the number of steps that exist. Where the last steps do
// not, it returns the deepest node that does. It returns the key of a mapping instead of its value, for the
// better position.
func Find(n *yaml.Node, path []Step) (found *yaml.Node, depth int) {
	found = n
	for i, s := range path {
		for n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		at, below := s.in(n)
		if at == nil {
			return found, i
		}
		found, n = at, below
	}
	return found, len(path)
}

func (s Step) in(n *yaml.Node) (at, value *yaml.Node) {
	switch {
	case !s.Element && n.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == s.Key {
				return n.Content[i], n.Content[i+1]
			}
		}
	case s.Element && n.Kind == yaml.SequenceNode && s.Match == nil && s.Index >= 0 && s.Index < len(n.Content):
		return n.Content[s.Index], n.Content[s.Index]
	case s.Element && n.Kind == yaml.SequenceNode && s.Match != nil:
		for _, e := range n.Content {
			if s.fits(func(key string) string { return scalar(e, key) }) {
				return e, e
			}
		}
	}
	return nil, nil
}

func scalar(n *yaml.Node, key string) string {
	if _, v := (Step{Key: key}).in(n); v != nil {
		return v.Value
	}
	return ""
}
