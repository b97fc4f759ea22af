// Package kustomize builds a kustomization exactly as the kustomize build command does: the library's
// generators, transformers and filters in an order of work of its own. It reads through a tree.View alone,
// runs and fetches nothing, and knows the line that each object comes from.
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

// Options are the options of a build.
type Options struct {
	// Extra objects come before the overlay's own resources.
	Extra []object.Object
	// Inflate renders a chart of helmCharts. Without it they are refused.
	Inflate func(*tree.View, Chart) ([]object.Object, error)
	// LoadRestrictionsNone allows single files from anywhere in the tree, not only from below the
	// kustomization that names them.
	LoadRestrictionsNone bool
}

// Result is the result of a build.
type Result struct {
	// Objects are in the order in which the command prints them.
	Objects []object.Object
	// Warnings start with their file and line.
	Warnings []string
	// Losses are in the order of the steps that caused them.
	Losses []object.Loss
	// Selections are what the entries of the kustomizations were applied to, components excepted.
	Selections []Selection
}

// Builder builds overlays of one tree. A base that several of them include is read once. It may be used from
// several goroutines.
type Builder struct {
	tree    *tree.Tree
	specs   *specs
	parts   *provider.DepProvider
	filling chan struct{} // holds a value while a base is built, so that no other build does the same work
	// isWanted selects the resources that are built in full; nil: all are.
	isWanted func(object.Origin) bool

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

// errExclusive stops a build that must be repeated while no other build runs.
var errExclusive = errors.New("openapi: needs an exclusive build")

// schema guards the OpenAPI schema that kyaml keeps for the whole process: an overlay that sets its own is
// built exclusively, all others side by side.
var schema sync.RWMutex

// Build builds one overlay, which is a directory of the tree.
func (b *Builder) Build(v *tree.View, overlay string, o Options) (Result, error) {
	r, err := b.buildShared(v, overlay, o)
	if errors.Is(err, errExclusive) {
		r, err = b.buildExclusive(v, overlay, o)
	}
	return r, err
}

func (b *Builder) buildShared(v *tree.View, overlay string, o Options) (Result, error) {
	schema.RLock()
	defer schema.RUnlock()
	return run(&build{Builder: b, options: o, used: map[baseKey]bool{}}, v, overlay)
}

func (b *Builder) buildExclusive(v *tree.View, overlay string, o Options) (_ Result, err error) {
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
	return run(&build{Builder: b, options: o, exclusive: true, used: map[baseKey]bool{}}, v, overlay)
}

// run does a build.
func run(b *build, v *tree.View, overlay string) (Result, error) {
	dir, err := v.Real(overlay)
	if err != nil {
		return Result{}, err
	}
	s := &scope{view: v}
	l, err := openLayer(b, s, dir)
	if err != nil {
		return Result{}, err
	}
	if len(l.BuildMetadata) > 0 {
		l.origin = &resource.Origin{}
	}
	m := newResources()
	m.isWanted = b.isWanted
	for _, o := range b.options.Extra {
		if err := m.append(resourceOf(o), o.Origin); err != nil {
			return Result{}, err
		}
	}
	if err := accumulate(l, m); err != nil {
		return Result{}, err
	}
	if err := finish(&l.Kustomization, m); err != nil {
		return Result{}, l.top().fail(err)
	}
	r := Result{Warnings: unique(s.warnings), Losses: unique(s.losses), Selections: s.selections}
	for _, res := range m.list {
		if m.isBystander(res) {
			continue
		}
		body, err := bodyOf(res.YNode())
		if err != nil {
			return Result{}, located(m.origins[res], fmt.Errorf("%s: %w", refOf(res.CurId()), err))
		}
		r.Objects = append(r.Objects, object.Object{Body: body, Origin: m.origins[res]})
	}
	return r, nil
}

// unique drops repeated values and keeps the order.
func unique[T comparable](list []T) []T {
	seen := map[T]bool{}
	return slices.DeleteFunc(list, func(s T) bool {
		repeated := seen[s]
		seen[s] = true
		return repeated
	})
}

// finish does what is done once, after all layers.
func finish(k *types.Kustomization, m *resources) error {
	metadata := map[string]bool{}
	for _, option := range k.BuildMetadata {
		metadata[option] = true
	}
	steps := []change{
		addHashes,
		func(m *resources) error { return fixNames(m, m.specs.NameReference) },
		resolveVars,
		dropLocal,
		func(m *resources) error { return sortResources(m, k.SortOptions) },
	}
	if metadata[types.ManagedByLabelOption] {
		fs := types.FsSlice{{Path: "metadata/labels", CreateIfNotPresent: true}}
		steps = append(steps, addLabels(map[string]string{"app.kubernetes.io/managed-by": managedBy}, fs))
	}
	for _, step := range steps {
		if err := step(m); err != nil {
			return err
		}
	}
	for _, r := range m.list {
		if err := dropNotes(r, metadata); err != nil {
			return err
		}
	}
	return nil
}
