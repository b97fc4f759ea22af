package origin

import (
	"cmp"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	diff "github.com/google/go-cmp/cmp"

	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render"
	"slipway/internal/render/foldertest"
)

// What explains a field when all of an environment is rendered, and all overrides are tried, explains it too
// when the other objects and the overrides that cannot concern it are left aside.
func TestNarrowed(t *testing.T) {
	asked := 0
	for _, dir := range []string{"examples/myapp", "examples/tutorial", "cmd/slipway/testdata/repos/monorepo",
		"cmd/slipway/testdata/repos/copies", "cmd/slipway/testdata/repos/hybrid"} {
		p, err := project.Open(filepath.Join(foldertest.Root(t), dir))
		if err != nil {
			t.Fatal(err)
		}
		asked += explainedAlike(t, p, 2)
	}
	for seed := range uint64(5) {
		p, err := project.Open(foldertest.Of(t, tangle(rand.New(rand.NewPCG(seed, 2)))))
		if err != nil {
			t.Fatal(err)
		}
		if asked += explainedAlike(t, p, 4); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if asked < 25 {
		t.Errorf("asked for %d fields", asked)
	}
}

// explainedAlike asks for some fields of each environment in both ways, and counts those that could be asked
// for in the narrow one.
func explainedAlike(t *testing.T, p project.Project, some int) (asked int) {
	t.Helper()
	r, err := render.Open(p.Dir, render.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, env := range p.Environments {
		x, err := newExperiment(t.Context(), r, env, Options{Budget: time.Minute})
		if err != nil {
			continue // it does not render
		}
		for _, leaf := range someLeaves(x.result.Set.Objects(), some) {
			steps, err := object.Steps(leaf.field)
			if err != nil {
				t.Fatal(err)
			}
			all := x
			all.tangled = true
			whole := explain(t.Context(), all, part{leaf.Object, leaf.field}, steps)
			n := narrowed(t.Context(), x, places{leaf.Origin: true})
			if n.renderer != x.renderer {
				asked++
			}
			narrow := explain(t.Context(), n, part{leaf.Object, leaf.field}, steps)
			if d := diff.Diff(whole, narrow); d != "" {
				t.Errorf("%s: why %s %s %s: -all objects +one:\n%s", p.Dir, env.Name, leaf.name(), leaf.field, d)
			}
		}
	}
	return asked
}

// someLeaves returns some leaves of objects, always the same ones.
func someLeaves(objects []object.Object, some int) []asked {
	var all []asked
	for _, o := range objects {
		all = append(all, leavesOf(o, o.Body, "", nil)...)
	}
	slices.SortFunc(all, func(a, b asked) int { return cmp.Compare(a.rank, b.rank) })
	return all[:min(len(all), some)]
}
