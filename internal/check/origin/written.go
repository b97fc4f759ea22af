package origin

import (
	"go.yaml.in/yaml/v3"

	"slipway/internal/check/finding"
	"slipway/internal/object"
	"slipway/internal/render/tree"
)

// written keeps the documents that objects are written in.
type written struct {
	view      *tree.View
	documents map[object.Origin]*yaml.Node
}

// nameOf returns the kind and name that an object is written with, before anything changes them.
func (w *written) nameOf(at object.Origin) (kind, name string) {
	doc, ok := w.documents[at]
	if !ok {
		doc = document(w.view, at)
		w.documents[at] = doc
	}
	return text(value(doc, "kind")), text(value(value(doc, "metadata"), "name"))
}

// Locate returns the place of a field in the document that an object is written in. Where the field is not
// written there it is the place of the deepest field that contains it, and whole is false.
func Locate(v *tree.View, at object.Origin, field string) (place finding.Place, whole bool) {
	place = finding.At(at)
	steps, err := object.Steps(field)
	if err != nil || at.Line == 0 {
		return place, false
	}
	doc := document(v, at)
	if doc == nil {
		return place, false
	}
	n, depth := object.Find(doc, steps)
	if depth == 0 {
		return place, false
	}
	return finding.Place{File: at.File, Line: n.Line, Column: n.Column}, depth == len(steps)
}

// document returns the YAML document that an object is written in; nil where it cannot be read.
func document(v *tree.View, at object.Origin) *yaml.Node {
	if at.Line == 0 {
		return nil
	}
	docs, err := v.Documents(at.File)
	if err != nil {
		return nil
	}
	var doc *yaml.Node
	for _, next := range docs {
		if len(next.Content) == 0 || next.Content[0].Line > at.Line {
			return doc
		}
		doc = next.Content[0]
	}
	return doc
}
