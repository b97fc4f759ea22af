// Package object is about Kubernetes objects as values: their names and origins, ordered sets of them,
// reading and writing YAML, comparing, masking secrets, and health. It does no I/O beyond a given reader or
// writer, and knows no cluster.
package object

import (
	"cmp"
	"fmt"
	"maps"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
)

// Ref names one object. It has no version: an object that is served in two versions is still one object.
type Ref struct {
	Group     string `json:"group,omitempty"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// String returns "Deployment prod/api", or "Namespace prod" for an object without a namespace.
func (r Ref) String() string {
	if r.Namespace == "" {
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

// Compare orders by group, kind, namespace and name.
func (r Ref) Compare(o Ref) int {
	return cmp.Or(strings.Compare(r.Group, o.Group), strings.Compare(r.Kind, o.Kind),
		strings.Compare(r.Namespace, o.Namespace), strings.Compare(r.Name, o.Name))
}

// Origin is where an object is written. File is relative to the project's root; Line is 1-based. The zero
// value is an unknown origin.
type Origin struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
}

// String returns "k8s/base/deployment.yaml:3".
func (o Origin) String() string {
	switch {
	case o.File == "":
		return ""
	case o.Line == 0:
		return o.File
	}
	return fmt.Sprintf("%s:%d", o.File, o.Line)
}

// Object is one Kubernetes object. Body has the shape of decoded JSON: map[string]any, []any,
// string, int64, float64, bool and nil. It may be shared: clone an object before changing its Body.
type Object struct {
	Body   map[string]any
	Origin Origin
}

// Ref returns the object's name, from its apiVersion, kind and metadata.
func (o Object) Ref() Ref {
	group, _, found := strings.Cut(o.str("apiVersion"), "/")
	if !found {
		group = ""
	}
	return Ref{Group: group, Kind: o.str("kind"), Namespace: o.str("metadata", "namespace"),
		Name: o.str("metadata", "name")}
}

// APIVersion returns the object's apiVersion, such as "apps/v1".
func (o Object) APIVersion() string { return o.str("apiVersion") }

// Annotations returns the object's annotations, which must not be changed.
func (o Object) Annotations() map[string]any {
	m, _ := o.At("metadata", "annotations").(map[string]any)
	return m
}

// At returns the value at a path of map keys; nil: not set.
func (o Object) At(path ...string) any {
	var v any = o.Body
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[p]
	}
	return v
}

func (o Object) str(path ...string) string {
	s, _ := o.At(path...).(string)
	return s
}

// Clone returns a deep copy.
func (o Object) Clone() Object {
	return Object{Body: runtime.DeepCopyJSON(o.Body), Origin: o.Origin}
}

// Detached returns a copy whose metadata and annotations may be changed. It shares the rest with o.
func (o Object) Detached() Object {
	body := maps.Clone(o.Body)
	if metadata, ok := body["metadata"].(map[string]any); ok {
		metadata = maps.Clone(metadata)
		if annotations, ok := metadata["annotations"].(map[string]any); ok {
			metadata["annotations"] = maps.Clone(annotations)
		}
		body["metadata"] = metadata
	}
	return Object{Body: body, Origin: o.Origin}
}

// Holds are the finalizers of an object, without those by which the API server deletes its dependents.
func (o Object) Holds() []string {
	var list []string
	finalizers, _ := o.At("metadata", "finalizers").([]any)
	for _, f := range finalizers {
		if name, _ := f.(string); name != "foregroundDeletion" && name != "orphan" {
			list = append(list, name)
		}
	}
	return list
}
