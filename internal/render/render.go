// Package render makes one environment's objects from its source: Kustomize overlays, Helm charts,
// plain YAML, or what a skaffold.yaml picks of these. It runs no other program, reads nothing outside
// the project, writes nothing there, and fetches only charts from where the project file allows it.
package render

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render/helm"
	"slipway/internal/render/kustomize"
	"slipway/internal/render/sops"
	"slipway/internal/render/tree"
)

// ErrEmpty reports a source without objects, which is never a request to delete.
var ErrEmpty = errors.New("no objects")

// Error reports which environment could not be rendered.
type Error struct {
	Environment string
	Err         error
}

func (e *Error) Error() string { return fmt.Sprintf("render %s: %v", e.Environment, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// Options are the inputs of a render beside the project.
type Options struct {
	// Remotes are the addresses that charts may be fetched from.
	Remotes []string
	// Cache is a directory for fetched charts and for results. Empty: nothing is fetched and nothing is kept.
	Cache string
	// Version names the program: results of another version are not taken from the cache.
	Version string
	// Command, KubeContext and Env decide which Skaffold profiles activate automatically.
	Command, KubeContext string
	Env                  func(string) (string, bool) `json:"-"`
	// Encrypted leaves files that SOPS has encrypted as they are.
	Encrypted bool
}

// Renderer renders environments of one project. What they share is read and parsed once. It may be
// used from several goroutines.
type Renderer struct {
	options   Options
	lookup    helm.Lookup
	tree      *tree.Tree
	kustomize *kustomize.Builder
	helm      *helm.Engine
	renders   *atomic.Int64
	// partsRendered counts the parts of environments.
	partsRendered *atomic.Int64
}

// Stats count the work of a Renderer.
type Stats struct {
	// Renders is the number of environments, overlays and charts rendered, edited ones included.
	Renders int
	// Parts is the number of overlays, directories and charts rendered for environments.
	Parts int
	// Files is the number of files read. Reads is how often their text was asked for: they are equal where each
	// file was parsed once, although environments share it.
	Files, Reads int
	// Documents is the number of files parsed by tree.View.Documents, for the places in them.
	Documents int
}

// Result is what rendering an environment gives.
type Result struct {
	// Set has Kustomize's order, Helm's, or that of the files; origins are relative to the project.
	// Namespaces are left as they are written, those of charts with one of their own excepted.
	Set object.Set
	// Warnings are about what works but should be changed, each once, with its file and line where known.
	// Deprecated fields are among Losses.
	Warnings []string
	// Losses are what the source states and the tool that renders it drops silently.
	Losses []object.Loss
	// LeftOut are hooks that the project leaves out: see project.Environment.NoHooks.
	LeftOut []object.Ref
	// Unstable are the fields that differ on each render. Warnings say so too.
	Unstable []Unstable
	// Reads is everything that was read: while it does not change, neither does the result.
	Reads tree.Reads
	// Parts are what the result consists of, in order.
	Parts []*Part

	plan   plan
	owners map[object.Ref][]int // the parts that have an object
}

// Remarks are the warnings, and what is deprecated, each once.
func (r Result) Remarks() []string { return remarks(r.Losses, r.Warnings) }

func remarks(losses []object.Loss, warnings []string) []string {
	var all []string
	for _, l := range losses {
		if l.Kind == object.Deprecated {
			all = append(all, l.Origin.String()+": "+l.Text)
		}
	}
	return unique(append(all, warnings...))
}

// unique leaves out the texts that came before.
func unique(all []string) []string {
	var once []string
	for _, s := range all {
		if !slices.Contains(once, s) {
			once = append(once, s)
		}
	}
	return once
}

// Unstable is a field that differs on each render, of an object as its chart names it.
type Unstable = helm.Unstable

// Open prepares rendering from the directory dir.
func Open(dir string, o Options) (*Renderer, error) {
	decrypt := sops.Decrypt
	if o.Encrypted {
		decrypt = nil
	}
	t, err := tree.Open(dir, decrypt)
	if err != nil {
		return nil, err
	}
	return &Renderer{
		options: o, tree: t, kustomize: kustomize.New(t), renders: &atomic.Int64{}, partsRendered: &atomic.Int64{},
		helm: helm.New(helm.Config{Remotes: o.Remotes, Cache: o.Cache}),
	}, nil
}

// OpenProject prepares rendering the environments of a project.
func OpenProject(p project.Project, o Options) (*Renderer, error) {
	o.Remotes = p.Remotes
	return Open(p.Dir, o)
}

// WithLookup returns a Renderer that shares all with r and also answers lookup in templates of charts that
// ask for it. Without, lookup finds nothing.
func (r *Renderer) WithLookup(l helm.Lookup) *Renderer {
	with := *r
	with.lookup = l
	return &with
}

// Without returns a Renderer of the same project that reads files which do not exist as empty ones. It is for
// checking what renders without them: nothing that it renders may be deployed.
func (r *Renderer) Without(missing []string) (*Renderer, error) {
	t, err := r.tree.Emptied(missing)
	if err != nil {
		return nil, err
	}
	without := *r
	without.tree, without.kustomize, without.options.Version = t, kustomize.New(t), "" // nothing is cached
	return &without, nil
}

// Stats returns what has been done so far.
func (r *Renderer) Stats() Stats {
	files, reads, documents := r.tree.Counts()
	return Stats{
		Renders: int(r.renders.Load()), Parts: int(r.partsRendered.Load()),
		Files: files, Reads: reads, Documents: documents,
	}
}

// Touched is everything below the project's directory that was looked at since Open.
func (r *Renderer) Touched() []tree.Read { return r.tree.Touched() }

// Close releases the project's directory.
func (r *Renderer) Close() error { return r.tree.Close() }

// Render renders one environment. To render several, open a Renderer.
func Render(ctx context.Context, p project.Project, env project.Environment, o Options) (Result, error) {
	r, err := OpenProject(p, o)
	if err != nil {
		return Result{}, &Error{Environment: env.Name, Err: err}
	}
	defer r.Close()
	return r.Render(ctx, env)
}

// Render renders one environment. An error is an *Error.
func (r *Renderer) Render(ctx context.Context, env project.Environment) (Result, error) {
	return r.Edited(ctx, env, nil)
}

// View returns access to the project's files outside a render.
func (r *Renderer) View(ctx context.Context) *tree.View { return r.tree.View(ctx) }

// Edited renders one environment with other texts for some files, by their paths in the project.
func (r *Renderer) Edited(ctx context.Context, env project.Environment, edits map[string][]byte) (
	Result, error) {
	r.renders.Add(1)
	result, err := bounded(ctx, func(ctx context.Context) (Result, error) {
		s := source{Renderer: r, view: r.tree.Edited(ctx, edits), env: env}
		return s.render()
	})
	if err != nil {
		return Result{}, &Error{Environment: env.Name, Err: err}
	}
	return result, nil
}

// Output is what one overlay or chart renders to by itself: unlike an environment's set it may name
// an object twice, or not at all.
type Output struct {
	Objects  []object.Object
	Warnings []string
	// Concealed are decrypted values, which may be in any object.
	Concealed []string
}

// Kustomize renders an overlay as `kustomize build` does.
func (r *Renderer) Kustomize(ctx context.Context, dir string, o kustomize.Options) (Output, error) {
	r.renders.Add(1)
	return bounded(ctx, func(ctx context.Context) (Output, error) {
		v := r.tree.View(ctx)
		var warnings []string
		o.Inflate = r.inflate("", func(text string, _ *Unstable) { warnings = append(warnings, text) },
			func([]object.Loss) {})
		b, err := r.kustomize.Build(v, dir, o)
		return Output{b.Objects, remarks(b.Losses, append(b.Warnings, warnings...)), v.Secrets()}, err
	})
}

// Chart renders a chart as `helm template` does.
func (r *Renderer) Chart(ctx context.Context, c project.Chart, o helm.Options) (Output, error) {
	r.renders.Add(1)
	return bounded(ctx, func(ctx context.Context) (Output, error) {
		v := r.tree.View(ctx)
		c, err := r.within(c)
		if err != nil {
			return Output{}, err
		}
		h, err := r.helm.Render(v, c, o)
		for _, u := range h.Unstable {
			h.Warnings = append(h.Warnings, fmt.Sprintf("differs on each render: %s", u))
		}
		return Output{h.Objects, remarks(h.Losses, h.Warnings), v.Secrets()}, err
	})
}

// within returns the chart with its paths relative to the project.
func (r *Renderer) within(c project.Chart) (project.Chart, error) {
	var err error
	clean := func(p string) string {
		cleaned, cerr := r.tree.Clean(p)
		err = errors.Join(err, cerr)
		return cleaned
	}
	c.Path, c.Values, c.SetFile = clean(c.Path), slices.Clone(c.Values), slices.Clone(c.SetFile)
	for i, p := range c.Values {
		c.Values[i] = clean(p)
	}
	for i, s := range c.SetFile {
		key, p, _ := strings.Cut(s, "=")
		c.SetFile[i] = key + "=" + clean(p)
	}
	return c, err
}
