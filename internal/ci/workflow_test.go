package ci_test

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/rhysd/actionlint"
	"go.yaml.in/yaml/v3"

	"slipway/internal/check/workflow"
	"slipway/internal/ci"
)

var stages = []ci.Stage{{Name: "staging", Context: "staging"},
	{Name: "prod", Context: "arn:aws:eks:eu-west-1:1:cluster/a", Production: true}}

var projects = map[string]ci.Project{
	"usual": {Name: "web", Branch: "main", Stages: stages, Builds: true,
		Registries: []string{"ghcr.io", "registry.gitlab.com"}},
	"other registry": {Name: "web", Branch: "main", Stages: stages, Builds: true, Copies: true,
		Registries: []string{"123.dkr.ecr.eu-west-1.amazonaws.com"}},
	"signed": {Name: "web", Branch: "main", Stages: stages, Builds: true,
		Registries: []string{"ghcr.io"}, Signing: ci.Keyless},
	"with a key": {Name: "web", Branch: "main", Stages: stages, Builds: true,
		Registries: []string{"ghcr.io"}, Signing: ci.Key},
	"no images": {Name: "web", Branch: "release/1.x", Stages: stages},
	"production only": {Name: "web", Branch: "main", Stages: stages[1:], Builds: true,
		Registries: []string{"ghcr.io"}},
	"a folder": {Name: "web", Directory: "services/web app", Branch: "main", Stages: stages, Builds: true},
	"gitops": {Name: "web", Branch: "main", Stages: stages, Builds: true, GitOps: true,
		Registries: []string{"ghcr.io", "registry.gitlab.com"}},
	"gitops, copies": {Name: "web", Directory: "services/web", Branch: "main", Stages: stages, Builds: true,
		GitOps: true, Copies: true, Registries: []string{"ghcr.io"}},
	"two regions": {Name: "web", Branch: "main", Builds: true, Registries: []string{"ghcr.io"},
		Stages: []ci.Stage{
			{Name: "dev.eu", Context: "x"}, {Name: "staging", Context: "y"}, {Name: "eu", Context: "z",
				Production: true}, {Name: "us", Context: "z", Production: true},
		}},
}

var (
	github, _ = ci.Named("github")
	gitlab, _ = ci.Named("gitlab")
)

