package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/project"
)

// ordinary is what each of the little repositories has where its file does not say otherwise.
var ordinary = map[string]string{
	"slipway.yaml": "project: app\nenvironments: {prod: {path: k8s, class: production, namespace: prod}}\n",
	"k8s/api.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  replicas: 2
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec: {containers: [{name: api, image: ghcr.io/acme/api:1.2.3, ports: [{name: http, containerPort: 8080}]}]}
`,
}

// Each rule has a file in testdata/rules with two repositories: one that breaks it, at the lines at the
// top of the file and nowhere else, and one that looks alike and does not.
func TestEachRule(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	own, err := rule.Load()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(sourceDir, "testdata", "rules")
	files, err := filepath.Glob(filepath.Join(folder, "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range own.Rules() {
		file := filepath.Join(folder, r.ID+".txtar")
		t.Run(r.ID, func(t *testing.T) { eachRule(t, r, file) })
		files = slices.DeleteFunc(files, func(f string) bool { return f == file })
	}
	for _, f := range files {
		t.Errorf("%s: no rule has that name", f)
	}
}

func eachRule(t *testing.T, r finding.Rule, file string) {
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatalf("the rule is not shown: %v", err)
	}
	var want []string
	for line := range strings.Lines(string(a.Comment)) {
		if severity, place, _ := strings.Cut(strings.TrimSpace(line), " "); severity == "error" ||
			severity == "warning" {
			want = append(want, severity+" "+place)
		}
	}
	if len(want) == 0 {
		t.Fatal("the file does not begin with what is to be found: SEVERITY FILE:LINE")
	}
	if diff := cmp.Diff(want, found(t, r, repository(t, a, "fires"))); diff != "" {
		t.Errorf("fires: -want +got:\n%s", diff)
	}
	if got := found(t, r, repository(t, a, "alike")); got != nil {
		t.Errorf("alike: %v", got)
	}
	if !r.Holds(project.Local) {
		dir := repository(t, a, "fires")
		edit(t, filepath.Join(dir, "slipway.yaml"), "class: production", "class: local")
		if got := found(t, r, dir); got != nil {
			t.Errorf("on a laptop: %v", got)
		}
	}
}

// repository is what the archive has below a name, with what it has beside that. What is below "past"
// is in the last commit.
func repository(t *testing.T, a *txtar.Archive, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "app")
	for file, text := range ordinary {
		put(t, dir, file, []byte(text))
	}
	layer := func(name string) (written bool) {
		for _, f := range a.Files {
			top, rest, _ := strings.Cut(f.Name, "/")
			switch {
			case top == name:
				put(t, dir, rest, f.Data)
				written = true
			case name == "" && top != "fires" && top != "alike" && top != "past":
				put(t, dir, f.Name, f.Data)
			}
		}
		return written
	}
	layer("")
	if layer("past") {
		for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=a", "-c",
			"user.email=a@example.com", "commit", "-qm", "first"}} {
			c := exec.Command("git", args...)
			c.Dir = dir
			if out, err := c.CombinedOutput(); err != nil {
				t.Fatalf("git %v: %v: %s", args, err, out)
			}
		}
	}
	if !layer(name) {
		t.Fatalf("repository %s does not exist", name)
	}
	return dir
}

func put(t *testing.T, dir, name string, text []byte) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

func edit(t *testing.T, path, old, new string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.ReplaceAll(text, []byte(old), []byte(new)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// found are the places at which slipway check finds a rule broken.
func found(t *testing.T, r finding.Rule, dir string) []string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run([]string{"check", "--dir", dir, "-o", "json"}, os.Stdin, &stdout, &stderr)
	if code != 0 && code != codeFaults {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	var report struct{ Findings []finding.Finding }
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
		t.Fatalf("%v: %s", err, stdout.String())
	}
	var places []string
	for _, f := range report.Findings {
		if f.Rule == "render" && r.ID != "render" {
			t.Fatalf("%s: %s", f.Place, f.Message)
		}
		if f.Rule == r.ID {
			places = append(places, fmt.Sprintf("%s %s", f.Severity, finding.Place{File: f.Place.File,
				Line: f.Place.Line}))
		}
	}
	return places
}
