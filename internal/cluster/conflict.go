package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/object"
)

// Conflict is one field that another manager holds with another value.
type Conflict struct {
	// Field is a path as plan writes them: spec.template.spec.containers[name=api].image
	Field string
	// Manager is who holds it; Subresource is set where it did so through one, such as "scale".
	Manager, Subresource string
	// Theirs and Ours are the values, masked; nil where they are not known.
	Theirs, Ours any
}

// ConflictError says which fields of an object others hold.
type ConflictError struct {
	Ref       object.Ref
	Conflicts []Conflict

	live object.Object
}

func (e *ConflictError) Error() string {
	texts := make([]string, len(e.Conflicts))
	for i, c := range e.Conflicts {
		texts[i] = c.String()
	}
	return fmt.Sprintf("%s: %s", e.Ref, strings.Join(texts, "; "))
}

// String prints `kubectl-edit holds spec.replicas (5, ours is 3)`.
func (c Conflict) String() string {
	by := c.Manager
	if c.Subresource != "" {
		by += " (" + c.Subresource + ")"
	}
	s := by + " holds " + c.Field
	if c.Theirs == nil && c.Ours == nil {
		return s
	}
	return s + " (" + short(c.Theirs) + ", ours is " + short(c.Ours) + ")"
}

func short(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return "another value"
	}
	// An image's tag and the start of its digest fit.
	if r := []rune(string(data)); len(r) > 120 {
		return string(r[:119]) + "…"
	}
	return string(data)
}

// scaled says that an autoscaler holds the replicas. A person with `kubectl scale` is another
// manager on the same subresource: that is drift, and stays a conflict.
func (e *ConflictError) scaled() bool {
	for _, c := range e.Conflicts {
		if c.Field == "spec.replicas" && c.Subresource == "scale" && c.Manager == "kube-controller-manager" {
			return true
		}
	}
	return false
}

var holder = regexp.MustCompile(`conflict with "((?:[^"\\]|\\.)*)"(?: with subresource "([^"]*)")?`)

// conflictOf reads the causes of a 409 of server-side apply; another 409 comes back as it is.
func conflictOf(ref object.Ref, err error, live, desired object.Object) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return err
	}
	theirs, ours := object.Masked(live), object.Masked(wire(desired))
	e := &ConflictError{Ref: ref, live: live}
	for _, cause := range status.Status().Details.Causes {
		if cause.Type != metav1.CauseTypeFieldManagerConflict {
			continue
		}
		c := Conflict{Manager: "another manager"}
		if m := holder.FindStringSubmatch(cause.Message); m != nil {
			c.Manager, c.Subresource = m[1], m[2]
		}
		steps := stepsOf(cause.Field)
		c.Field = pathOf(steps)
		c.Theirs, c.Ours = follow(theirs.Body, steps), follow(ours.Body, steps)
		e.Conflicts = append(e.Conflicts, c)
	}
	if len(e.Conflicts) == 0 {
		return err
	}
	return e
}

// step goes one deeper into a value: to a key of a map, to the element of a list that has these
// keys, or to the element at an index.
type step struct {
	key   string
	where [][2]string
	index int
}

// stepsOf reads the server's form of a path: .spec.containers[name="api"].image. A key with a dot
// in it reads as two; then no value is found, and the path still names the place.
func stepsOf(path string) []step {
	var steps []step
	for path != "" {
		if path[0] != '[' {
			path = strings.TrimPrefix(path, ".")
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			if end == 0 {
				return steps
			}
			steps = append(steps, step{key: path[:end]})
			path = path[end:]
			continue
		}
		end := strings.IndexByte(path, ']')
		if end < 0 {
			return steps
		}
		steps = append(steps, selector(path[1:end]))
		path = path[end+1:]
	}
	return steps
}

func selector(text string) step {
	if n, err := strconv.Atoi(text); err == nil {
		return step{index: n}
	}
	var s step
	for pair := range strings.SplitSeq(text, ",") {
		k, v, _ := strings.Cut(pair, "=")
		if plain, err := strconv.Unquote(v); err == nil {
			v = plain
		}
		s.where = append(s.where, [2]string{k, v})
	}
	return s
}

func pathOf(steps []step) string {
	var b strings.Builder
	for _, s := range steps {
		switch {
		case s.key != "":
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s.key)
		case s.where != nil:
			pairs := make([]string, len(s.where))
			for i, w := range s.where {
				pairs[i] = w[0] + "=" + w[1]
			}
			b.WriteString("[" + strings.Join(pairs, ",") + "]")
		default:
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		}
	}
	return b.String()
}

// follow is the value at the end of the steps, nil where there is none.
func follow(v any, steps []step) any {
	for _, s := range steps {
		switch x := v.(type) {
		case map[string]any:
			v = x[s.key]
		case []any:
			v = element(x, s)
		default:
			return nil
		}
	}
	return v
}

func element(list []any, s step) any {
	if s.where == nil {
		if s.index < len(list) {
			return list[s.index]
		}
		return nil
	}
	// Of a key that is not written, the server knows the default: a port's protocol.
	for _, defaults := range []bool{false, true} {
		for _, e := range list {
			if matches(e, s.where, defaults) {
				return e
			}
		}
	}
	return nil
}

func matches(e any, where [][2]string, defaults bool) bool {
	found := false
	for _, w := range where {
		v := e
		if w[0] != "" { // an element of a set is its own key: [="a"]
			m, ok := e.(map[string]any)
			if !ok {
				return false
			}
			if v = m[w[0]]; v == nil && defaults {
				continue
			}
		}
		if fmt.Sprint(v) != w[1] {
			return false
		}
		found = true
	}
	return found
}
