package helm

import (
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
)

// TestMergeAsHelm makes up charts and values, and compares with Helm's own merging. Where a table is
// imported into itself Helm lets a null leak into it: that is about one chart in 15,000, and not wanted.
func TestMergeAsHelm(t *testing.T) {
	log.SetOutput(io.Discard) // Helm's warnings
	slog.SetDefault(slog.New(slog.DiscardHandler))
	for seed := range uint64(5000) {
		r := rand.New(rand.NewPCG(seed, 1))
		c, values := madeUp(r, "root", 0), someValues(r, 3)
		theirs, ours := copyChart(c), copyChart(c)
		var want, got map[string]any
		wantErr := chartutil.ProcessDependencies(theirs, copyOf(values))
		if wantErr == nil {
			want, wantErr = util.CoalesceValues(theirs, copyOf(values))
		}
		gotErr := settle(ours, values)
		if gotErr == nil {
			got, gotErr = merger{}.values(ours, values)
		}
		if (wantErr == nil) != (gotErr == nil) {
			t.Fatalf("seed %d: Helm says %v, and we %v", seed, wantErr, gotErr)
		}
		if wantErr != nil {
			continue
		}
		if diff := cmp.Diff(charts(theirs), charts(ours)); diff != "" {
			t.Fatalf("seed %d: charts: want - got +:\n%s", seed, diff)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d: values: want - got +:\n%s\nvalues: %v\nchart: %v", seed, diff, values, c.Values)
		}
	}
}

func charts(c *chart.Chart) []string {
	list := []string{c.ChartFullPath()}
	for _, sub := range c.Dependencies() {
		list = append(list, charts(sub)...)
	}
	return list
}

// words are few, so that things meet.
var words = []string{"a", "b", "sub0", "sub1", "alias", "global", "tags", "exports", "on"}

func madeUp(r *rand.Rand, name string, depth int) *chart.Chart {
	c := &chart.Chart{Metadata: &chart.Metadata{Name: name, Version: "1.2.3", APIVersion: "v2"},
		Values: someValues(r, 3)}
	if depth == 2 {
		return c
	}
	for i := range r.IntN(3) {
		sub := madeUp(r, fmt.Sprintf("sub%d", i), depth+1)
		c.AddDependency(sub)
		for _, alias := range [][]string{{}, {""}, {"alias"}, {"", "alias"}}[r.IntN(4)] {
			d := &chart.Dependency{Name: sub.Name(), Alias: alias, Version: []string{"^1.0.0", "1.2.3",
				"2.x"}[r.IntN(3)]}
			if r.IntN(3) == 0 {
				d.Condition = words[2+r.IntN(3)] + ".on,on"
			}
			if r.IntN(3) == 0 {
				d.Tags = []string{"a", "b"}
			}
			switch r.IntN(4) {
			case 0:
				d.ImportValues = []any{"a", map[string]any{"child": "a", "parent": "b"}}
			case 1:
				d.ImportValues = []any{map[string]any{"child": "exports", "parent": "."}}
			case 2:
				d.ImportValues = []any{"b"}
			}
			c.Metadata.Dependencies = append(c.Metadata.Dependencies, d)
		}
	}
	return c
}

func someValues(r *rand.Rand, depth int) map[string]any {
	m := map[string]any{}
	for range r.IntN(5) {
		key := words[r.IntN(len(words))]
		switch k := r.IntN(10); {
		case k < 5 && depth > 0:
			m[key] = someValues(r, depth-1)
		case k == 5:
			m[key] = nil
		case k == 6:
			m[key] = []any{"x", map[string]any{"y": nil}}
		case k == 7:
			m[key] = r.IntN(2) == 0
		default:
			m[key] = fmt.Sprint(r.IntN(1000))
		}
	}
	return m
}
