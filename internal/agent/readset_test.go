package agent

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"slipway/internal/cluster/sandboxtest"
	"slipway/internal/git"
	"slipway/internal/render/tree"
)

const configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {a: %q}\n"

// In a repository of 1,000 applications, a change of one renders that one.
func TestOneChangeRendersOne(t *testing.T) {
	place, repo := sandboxtest.NewPlace(t), newRepository(t)
	var project, config strings.Builder
	project.WriteString("project: shop\nenvironments:\n")
	fmt.Fprintf(&config, "repositories:\n- url: %s\n  interval: 200ms\n  environments:\n", repo.url)
	const followed = 12
	for i := range 1000 {
		name := fmt.Sprintf("app%d", i)
		fmt.Fprintf(&project, "  %s: {path: apps/%s}\n", name, name)
		repo.write("apps/"+name+"/x.yaml", fmt.Sprintf(configMap, name, "1"))
		if i < followed {
			fmt.Fprintf(&config, "    %s: {context: test}\n", name)
		}
	}
	repo.write("slipway.yaml", project.String())
	repo.push()
	agent := start(t, place.Kubeconfig, config.String())
	agent.says(t, "is release 1, healthy", followed)
	renders := func() map[string]int {
		agent.counters.mu.Lock()
		defer agent.counters.mu.Unlock()
		return maps.Clone(agent.counters.renders)
	}
	before := renders()

	repo.write("apps/app7/x.yaml", fmt.Sprintf(configMap, "app7", "2"))
	commit := repo.push()
	agent.says(t, "is release 2, healthy", 1)
	agent.says(t, "commit "+short(commit)+" changes nothing in app", followed-1)
	for name, n := range renders() {
		if want := before[name] + map[bool]int{true: 1}[name == "app7"]; n != want {
			t.Errorf("%s was rendered %d times, not %d", name, n, want)
		}
	}
	for _, s := range agent.Statuses() {
		if isNew := s.Environment == "app7"; s.Seen != commit || (s.Applied == commit) != isNew {
			t.Errorf("%+v", s)
		}
	}

	// First an application that no environment follows, then the project file, which all environments use.
	before = renders()
	repo.write("apps/app500/x.yaml", fmt.Sprintf(configMap, "app500", "2"))
	repo.write("apps/app500/kustomization.yaml", "resources: [x.yaml]\n")
	commit = repo.push()
	agent.says(t, "commit "+short(commit)+" changes nothing in app", followed)
	if now := renders(); !maps.Equal(now, before) {
		t.Errorf("rendered after a change of another application: %v, before %v", now, before)
	}
	repo.write("slipway.yaml", project.String()+"# a comment\n")
	commit = repo.push()
	agent.says(t, "commit "+short(commit)+" changes nothing in app", followed)
	for name, n := range renders() {
		if n != before[name]+1 {
			t.Errorf("%s was not rendered again after a change of the project file", name)
		}
	}
}

// The key changes with each byte, name, kind and link that was looked at, and with nothing else
// (argoproj/argo-cd#26530, #29766).
func TestKey(t *testing.T) {
	list := func(change ...git.Entry) *snapshot {
		all := map[string]git.Entry{}
		for _, e := range append([]git.Entry{
			{Mode: git.ModeDirectory, Hash: "t1", Path: "p"}, {Mode: git.ModeDirectory, Hash: "t2", Path: "p/d"},
			{Mode: "100644", Hash: "1", Path: "p/a"}, {Mode: "100644", Hash: "2", Path: "p/d/b"},
			{Mode: "100644", Hash: "3", Path: "p/unseen"},
		}, change...) {
			all[e.Path] = e
		}
		s := &snapshot{entries: map[string]git.Entry{}, children: map[string][]string{}}
		for path, e := range all {
			if e.Mode == "" {
				continue
			}
			s.entries[path] = e
			dir, name, found := cutLast(path)
			if !found {
				dir = "."
			}
			s.children[dir] = append(s.children[dir], name)
		}
		return s
	}
	reads := []tree.Read{{Kind: tree.File, Path: "a"}, {Kind: tree.Directory, Path: "d"},
		{Kind: tree.Nothing, Path: "missing"}, {Kind: tree.Nothing, Path: "d"}, {Kind: tree.File, Path: "../up"}}
	before := list().key("p", reads)
	for name, c := range map[string]struct {
		change git.Entry
		same   bool
	}{
		"text":                {git.Entry{Mode: "100644", Hash: "9", Path: "p/a"}, false},
		"mode":                {git.Entry{Mode: "120000", Hash: "1", Path: "p/a"}, false},
		"gone":                {git.Entry{Path: "p/a"}, false},
		"a file in a list":    {git.Entry{Mode: "100644", Hash: "9", Path: "p/d/c"}, false},
		"gone from a list":    {git.Entry{Path: "p/d/b"}, false},
		"missing comes":       {git.Entry{Mode: "100644", Hash: "9", Path: "p/missing"}, false},
		"above comes":         {git.Entry{Mode: "100644", Hash: "9", Path: "up"}, false},
		"unseen":              {git.Entry{Mode: "100644", Hash: "9", Path: "p/unseen"}, true},
		"listed, not read":    {git.Entry{Mode: "100644", Hash: "9", Path: "p/d/b"}, true},
		"beside the project":  {git.Entry{Mode: "100644", Hash: "9", Path: "q"}, true},
		"the tree of a list":  {git.Entry{Mode: git.ModeDirectory, Hash: "9", Path: "p/d"}, true},
		"a listed link comes": {git.Entry{Mode: git.ModeLink, Hash: "9", Path: "p/d/l"}, false},
	} {
		if same := list(c.change).key("p", reads) == before; same != c.same {
			t.Errorf("%s: same %t", name, same)
		}
	}
}

func cutLast(path string) (dir, name string, found bool) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:], i >= 0
}
