package kustomize

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"sigs.k8s.io/kustomize/api/resource"

	"slipway/internal/object"
)

// Narrowed returns a Builder of the same tree whose results have no other resources than those that are
// written at some places, and generated ones. All others take part by their names and labels alone: what they
// say elsewhere is neither read nor patched, so that a patch which would fail for one of them does not fail.
//
// The resources that are left are as in a full build, unless a replacement, a var or a transformer takes
// something from another resource.
func (b *Builder) Narrowed(to func(object.Origin) bool) *Builder {
	narrowed := New(b.tree)
	narrowed.isWanted = to
	return narrowed
}

// isBystander reports whether a resource takes part by its name and labels alone. A ConfigMap or Secret never
// does: its content may be part of its name.
func (m *resources) isBystander(r *resource.Resource) bool {
	if m.isWanted == nil {
		return false
	}
	kind := r.GetKind()
	return kind != "ConfigMap" && kind != "Secret" && !m.isWanted(m.origins[r])
}

// nameAndLabels keeps of an object, or of a patch, what others may go by.
func nameAndLabels(n *yaml.Node) *yaml.Node {
	kept := *n
	kept.Content = nil
	for i := 0; i+1 < len(n.Content); i += 2 {
		if slices.Contains([]string{"apiVersion", "kind", "metadata", "$patch"}, n.Content[i].Value) {
			kept.Content = append(kept.Content, n.Content[i], n.Content[i+1])
		}
	}
	return &kept
}

// ofIdentity are the operations that change an object's metadata.
func ofIdentity(operations jsonpatch.Patch) jsonpatch.Patch {
	return slices.DeleteFunc(slices.Clone(operations), func(o jsonpatch.Operation) bool {
		path, err := o.Path()
		return err != nil || o.Kind() == "test" || !strings.HasPrefix(path, "/metadata")
	})
}
