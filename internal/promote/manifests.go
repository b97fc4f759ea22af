package promote

import (
	"context"
	"errors"
	"slices"

	"go.yaml.in/yaml/v3"

	"slipway/internal/check/finding"
	"slipway/internal/image"
	"slipway/internal/object"
)

// inManifests edits every place of plain manifests that names an image.
func (w *work) inManifests(ctx context.Context, m image.Matched, pin image.Pin) (a attempt) {
	a.want = []string{pin.Reference()}
	seen := map[object.Origin]bool{}
	for _, use := range m.Uses {
		o, _ := w.set.Get(use.Ref)
		if seen[o.Origin] {
			continue
		}
		seen[o.Origin] = true
		i := slices.IndexFunc(a.files, func(f edited) bool { return f.file == o.Origin.File })
		if i < 0 {
			i = len(a.files)
			a.files = append(a.files, edited{file: o.Origin.File})
			if a.files[i].text, a.err = w.text(ctx, o.Origin.File); a.err != nil {
				return a
			}
		}
		edits, err := inObject(a.files[i], o.Origin.Line, m, pin)
		if a.files[i].edits = append(a.files[i].edits, edits...); err != nil {
			a.err = err
			return a
		}
	}
	return a
}

// inObject returns the edits of the object that begins at a line.
func inObject(f edited, line int, m image.Matched, pin image.Pin) (edits []finding.Edit, err error) {
	docs, err := documents(f.text)
	if err != nil {
		return nil, err
	}
	for _, doc := range docs {
		n := objectAt(doc, line)
		if n == nil {
			continue
		}
		for _, named := range namesIn(n, m) {
			if used := aliasOf(doc, named); used != nil {
				return nil, atLine(named, errors.New("the value of &"+named.Anchor+" is used elsewhere too"))
			}
			e := finding.Edit{File: f.file}
			if e.Start, e.End, e.New, err = (place{node: named}).replacement(f.text, pin.Reference()); err != nil {
				if e, err = unblock(f.file, f.text, named, pin.Reference()); err != nil {
					return nil, err
				}
			}
			edits = append(edits, e)
		}
	}
	if len(edits) == 0 {
		return nil, &LineError{line, errors.New("the object is generated: no place names its image")}
	}
	return edits, nil
}

// objectAt returns the mapping that begins at a line: a document, or an item of a list.
func objectAt(n *yaml.Node, line int) *yaml.Node {
	if n.Kind == yaml.MappingNode && n.Line == line {
		return n
	}
	if _, items := child(n, "items"); items != nil && items.Kind == yaml.SequenceNode {
		for _, item := range items.Content {
			if found := objectAt(item, line); found != nil {
				return found
			}
		}
	}
	return nil
}

// namesIn returns the scalars below a node that name an image, and the aliases of such scalars.
func namesIn(n *yaml.Node, m image.Matched) (found []*yaml.Node) {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			continue
		}
		key := ""
		if n.Kind == yaml.MappingNode {
			key = n.Content[i-1].Value
		}
		isImage := key == "image" || key == "reference"
		isUse := func(u image.Use) bool { return u.Reference == target(c).Value }
		if isImage && target(c).Kind == yaml.ScalarNode && slices.ContainsFunc(m.Uses, isUse) {
			found = append(found, c)
			continue
		}
		found = append(found, namesIn(c, m)...)
	}
	return found
}
