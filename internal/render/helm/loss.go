package helm

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"

	"slipway/internal/object"
)

// ignoredNulls are the nulls in the values.yaml of charts that do not remove the values of the charts within.
func ignoredNulls(r *release, top *chart.Chart, values common.Values) []object.Loss {
	var losses []object.Loss
	var visit func(c *chart.Chart, at []string)
	visit = func(c *chart.Chart, at []string) {
		var doc yaml.Node
		for _, f := range c.Raw {
			if f.Name != "values.yaml" || len(c.Dependencies()) == 0 || yaml.Unmarshal(f.Data, &doc) != nil ||
				len(doc.Content) == 0 {
				continue
			}
			for _, sub := range c.Dependencies() {
				eachNull(valueOf(doc.Content[0], sub.Name()), []string{sub.Name()}, func(key *yaml.Node, path []string) {
					all := append(at[:len(at):len(at)], path...)
					left, _ := lookUp(values, all)
					_, given := lookUp(r.values, all)
					if above, _ := lookUp(top.Values, all); left == nil || given || above != nil {
						return
					}
					losses = append(losses, object.Loss{
						Kind: object.IgnoredNull, Origin: object.Origin{File: r.origins[f], Line: key.Line},
						Text: fmt.Sprintf("%s: null does not remove the default of chart %s, which stays",
							strings.Join(path, "."), sub.Name()),
					})
				})
			}
		}
		for _, sub := range c.Dependencies() {
			visit(sub, append(at[:len(at):len(at)], sub.Name()))
		}
	}
	visit(top, nil)
	return losses
}

// eachNull visits the keys below a node whose value is null.
func eachNull(n *yaml.Node, at []string, visit func(key *yaml.Node, path []string)) {
	if n == nil || n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, v := n.Content[i], n.Content[i+1]
		path := append(at[:len(at):len(at)], key.Value)
		if v.ShortTag() == "!!null" {
			visit(key, path)
		}
		eachNull(v, path, visit)
	}
}

func valueOf(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// lookUp returns the value at a path, and whether the path exists.
func lookUp(values map[string]any, path []string) (any, bool) {
	v, ok := values[path[0]]
	if len(path) == 1 || !ok {
		return v, ok
	}
	switch below := v.(type) {
	case map[string]any:
		return lookUp(below, path[1:])
	case common.Values:
		return lookUp(below, path[1:])
	}
	return nil, false
}
