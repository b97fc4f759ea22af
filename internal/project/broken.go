package project

import (
	"fmt"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
)

// broken are the charts and kustomizations that cannot be read, with the reason: detection knows nothing of
// what they name.
func (l layout) broken() []string {
	var all []string
	for _, dir := range l.dirs {
		if isBeside(dir) {
			continue
		}
		for _, name := range append([]string{"Chart.yaml"}, kustomizations...) {
			if file := path.Join(dir, name); l.file(file) {
				if why := whyBroken(l.text(file)); why != "" {
					all = append(all, file+why)
				}
			}
		}
	}
	if n := len(all); n > 3 {
		all = append(all[:2:2], fmt.Sprintf("%d more", n-2))
	}
	return all
}

// whyBroken is ":3: the reason" of a text that is not a YAML mapping; empty for a mapping.
func whyBroken(text []byte) string {
	var doc yaml.Node
	err := yaml.Unmarshal(text, &doc)
	switch {
	case text == nil:
		return ": it cannot be opened"
	case err == nil && len(doc.Content) > 0 && doc.Content[0].Kind != yaml.MappingNode:
		return fmt.Sprintf(":%d: not a mapping", doc.Content[0].Line)
	case err == nil:
		return ""
	}
	line, reason := syntaxError(err)
	return fmt.Sprintf(":%d: %s", line, strings.TrimSpace(strings.ReplaceAll(reason, "\n", " ")))
}