func text(t *testing.T, k ci.Platform, p ci.Project) string {
	t.Helper()
	s, err := k.Workflow(p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What GitHub refuses, what actionlint finds and what slipway check finds is not in what we write.
func TestGitHubIsClean(t *testing.T) {
	linter, err := actionlint.NewLinter(io.Discard, &actionlint.LinterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range projects {
		t.Run(name, func(t *testing.T) {
			file, s := github.File(p), text(t, github, p)
			errs, err := linter.Lint(file, []byte(s), nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range errs {
				t.Errorf("actionlint: %v", e)
			}
			var environments []workflow.Environment
			for _, s := range p.Stages {
				environments = append(environments, workflow.Environment{Name: s.Name})
			}
			findings, unchecked := workflow.Read([]workflow.File{{Name: file, Text: []byte(s)}},
				workflow.Project{Environments: environments}).Check()
			for _, f := range findings {
				t.Errorf("check: %s %s: %s", f.Rule, f.Place, f.Message)
			}
			for _, u := range unchecked {
				t.Errorf("not checked: %s: %s", u.What, u.Why)
			}
		})
	}
}

// What deploys has an environment of its own and a queue; what a pull request starts has neither.
func TestGitHubRights(t *testing.T) {
	for name, p := range projects {
		t.Run(name, func(t *testing.T) {
			w, errs := actionlint.Parse([]byte(text(t, github, p)))
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			if w.Permissions == nil || w.Permissions.All != nil || len(w.Permissions.Scopes) > 0 {
				t.Error("the workflow has permissions of its own")
			}
			for id, j := range w.Jobs {
				condition := ""
				if j.If != nil {
					condition = j.If.Value
				}
				promotes := strings.HasPrefix(id, "promote-")
				deploys := strings.HasPrefix(id, "deploy-") || promotes
				if deploys && (j.Environment == nil || j.Concurrency == nil ||
					condition != "github.event_name == 'push'") {
					t.Errorf("%s: no environment, no queue, or not from a push alone (%s)", id, condition)
				}
				if j.Permissions == nil || (j.Permissions.Scopes["contents"].Value.Value == "write") != promotes {
					t.Errorf("%s: writes to the repository, or cannot", id)
				}
				foreign := slices.ContainsFunc(p.Registries, func(host string) bool { return host != "ghcr.io" })
				if j.Permissions.Scopes["id-token"] != nil != (id != "check" && (id != "build" && !promotes || foreign ||
					id == "build" && p.Signing == ci.Keyless)) {
					t.Errorf("%s: has an identity, or lacks it", id)
				}
				pull := strings.Contains(condition, "'pull_request'")
				if pull && !strings.Contains(condition, "head.repo.full_name == github.repository") {
					t.Errorf("%s: runs for forks", id)
				}
				if j.Permissions.Scopes["pull-requests"] != nil != pull {
					t.Errorf("%s: comments %v", id, !pull)
				}
			}
		})
	}
}

func TestGitLabParses(t *testing.T) {
	for name, p := range projects {
		t.Run(name, func(t *testing.T) {
			var doc struct {
				Stages []string
				Jobs   map[string]yaml.Node `yaml:",inline"`
			}
			if err := yaml.Unmarshal([]byte(text(t, gitlab, p)), &doc); err != nil {
				t.Fatal(err)
			}
			for id, node := range doc.Jobs {
				var job struct{ Stage, Extends string }
				if strings.HasPrefix(id, ".") || id == "variables" || id == "workflow" {
					continue
				}
				if err := node.Decode(&job); err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(strings.Join(doc.Stages, ","), job.Stage) || job.Stage == "" ||
					job.Extends != ".slipway" {
					t.Errorf("%s: stage %q extends %q", id, job.Stage, job.Extends)
				}
			}
		})
	}
}

// What the person wrote between the marks stays, and what they wrote elsewhere is never lost.
func TestRenew(t *testing.T) {
	p := projects["usual"]
	old := text(t, github, p)
	filled := strings.Replace(old, `SLIPWAY_URL: ""`, `SLIPWAY_URL: "https://example.com/slipway"`, 1)
	p.Branch = "trunk"
	renewed := text(t, github, p)
	got, ok := ci.Renew(filled, renewed)
	if !ok || got != strings.Replace(renewed, `SLIPWAY_URL: ""`, `SLIPWAY_URL: "https://example.com/slipway"`,
		1) {
		t.Errorf("renewed: %v\n%s", ok, got)
	}
	if got, ok := ci.Renew(got, renewed); !ok || !strings.Contains(got, "example.com") {
		t.Error("the second time it is not ours")
	}
	dropped := strings.Replace(filled, "      # FILL IN steps", "      - run: aws login\n      # FILL IN steps",
		1)
	other, without := p, p
	other.Name, without.Stages = "api", stages[1:]
	if _, ok := ci.Renew(filled, text(t, github, without)); !ok {
		t.Error("an environment without filled parts cannot be dropped")
	}
	for name, c := range map[string]struct{ old, text string }{
		"changed elsewhere": {strings.Replace(filled, "timeout-minutes: 60", "timeout-minutes: 90", 1),
			renewed},
		"not ours":              {"name: mine\n", renewed},
		"empty":                 {"", renewed},
		"another project's":     {old, text(t, github, other)},
		"a mark deleted":        {strings.Replace(filled, "# <<< yours", "", 1), renewed},
		"a part without a home": {dropped, text(t, github, without)},
		"another platform's":    {old, text(t, gitlab, p)},
	} {
		if got, ok := ci.Renew(c.old, c.text); ok {
			t.Errorf("%s: written over\n%.200s", name, got)
		}
	}
}
