package object

import (
	"maps"
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

// IsWithin reports whether a path, as text, is another one or lies below it. All lie below the empty one.
func IsWithin(path, above string) bool {
	rest, ok := strings.CutPrefix(path, above)
	return ok && (above == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
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

// NoPathError says that a value has nothing at a path, or that several elements of a list fit.
type NoPathError struct {
	// Known are the paths that exist at the first step that does not, or the elements that fit it.
	Known     []string
	Ambiguous bool
}

func (e *NoPathError) Error() string {
	if e.Ambiguous {
		return "several elements of a list fit"
	}
	return "no such field"
}

// Canonical returns a path as Differences writes it, with elements of lists by key where they have one. It
// fails with a *NoPathError where v does not have the path, or has it more than once.
func Canonical(v any, path []Step) (string, error) {
	text := ""
	for _, s := range path {
		s = s.on(v)
		below, ok := s.of(v)
		if !ok {
			return "", s.missing(v, text)
		}
		if s.Element {
			list := v.([]any)
			text += Elements(list)[s.index(list)]
		} else {
			text = Join(text, s.Key)
		}
		v = below
	}
	return text, nil
}

// missing is the error of a step that v, which is at a path, does not have.
func (s Step) missing(v any, at string) error {
	e := &NoPathError{}
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			e.Known = append(e.Known, Join(at, k))
		}
	case []any:
		fitting := s.fitting(v)
		e.Ambiguous = len(fitting) > 1
		for i, name := range Elements(v) {
			if !e.Ambiguous || slices.Contains(fitting, i) {
				e.Known = append(e.Known, at+name)
			}
		}
	}
	if len(e.Known) == 0 && at != "" {
		e.Known = []string{at}
	}
	return e
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
		if out[i] = s.on(v); out[i].Element {
			out[i] = Step{Element: true, Index: out[i].index(v.([]any))}
		}
		v = below
	}
	return out
}

// on returns the step as v needs it: ports.0 and /ports/0 are elements where ports is a list, and data[0] is
// a key where data is a mapping.
func (s Step) on(v any) Step {
	switch v.(type) {
	case []any:
		if i, err := strconv.Atoi(s.Key); !s.Element && err == nil && strconv.Itoa(i) == s.Key {
			return Step{Element: true, Index: i}
		}
	case map[string]any:
		if s.Element && s.Match == nil {
			return Step{Key: strconv.Itoa(s.Index)}
		}
	}
	return s
}

func (s Step) of(v any) (any, bool) {
	s = s.on(v)
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

// index is the position of the element in a list; -1: the list does not have it, or several fit.
func (s Step) index(list []any) int {
	if s.Match == nil {
		if s.Index < 0 || s.Index >= len(list) {
			return -1
		}
		return s.Index
	}
	if fitting := s.fitting(list); len(fitting) == 1 {
		return fitting[0]
	}
	return -1
}

// fitting returns the positions of the elements that have the step's keys and values.
func (s Step) fitting(list []any) (fitting []int) {
	for i, e := range list {
		m, _ := e.(map[string]any)
		has := func(key, value string) bool {
			v, ok := m[key]
			return ok && elementValue(v) == value
		}
		if s.Match != nil && s.fits(has) {
			fitting = append(fitting, i)
		}
	}
	return fitting
}

func (s Step) fits(has func(key, value string) bool) bool {
	return !slices.ContainsFunc(s.Match, func(m [2]string) bool { return !has(m[0], m[1]) })
}

// Find returns the node at a path below another, and the number of steps that exist. Where the last steps do
// not, it returns the deepest node that does. It returns the key of a mapping instead of its value, for the
// better position.
func Find(n *yaml.Node, path []Step) (found *yaml.Node, depth int) {
	found = n
	for i, s := range path {
		at, below := s.in(resolve(n))
		if at == nil {
			return found, i
		}
		found, n = at, below
	}
	return found, len(path)
}

// Node returns the value at a path below a node; nil: there is none.
func Node(n *yaml.Node, path []Step) *yaml.Node {
	for _, s := range path {
		if n == nil {
			return nil
		}
		_, n = s.in(resolve(n))
	}
	return n
}

func (s Step) in(n *yaml.Node) (at, value *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		s = s.on(map[string]any(nil))
		for i := 0; !s.Element && i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == s.Key {
				return n.Content[i], n.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		s = s.on([]any(nil))
		switch {
		case !s.Element:
		case s.Match != nil:
			return s.only(n)
		case s.Index >= 0 && s.Index < len(n.Content):
			return n.Content[s.Index], n.Content[s.Index]
		}
	}
	return nil, nil
}

// only returns the element of a list that fits, where no other does.
func (s Step) only(list *yaml.Node) (at, value *yaml.Node) {
	for _, e := range list.Content {
		e = resolve(e)
		has := func(key, value string) bool {
			_, v := Step{Key: key}.in(e)
			return v != nil && resolve(v).Value == value
		}
		if !s.fits(has) {
			continue
		}
		if at != nil {
			return nil, nil
		}
		at = e
	}
	return at, at
}

func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// Leaves calls yield with the path and the value of each field of a body that has no fields below it, in the
// order of the paths.
func Leaves(body map[string]any, yield func(path string, value any)) {
	for _, key := range slices.Sorted(maps.Keys(body)) {
		leaves(Join("", key), body[key], yield)
	}
}

func leaves(path string, v any, yield func(path string, value any)) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			leaves(Join(path, key), v[key], yield)
		}
		if len(v) > 0 {
			return
		}
	case []any:
		for i, name := range Elements(v) {
			leaves(path+name, v[i], yield)
		}
		if len(v) > 0 {
			return
		}
	}
	yield(path, v)
}
