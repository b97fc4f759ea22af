package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/lazyregexp"
	"slipway/internal/object"
)

// Conflict is one field that another manager owns with another value.
type Conflict struct {
	// Field is a path such as spec.template.spec.containers[name=api].image.
	Field string
	// Manager owns the field; Subresource is set when it wrote through one, such as "scale".
	Manager, Subresource string
	// Theirs and Ours are the values, masked; nil when they are unknown.
	Theirs, Ours any
}

// ConflictError says which fields of an object other managers own.
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
	// Long enough for the tag of an image and the start of its digest.
	if r := []rune(string(data)); len(r) > 120 {
		return string(r[:119]) + "…"
	}
	return string(data)
}

// scaled says that an autoscaler owns the replicas. `kubectl scale` uses the same subresource with another
// manager: that is drift, and stays a conflict.
func (e *ConflictError) scaled() bool {
	return slices.ContainsFunc(e.Conflicts, func(c Conflict) bool {
		return c.Field == "spec.replicas" && c.Subresource == "scale" && c.Manager == "kube-controller-manager"
	})
}

var holder = lazyregexp.New(`conflict with "((?:[^"\\]|\\.)*)"(?: with subresource "([^"]*)")?`)

// conflictOf turns a 409 of server-side apply into a *ConflictError. It returns any other error unchanged.
func conflictOf(err error, live, desired object.Object) error {
	e := &ConflictError{Ref: desired.Ref(), live: live}
	theirs, ours := object.Masked(live), object.Masked(wire(desired))
	status, _ := errors.AsType[*apierrors.StatusError](err)
	if status == nil || status.ErrStatus.Details == nil {
		return err
	}
	for _, cause := range status.ErrStatus.Details.Causes {
		if cause.Type != metav1.CauseTypeFieldManagerConflict {
			continue
		}
		c := Conflict{Manager: "another manager", Theirs: valueAt(theirs.Body, cause.Field),
			Ours: valueAt(ours.Body, cause.Field)}
		if m := holder().FindStringSubmatch(cause.Message); m != nil {
			c.Manager, c.Subresource = m[1], m[2]
		}
		c.Field = strings.ReplaceAll(strings.TrimPrefix(cause.Field, "."), `"`, "")
		e.Conflicts = append(e.Conflicts, c)
	}
	if len(e.Conflicts) == 0 {
		return err
	}
	return e
}

var step = lazyregexp.New(`\.([^.\[]+)|\[([^\]]+)\]`)

// valueAt reads a field by the path of the server: .spec.containers[name="api"].image. A key with a dot
// splits into two, so its value is not found; the path still names the field.
func valueAt(v any, path string) any {
	for _, s := range step().FindAllStringSubmatch(path, -1) {
		switch x := v.(type) {
		case map[string]any:
			v = x[s[1]]
		case []any:
			v = nil
			if i := slices.IndexFunc(x, func(e any) bool { return hasKeys(e, s[2]) }); i >= 0 {
				v = x[i]
			}
		default:
			return nil
		}
	}
	return v
}

// hasKeys says whether a list element has the keys of a path: containerPort=80,protocol="TCP". A key that the
// element leaves out has its default.
func hasKeys(element any, keys string) bool {
	m, _ := element.(map[string]any)
	found := false
	for pair := range strings.SplitSeq(keys, ",") {
		k, want, _ := strings.Cut(pair, "=")
		if m[k] == nil {
			continue
		}
		if have, err := json.Marshal(m[k]); err != nil || string(have) != want {
			return false
		}
		found = true
	}
	return found
}
