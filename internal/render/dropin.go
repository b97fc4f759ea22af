package render

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render/helm"
	"slipway/internal/render/kustomize"
	"slipway/internal/render/tree"
)

// DropIn is one overlay or one chart outside a project. It is rendered as `kustomize build` or
// `helm template` renders it. Its paths are relative to the current directory.
type DropIn struct {
	// Kustomize is the directory of an overlay. Empty: Chart is rendered.
	Kustomize string
	// LoadRestrictionsNone lets the overlay read files outside its directory.
	LoadRestrictionsNone bool
	Chart                project.Chart
	Helm                 helm.Options
	// Root is the directory that may be read; empty: see RootOf.
	Root string
	// Secrets decrypts what SOPS has encrypted in an overlay, which kustomize leaves as it is, and keeps
	// decrypted values of a chart, which are hidden otherwise.
	Secrets bool
	// Single takes lists apart, so that each object can be named.
	Single bool
}

// Path is what is rendered: the overlay's directory, or the chart's.
func (d DropIn) Path() string { return d.Kustomize + d.Chart.Path }

// DropInError says that an overlay or chart outside a project does not render.
type DropInError struct {
	Path string
	Err  error
}

func (e *DropInError) Error() string { return fmt.Sprintf("render %s: %v", e.Path, e.Err) }
func (e *DropInError) Unwrap() error { return e.Err }

// RenderDropIn renders an overlay or chart outside a project. It fails with a *DropInError where that does
// not render.
func RenderDropIn(ctx context.Context, d DropIn, o Options) (Output, error) {
	o.Encrypted = d.Kustomize != "" && !d.Secrets
	d.Helm.WholeLists = !d.Single
	root, err := RootOf(d.Path(), d.Root)
	if err != nil {
		return Output{}, err
	}
	r, err := Open(root, o)
	if err != nil {
		return Output{}, err
	}
	defer r.Close()
	out, err := r.dropIn(ctx, d)
	if refused := (*tree.RefusedError)(nil); errors.As(err, &refused) &&
		strings.Contains(refused.Why+refused.What, "outside") {
		err = fmt.Errorf("%w; files are read from %s and below; use --dir for another directory", err, root)
	}
	if err != nil {
		return Output{}, &DropInError{Path: d.Path(), Err: err}
	}
	if !d.Secrets {
		out.Objects = object.HideAll(out.Objects, out.Concealed)
	}
	return out, nil
}

func (r *Renderer) dropIn(ctx context.Context, d DropIn) (Output, error) {
	if d.Kustomize != "" {
		dir, err := RealPath(d.Kustomize)
		if err != nil {
			return Output{}, err
		}
		return r.Kustomize(ctx, dir, kustomize.Options{LoadRestrictionsNone: d.LoadRestrictionsNone})
	}
	c, err := withRealPaths(d.Chart)
	if err != nil {
		return Output{}, err
	}
	return r.Chart(ctx, c, d.Helm)
}

// withRealPaths returns the chart with the paths of its files as they are on disk.
func withRealPaths(c project.Chart) (project.Chart, error) {
	var errs []error
	onDisk := func(path string) string {
		found, err := RealPath(path)
		errs = append(errs, err)
		return found
	}
	c.Path = onDisk(c.Path)
	values, files := c.Values, c.SetFile
	c.Values, c.SetFile = nil, nil
	for _, v := range values {
		c.Values = append(c.Values, onDisk(v))
	}
	for _, v := range files {
		key, file, _ := strings.Cut(v, "=")
		c.SetFile = append(c.SetFile, key+"="+onDisk(file))
	}
	return c, errors.Join(errs...)
}
