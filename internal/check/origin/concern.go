package origin

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/internal/object"
)

// concern tells from what an override says whether it can change a field, without a render.
type concern struct {
	field []object.Step
	// all: every override may, because one may take values from elsewhere or match because of another, or
	// because the field has fields of its own.
	all bool
	// isName: the value may be the name of another object.
	isName bool
}

func concernOf(x experiment, p part) concern {
	steps, err := object.Steps(p.field)
	v, known := object.Value(p.Body, steps)
	_, isText := v.(string)
	c := concern{
		field: steps, all: err != nil || len(steps) == 0 || x.tangled || p.isNested(), isName: isText || !known,
	}
	c.all = c.all || slices.ContainsFunc(x.overrides, matchesLabels) || slices.ContainsFunc(x.overrides, carries)
	return c
}

// matchesLabels reports whether an override is for the objects that have certain labels or annotations.
func matchesLabels(o Override) bool {
	if o.entry == nil {
		return false
	}
	target := value(o.entry.node, "target")
	return value(target, "labelSelector") != nil || value(target, "annotationSelector") != nil
}

// carries reports whether an override takes a value from elsewhere in its object, or renames the object.
func carries(o Override) bool {
	operations := []*yaml.Node{o.node.operation()}
	if o.patch != nil {
		operations = items(resolved(o.patch.doc.Content[0]))
	}
	return slices.ContainsFunc(operations, func(op *yaml.Node) bool {
		return value(op, "from") != nil || strings.HasPrefix(text(value(op, "path")), "/metadata/name")
	})
}

// operation is a node as an operation of a JSON patch; nil: it is none.
func (n *node) operation() *yaml.Node {
	if n == nil || value(n.Node, "op") == nil {
		return nil
	}
	return n.Node
}

// may reports whether an override can change the field.
func (c concern) may(o Override) bool {
	if c.all || o.node == nil {
		return true
	}
	switch strings.ToLower(o.Kind) {
	case "images":
		return c.has("image")
	case "replicas":
		return c.has("replicas")
	case "labels", "commonlabels", "commonannotations":
		return value(o.entry.node, "fields") != nil || c.has("label", "selector", "annotation")
	case "nameprefix", "namesuffix", "namespace", "configmapgenerator", "secretgenerator":
		return c.isName
	case "operation":
		return c.operation(o.node.Node)
	case "patches", "patchesstrategicmerge", "patchesjson6902":
		if o.patch == nil {
			return true
		}
		doc := resolved(o.patch.doc.Content[0])
		if doc.Kind == yaml.SequenceNode {
			return slices.ContainsFunc(doc.Content, c.operation)
		}
		return merges(doc, c.field)
	}
	return true
}

// has reports whether a key on the way to the field has one of some words in it.
func (c concern) has(words ...string) bool {
	return slices.ContainsFunc(c.field, func(s object.Step) bool {
		key := strings.ToLower(s.Key)
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(key, w) })
	})
}

// operation reports whether an operation of a JSON patch is about the field, about what contains it, or about
// something in a list that contains it: that may move it.
func (c concern) operation(op *yaml.Node) bool {
	path := text(value(op, "path"))
	if path == "" {
		return true
	}
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	for i, key := range strings.Split(strings.TrimPrefix(path, "/"), "/") {
		if i == len(c.field) || c.field[i].Element {
			return true
		}
		if c.field[i].Key != unescape.Replace(key) {
			return false
		}
	}
	return true
}

// merges reports whether a merge patch says something of a field, of what contains it, or of a list that
// contains it.
func merges(n *yaml.Node, field []object.Step) bool {
	if n = resolved(n); n == nil || n.Kind != yaml.MappingNode || len(field) == 0 || field[0].Element {
		return true
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		if strings.HasPrefix(key, "$") || key == "<<" || key == field[0].Key && merges(n.Content[i+1], field[1:]) {
			return true
		}
	}
	return false
}
