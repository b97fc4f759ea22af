// Package kustomize builds a kustomization exactly as the kustomize build command does, in an order of
// work of its own over the library's parts. It reads through a tree.View alone, runs and fetches
// nothing, and knows the line that each object comes from.
package kustomize

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/openapi"

	"slipway/internal/object"
	"slipway/internal/render/tree"
)

// Options are what a build may be told beside its folder.
type Options struct {
	// Extra objects stand before the overlay's own resources.
	Extra []object.Object
	// Inflate renders a chart of helmCharts. Without it they are refused.
	Inflate func(*tree.View, Chart) ([]object.Object, error)
	// LoadRestrictionsNone lets single files come from anywhere in the tree, not only from below the
	// kustomization that names them.
	LoadRestrictionsNone bool
}

// Result is what a build gives.
type Result struct {
	// Objects are in the order that the command prints them in.
	Objects []object.Object
	// Warnings are what worked but should not stay so, each with its file and line.
	Warnings []string
}

// Builder builds overlays of one tree. What several of them include is read once. It may be used from
// several goroutines.
type Builder struct {
	tree    *tree.Tree
	specs   *specs
	parts   *provider.DepProvider
	filling chan struct{} // holds one while a base is made, so that nobody makes it at the same time

	mu    sync.Mutex
	bases map[baseKey]*base
}

// New makes a Builder for a tree.
func New(t *tree.Tree) *Builder {
	return &Builder{
		tree: t, specs: defaultSpecs(), parts: provider.NewDepProvider(),
		filling: make(chan struct{}, 1), bases: map[baseKey]*base{},
	}
}

// errAlone stops a build that has to be made again with nothing beside it.
var errAlone = errors.New("openapi: needs to be built alone")

// schema guards the OpenAPI schema that kyaml keeps for the whole process: an overlay that sets its
// own is built alone, all others side by side.
var schema sync.RWMutex

// Build builds one overlay, which is a folder of the tree.
func (b *Builder) Build(v *tree.View, overlay string, o Options) (Result, error) {
	r, err := b.beside(v, overlay, o)
	if errors.Is(err, errAlone) {
		r, err = b.alone(v, overlay, o)
	}
	return r, err
}

func (b *Builder) beside(v *tree.View, overlay string, o Options) (Result, error) {
	schema.RLock()
	defer schema.RUnlock()
	return b.build(v, o, false).run(overlay)
}

func (b *Builder) alone(v *tree.View, overlay string, o Options) (_ Result, err error) {
	schema.Lock()
	defer schema.Unlock()
	openapi.ResetOpenAPI()
	defer openapi.ResetOpenAPI()
	defer func() { // the library reads the schema when it first needs it
		if v := recover(); v != nil {
			e, ok := v.(error)
			if !ok || !strings.HasPrefix(e.Error(), "invalid schema file") {
				panic(v)
			}
			err = fmt.Errorf("openapi: %w", e)
		}
	}()
	return b.build(v, o, true).run(overlay)
}

// build is one overlay being built.
type build struct {
	*Builder
	view     *tree.View
	options  Options
	alone    bool // nothing else is being built, and the schema may be set
	schema   bool // it has been
	filling  bool // this build holds Builder.filling
	private  bool // what was met last depends on more than the files of the tree
	roots    []string
	used     map[baseKey]bool
	copied   int // values of bases that were used before
	warnings []string
}

func (b *Builder) build(v *tree.View, o Options, alone bool) *build {
	return &build{Builder: b, view: v, options: o, alone: alone, used: map[baseKey]bool{}}
}

func (b *build) run(overlay string) (Result, error) {
	dir, err := b.view.Real(overlay)
	if err != nil {
		return Result{}, err
	}
	l, err := b.layer(dir)
	if err != nil {
		return Result{}, err
	}
	if len(l.k.BuildMetadata) > 0 {
		l.origin = &resource.Origin{}
	}
	p := newPile()
	for _, o := range b.options.Extra {
		if err := p.append(resourceOf(o), o.Origin); err != nil {
			return Result{}, err
		}
	}
	if err := l.accumulate(p); err != nil {
		return Result{}, err
	}
	if err := l.finish(p); err != nil {
		return Result{}, err
	}
	r := Result{Warnings: once(b.warnings)}
	for _, res := range p.list {
		body, err := bodyOf(res.YNode())
		if err != nil {
			return Result{}, located(p.origins[res], fmt.Errorf("%s: %w", refOf(res), err))
		}
		r.Objects = append(r.Objects, object.Object{Body: body, Origin: p.origins[res]})
	}
	return r, nil
}

// once leaves out what was there before.
func once(list []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(s string) bool {
		was := seen[s]
		seen[s] = true
		return was
	})
}

// finish does what is done once, when all layers are there.
func (l *layer) finish(p *pile) error {
	steps := []func() error{
		p.hash,
		func() error { return p.fixNames(p.specs.NameReference) },
		func() error { return p.resolveVars() },
		p.dropLocal,
		func() error { return l.sort(p) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return l.fail(entry{}, err)
		}
	}
	asked := map[string]bool{}
	for _, option := range l.k.BuildMetadata {
		asked[option] = true
	}
	if asked[types.ManagedByLabelOption] {
		fs := types.FsSlice{{Path: "metadata/labels", CreateIfNotPresent: true}}
		if err := p.label(map[string]string{"app.kubernetes.io/managed-by": managedBy}, fs); err != nil {
			return l.fail(entry{}, err)
		}
	}
	for _, r := range p.list {
		tidy(r, asked)
	}
	return nil
}
