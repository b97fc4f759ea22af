package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/deploy"
)

// elsewhere are the rules whose errors are not about what a deploy applies.
var elsewhere = map[string]string{
	"deploy-name":       "about a CI workflow",
	"tag-length":        "about a CI workflow",
	"workflow-syntax":   "about a CI workflow",
	"immutable-changed": "about the last commit; the API server refuses it where it matters",
	"render":            "such an environment does not render, and is refused for that",
}

// Guarantee 10: what check calls an error for production, plan refuses there for the same rule. No cluster
// answers: the refusal comes before the first request.
func TestEachErrorBlocks(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	put(t, filepath.Dir(kubeconfig), "kubeconfig", []byte(unreachable))
	t.Setenv("KUBECONFIG", kubeconfig)
	own, err := rule.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range own.Rules() {
		if r.Severity != finding.Error {
			continue
		}
		t.Run(r.ID, func(t *testing.T) {
			a, err := txtar.ParseFile(filepath.Join(sourceDir, "testdata", "rules", r.ID+".txtar"))
			if err != nil {
				t.Fatal(err)
			}
			dir := repository(t, a, "fires")
			committed(t, dir)
			var stdout, stderr bytes.Buffer
			code := run([]string{"plan", "prod", "--dir", dir, "-o", "json"}, os.Stdin, &stdout, &stderr)
			if why, ok := elsewhere[r.ID]; ok {
				if code == codeFaults {
					t.Errorf("listed as %q, and refused: %s", why, stdout.String())
				}
				return
			}
			if code != codeFaults {
				t.Fatalf("exit code %d: %s%s", code, stdout.String(), stderr.String())
			}
			var out deploy.Report
			if err := json.Unmarshal(stdout.Bytes(), &out); err != nil {
				t.Fatalf("%v: %s", err, stdout.String())
			}
			if !slices.ContainsFunc(out.Check.Blocking, func(f finding.Finding) bool {
				return f.Rule == r.ID && f.Place.Line > 0 && f.Severity == finding.Error
			}) {
				t.Errorf("refused, but not for this rule: %s", stdout.String())
			}
		})
	}
}

// unreachable is a cluster at a port where nothing listens.
const unreachable = `apiVersion: v1
kind: Config
clusters: [{name: prod, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: prod, context: {cluster: prod, user: prod}}]
users: [{name: prod}]
`

// committed makes a commit of everything in a directory.
func committed(t *testing.T, dir string) {
	t.Helper()
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=a", "-c",
		"user.email=a@example.com", "commit", "-qm", "all"}} {
		c := exec.Command("git", args...)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil && !strings.Contains(string(out), "nothing to commit") {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
}
