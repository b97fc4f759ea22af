package origin

import (
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v3"

	"slipway/internal/check/finding"
	"slipway/internal/object"
	"slipway/internal/render/tree"
)

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

// placeIn is Locate for a field of an object whose lists may have other keys than the document.
func placeIn(v *tree.View, o object.Object, at object.Origin, field string) finding.Place {
	place, whole := Locate(v, at, field)
	doc := document(v, at)
	var written any
	steps, err := object.Steps(field)
	if whole || doc == nil || err != nil || doc.Decode(&written) != nil {
		return place
	}
	if n, depth := object.Find(doc, follow(o.Body, written, steps)); depth == len(steps) && depth > 0 {
		return finding.Place{File: at.File, Line: n.Line, Column: n.Column}
	}
	return place
}

// document returns the YAML mapping that an object is written as: a document, or an item of a list. It is nil
// where the object is generated, or cannot be read.
func document(v *tree.View, at object.Origin) *yaml.Node {
	if at.Line == 0 {
		return nil
	}
	docs, err := v.Documents(at.File)
	if err != nil {
		return nil
	}
	for _, doc := range docs {
		if len(doc.Content) == 0 {
			continue
		}
		if n := itemAt(resolved(doc.Content[0]), at.Line); n != nil {
			return n
		}
	}
	return nil
}

// itemAt returns an object that begins at a line: the given one, or one of its items.
func itemAt(n *yaml.Node, line int) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	if n.Line == line {
		return n
	}
	for _, item := range items(value(n, "items")) {
		if found := itemAt(resolved(item), line); found != nil {
			return found
		}
	}
	return nil
}

// written returns how the document that an object is written in spells a field's value; empty: as usual.
func written(v *tree.View, o object.Object, at object.Origin, field []object.Step, value any) string {
	doc := document(v, at)
	var body any
	if doc == nil || doc.Decode(&body) != nil {
		return ""
	}
	return object.Written(object.Node(doc, follow(o.Body, body, field)), value)
}

// written returns how an override spells the value that it gives a field; empty: as usual.
func (o Override) written(field []object.Step, value any) string {
	var n *yaml.Node
	switch {
	case o.patch != nil && o.Kind != "operation":
		root := o.patch.doc.Content[0]
		if n = object.Node(root, field); n == nil {
			n = root // a list of operations
		}
	case o.node != nil:
		n = o.node.Node
	case o.flag != nil:
		n = &yaml.Node{Kind: yaml.ScalarNode, Value: o.Text}
	}
	return object.Written(n, value)
}

// Written returns how the file that decides a field spells its value; empty: as usual.
func (r *Report) Written(ref object.Ref, field string, value any) string {
	steps, err := object.Steps(field)
	o, ok := r.Set.Get(ref)
	if err != nil || !ok {
		return ""
	}
	if because := r.Because(ref, field); len(because) > 0 {
		return because[len(because)-1].written(steps, value)
	}
	return written(r.experiment.view, o, o.Origin, steps, value)
}

// contradicts reports whether the place where a field of an object is written says something else than the
// object has, and what it says. It compares scalars only.
func contradicts(v *tree.View, o object.Object, at object.Origin, field []object.Step) (says any, ok bool) {
	is, found := object.Value(o.Body, field)
	var body any
	if doc := document(v, at); doc == nil || !found || object.IsSecret(o) || doc.Decode(&body) != nil {
		return nil, false
	}
	if says, found = object.Value(body, follow(o.Body, body, field)); !found {
		return nil, false
	}
	if written(v, o, at, field, is) != "" {
		return nil, false // yes, which kubectl reads as true
	}
	switch is.(type) {
	case string, bool: // renderers write true as a text where the field is one
		_, isText := says.(string)
		_, isBool := says.(bool)
		return says, (isText || isBool) && fmt.Sprint(says) != fmt.Sprint(is)
	case int64, float64:
		a, err := strconv.ParseFloat(fmt.Sprint(says), 64)
		b, _ := strconv.ParseFloat(fmt.Sprint(is), 64)
		return says, err == nil && a != b
	}
	return nil, false
}
