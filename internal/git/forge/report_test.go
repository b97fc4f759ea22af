package forge_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/git/forge"
	"slipway/internal/git/forge/forgetest"
)

const (
	repository = "https://forge.example/acme/shop.git"
	commitOne  = "1111111111111111111111111111111111111111"
	commitTwo  = "2222222222222222222222222222222222222222"
)

// words are the kind's own for states that mean the same.
var words = map[string]map[string]string{
	forge.GitHub: {"good": "success", "bad": "failure", "waits": "pending"},
	forge.GitLab: {"good": "success", "bad": "failed", "waits": "running"},
	forge.Gitea:  {"good": "success", "bad": "failure", "waits": "pending"},
}

func TestChecks(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			server, f := newForge(t, kind)
			for i := range 60 {
				server.AddCheck(forgetest.Check{Commit: commitOne, Name: fmt.Sprint("c", i), State: "success"})
			}
			server.AddCheck(forgetest.Check{Commit: commitOne, Name: "bad", State: words[kind]["bad"]})
			server.AddCheck(forgetest.Check{Commit: commitOne, Name: "waits", State: words[kind]["waits"]})
			server.AddCheck(forgetest.Check{Commit: commitTwo, Name: "of another", State: "success"})
			if kind == forge.GitHub {
				server.AddCheck(forgetest.Check{Commit: commitOne, Name: "run", State: "success", Run: true})
				server.AddCheck(forgetest.Check{Commit: commitOne, Name: "runs", State: "in_progress", Run: true})
				server.AddCheck(forgetest.Check{Commit: commitOne, Name: "skips", State: "skipped", Run: true})
			}
			all, err := f.Checks(t.Context(), repository, commitOne)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, c := range all {
				got[c.Name] = c.State
				if c.Time.IsZero() {
					t.Errorf("%s has no time", c.Name)
				}
			}
			want := map[string]string{"bad": forge.Failed, "waits": forge.Pending}
			for i := range 60 {
				want[fmt.Sprint("c", i)] = forge.Passed
			}
			if kind == forge.GitHub {
				want["run"], want["runs"], want["skips"] = forge.Passed, forge.Pending, forge.Failed
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestVerdicts(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			server, f := newForge(t, kind)
			v := forge.Verdict{
				Commit: commitOne, Environment: "prod", Healthy: true, Branch: "main", Production: true,
				Text: "release 3 " + strings.Repeat("ü", 200),
			}
			say := func() {
				t.Helper()
				if err := f.SetStatus(t.Context(), repository, v); err != nil {
					t.Error(err)
				}
				if kind == forge.Gitea {
					if err := f.SetDeployment(t.Context(), repository, v); err == nil {
						t.Error("Gitea has no deployments")
					}
				} else if err := f.SetDeployment(t.Context(), repository, v); err != nil {
					t.Error(err)
				}
			}
			say()
			say() // by an agent that was started again
			v.Healthy, v.Text = false, "not healthy"
			say()
			v.Commit, v.Healthy = commitTwo, true
			say()
			good, bad := words[kind]["good"], words[kind]["bad"]
			var got []string
			for _, c := range server.Checks() {
				got = append(got, c.Commit[:1]+" "+c.Name+" "+c.State)
			}
			if want := []string{"1 slipway/prod " + bad, "2 slipway/prod " + good}; !slices.Equal(got, want) {
				t.Errorf("statuses %q, want %q", got, want)
			}
			want := []forgetest.Deployment{
				{ID: 700, Commit: commitOne, Environment: "prod", States: []string{good, good, bad}},
				{ID: 701, Commit: commitTwo, Environment: "prod", States: []string{good}},
			}
			if kind == forge.Gitea {
				want = nil
			}
			if diff := cmp.Diff(want, server.Deployments()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// There is one comment of a mark, among those of people, and it is edited only where it differs.
func TestComment(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			server, f := newForge(t, kind)
			server.AddComment(8, "<!-- slipway plan prod -->\non another pull request")
			for i := range 60 {
				server.AddComment(7, fmt.Sprint("by a person ", i))
			}
			for _, text := range []string{"one\n", "one\n", "two\n", strings.Repeat("ü", 80_000)} {
				if err := f.Comment(t.Context(), repository, 7, "slipway plan prod", text); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.Comment(t.Context(), repository, 7, "slipway plan staging", "other"); err != nil {
				t.Fatal(err)
			}
			all := server.Comments()
			if len(all) != 63 {
				t.Fatalf("%d comments", len(all))
			}
			c := all[61]
			if !strings.HasPrefix(c.Body, "<!-- slipway plan prod -->\nüüü") || c.Edits != 2 ||
				!strings.HasSuffix(c.Body, "The rest does not fit into a comment.\n") {
				t.Errorf("%d edits of %.60q", c.Edits, c.Body)
			}
		})
	}
}

func TestLabels(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			server, f := newForge(t, kind)
			server.Add("acme/shop", forgetest.Pull{Branch: "a", Into: "main", Labels: []string{"preview", "x"}})
			server.Add("acme/shop", forgetest.Pull{Branch: "b", Into: "main"})
			all, err := f.Pulls(t.Context(), repository, "main")
			if err != nil || len(all) != 2 {
				t.Fatal(all, err)
			}
			if !slices.Equal(all[0].Labels, []string{"preview", "x"}) || len(all[1].Labels) > 0 {
				t.Errorf("labels %q and %q", all[0].Labels, all[1].Labels)
			}
		})
	}
}
