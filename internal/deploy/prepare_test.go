package deploy

import (
	"testing"

	"slipway/internal/release"
)

func TestBefore(t *testing.T) {
	healthy := func(revision int, digest string) release.Release {
		return release.Release{Revision: revision, Status: release.Healthy, Digest: digest}
	}
	failed := func(revision int, digest string) release.Release {
		return release.Release{Revision: revision, Status: release.Failed, Digest: digest}
	}
	back := func(rel release.Release, to int) release.Release { rel.RollbackOf = to; return rel }
	found := func(rel release.Release, down int) release.Release {
		rel.Found = &release.Found{Revision: down}
		return rel
	}
	for _, test := range []struct {
		name    string
		history []release.Release
		want    int // the revision; 0: none
	}{
		{"nothing", nil, 0},
		{"only one", []release.Release{healthy(1, "a")}, 0},
		{"the one before", []release.Release{healthy(2, "b"), healthy(1, "a")}, 1},
		{"the same content is not a step back", []release.Release{healthy(3, "b"), healthy(2, "b"),
			healthy(1, "a")}, 1},
		{"the newest failed", []release.Release{failed(3, "c"), healthy(2, "b"), healthy(1, "a")}, 2},
		{"failed ones are passed over", []release.Release{healthy(3, "c"), failed(2, "b"), healthy(1, "a")}, 1},
		{"a second rollback goes further back", []release.Release{back(healthy(4, "b"), 2), healthy(3, "c"),
			healthy(2, "b"), healthy(1, "a")}, 1},
		{"a third one too", []release.Release{back(healthy(5, "b"), 4), back(healthy(4, "b"), 2), healthy(3, "c"),
			healthy(2, "b"), healthy(1, "a")}, 1},
		{"a rollback that failed goes to what ran", []release.Release{back(failed(4, "a"), 1), healthy(3, "c"),
			healthy(2, "b"), healthy(1, "a")}, 3},
		{"after an automatic one", []release.Release{back(healthy(4, "b"), 2), failed(3, "c"), healthy(2, "b"),
			healthy(1, "a")}, 1},
		{"a deploy after a rollback", []release.Release{healthy(5, "d"), back(healthy(4, "b"), 2), healthy(3, "c"),
			healthy(2, "b")}, 4},
		{"one that did not stay healthy is passed over", []release.Release{found(failed(4, "d"), 3), healthy(3, "c"),
			healthy(2, "b"), healthy(1, "a")}, 2},
		{"unless there is no other", []release.Release{found(failed(3, "d"), 2), healthy(2, "c")}, 2},
		{"what it went back to is forgotten", []release.Release{back(healthy(20, "b"), 3), healthy(19, "c")}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := 0
			if i := wayBack(test.history); i >= 0 {
				got = test.history[i].Revision
			}
			if got != test.want {
				t.Errorf("goes back to release %d, want %d", got, test.want)
			}
		})
	}
}
