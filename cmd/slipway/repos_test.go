package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/check/finding"
)

var updateRepos = flag.Bool("update", false, "write what check and compare say of testdata/repos, for review")

// Repositories as people have them, with faults among much that looks like one: what check says of each
// is kept beside it, and every line there was found true. A line that comes or goes is to be looked at
// with the eyes of the repository's owner before -update.
func TestRepositories(t *testing.T) {
	examples := filepath.Join(sourceDir, "..", "..", "examples")
	repos := filepath.Join(sourceDir, "testdata", "repos")
	for _, c := range []struct {
		dir, want string
		args      []string
		code      int
	}{
		{filepath.Join(repos, "monorepo"), "monorepo.findings", []string{"check"}, codeFaults},
		{filepath.Join(repos, "subchart"), "subchart.findings", []string{"check"}, codeFaults},
		{filepath.Join(repos, "hybrid"), "hybrid.findings", []string{"check"}, codeFaults},
		{filepath.Join(repos, "skaffold"), "skaffold.findings", []string{"check"}, codeFaults},
		{filepath.Join(repos, "copies"), "copies.findings", []string{"check"}, codeFaults},
		{filepath.Join(repos, "copies"), "copies.compare", []string{"compare", "dev", "prod"}, codeFaults},
		{filepath.Join(examples, "tutorial"), "tutorial.findings", []string{"check"}, codeFaults},
		{filepath.Join(examples, "myapp"), "myapp.findings", []string{"check", "--fail-on", "warning"}, 0},
	} {
		t.Run(c.want, func(t *testing.T) {
			// A folder of its own, of the same name: names of releases come from it.
			dir := filepath.Join(t.TempDir(), filepath.Base(c.dir))
			if err := os.CopyFS(dir, os.DirFS(c.dir)); err != nil {
				t.Fatal(err)
			}
			t.Setenv("KUBECONFIG", filepath.Join(dir, "none"))
			var stdout, stderr bytes.Buffer
			if code := run(append(c.args, "--dir", dir), os.Stdin, &stdout, &stderr); code != c.code {
				t.Errorf("exit code %d, want %d: %s", code, c.code, stderr.String())
			}
			path := filepath.Join(repos, c.want)
			if *updateRepos {
				if err := os.WriteFile(path, stdout.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), stdout.String()); diff != "" {
				t.Errorf("%s: -want +got:\n%s", c.want, diff)
			}
		})
	}
}

// The first look at a repository fits a screen of 45 lines and 100 columns, unless it has more than ten
// different faults. It hides nothing: --all prints every finding.
func TestFirstScreen(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	repos, err := filepath.Glob(filepath.Join(sourceDir, "testdata", "repos", "*", ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, repo := range repos {
		if info, err := os.Stat(repo); err != nil || !info.IsDir() {
			continue
		}
		t.Run(filepath.Base(repo), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), filepath.Base(repo))
			if err := os.CopyFS(dir, os.DirFS(repo)); err != nil {
				t.Fatal(err)
			}
			var brief, full, stderr bytes.Buffer
			run([]string{"check", "--dir", dir}, os.Stdin, &brief, &stderr)
			height, faults := 0, 0
			for line := range strings.Lines(brief.String() + stderr.String()) {
				height += 1 + (utf8.RuneCountInString(line)-2)/100
				if strings.HasPrefix(line, "    fix: ") {
					faults++
				}
			}
			if height > 45 && faults <= 10 {
				t.Errorf("%d faults take %d lines:\n%s%s", faults, height, stderr.String(), brief.String())
			}
			var report struct{ Findings []finding.Finding }
			run([]string{"check", "--dir", dir, "--all"}, os.Stdin, &full, &stderr)
			var encoded bytes.Buffer
			run([]string{"check", "--dir", dir, "-o", "json"}, os.Stdin, &encoded, &stderr)
			if err := json.Unmarshal(encoded.Bytes(), &report); err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(full.String(), "\n    fix: "); n != len(report.Findings) {
				t.Errorf("--all prints %d findings of %d", n, len(report.Findings))
			}
		})
	}
}
