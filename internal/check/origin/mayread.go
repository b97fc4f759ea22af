package origin

import (
	"context"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"

	"slipway/internal/project"
	"slipway/internal/render"
	"slipway/internal/render/tree"
)

// MayRead reports whether an environment that does not render may read a file: one of its kustomizations
// names the file, or it belongs to one of its charts. It is true where that cannot be known.
func MayRead(ctx context.Context, r *render.Renderer, env project.Environment, file string) bool {
	named, err := r.Named(ctx, env)
	if err != nil {
		return true
	}
	w := walk{view: r.View(ctx), file: file, seen: map[string]bool{}}
	return slices.ContainsFunc(named, w.reaches)
}

// walk follows the paths that kustomizations name, to a file.
type walk struct {
	view *tree.View
	file string
	seen map[string]bool
}

// reaches reports whether a file or directory is, contains or leads to the file.
func (w walk) reaches(name string) bool {
	if w.seen[name] {
		return false
	}
	w.seen[name] = true
	if name == w.file {
		return true
	}
	if !w.view.IsDirectory(name) {
		return false
	}
	for _, base := range konfig.RecognizedKustomizationFileNames() {
		kustomization := path.Join(name, base)
		if !w.view.IsFile(kustomization) {
			continue
		}
		docs, err := w.view.Documents(kustomization)
		names := func(n *yaml.Node) bool { return w.names(n, name) }
		return err != nil || kustomization == w.file || slices.ContainsFunc(docs, names)
	}
	return strings.HasPrefix(w.file, name+"/")
}

// names reports whether a text below a node is a path that leads to the file.
func (w walk) names(n *yaml.Node, dir string) bool {
	if n.Kind != yaml.ScalarNode {
		return slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return w.names(c, dir) })
	}
	_, below, _ := strings.Cut(n.Value, "=") // key=file
	for _, text := range []string{n.Value, below} {
		if text == "" || strings.ContainsAny(text, "\n") || path.IsAbs(text) {
			continue
		}
		if real, err := w.view.Real(path.Join(dir, text)); err == nil && real != dir && w.reaches(real) {
			return true
		}
	}
	return false
}
