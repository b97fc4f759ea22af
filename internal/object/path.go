package object

import (
	"fmt"
	"regexp"
	"slices"
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

// Canonical returns a path as Differences writes it, with elements of lists by key where they have one. It is
// false where v has no such path.
func Canonical(v any, path []Step) (string, bool) {
	text := ""
	for _, s := range path {
		below, ok := s.of(v)
		if !ok {
			return "", false
		}
		if s.Element {
			list := v.([]any)
			text += Elements(list)[s.index(list)]
		} else {
			text = Join(text, s.Key)
		}
		v = below
	}
	return text, true
}

// Positions returns a path with elements of lists by their position in v, so that two spellings of one path
// are equal. Steps that v does not have stay as they are.
func Positions(v any, path []Step) []Step {
	out := slices.Clone(path)
	for i, s := range path {
		below, ok := s.of(v)
		if !ok {
			break
		}
		if s.Element {
			out[i] = Step{Element: true, Index: s.index(v.([]any))}
		}
		v = below
	}
	return out
}

func (s Step) of(v any) (any, bool) {
	if !s.Element {
		m, _ := v.(map[string]any)
		below, ok := m[s.Key]
		return below, ok
	}
	list, _ := v.([]any)
	if i := s.index(list); i >= 0 {
		return list[i], true
	}
	return nil, false
}

// index is the position of the element in a list; -1: the list does not have it.
func (s Step) index(list []any) int {
	if s.Match == nil {
		if s.Index < 0 || s.Index >= len(list) {
			return -1
		}
		return s.Index
	}
	return slices.IndexFunc(list, func(e any) bool {
		return s.fits(func(key string) string {
			m, _ := e.(map[string]any)
			return fmt.Sprint(m[key])
		})
	})
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
