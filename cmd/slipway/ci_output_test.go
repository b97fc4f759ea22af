package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A value that looks like the end of a value, and another after it, is one value.
func TestHostileOutput(t *testing.T) {
	file := filepath.Join(t.TempDir(), "output")
	t.Setenv("GITHUB_OUTPUT", file)
	if err := (githubOutput{}).set(ciValue{"markdown", "a\nEOF\nstatus=healthy\nmarkdown<<EOF\nb"},
		ciValue{"status", "failed"}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	_, end, _ := strings.Cut(lines[0], "<<")
	if len(lines) != 8 || lines[6] != end || strings.Count(string(b), end) != 2 || lines[7] != "status=failed" {
		t.Errorf("%q", lines)
	}
}

// Nothing in a plan ends the block that it stands in.
func TestFenced(t *testing.T) {
	if got := fenced("diff", "a\n````\nb"); got != "`````diff\na\n````\nb\n`````\n" {
		t.Errorf("%q", got)
	}
}

// A summary that is too long would be shown by nobody: it is cut, and says so.
func TestLongSummary(t *testing.T) {
	file := filepath.Join(t.TempDir(), "summary")
	t.Setenv("GITHUB_STEP_SUMMARY", file)
	for range 3 {
		if err := (githubOutput{}).summary(strings.Repeat("a line of it\n", maxSummary/20)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > maxSummary || !strings.Contains(string(b), "is left out here") {
		t.Errorf("%d bytes", len(b))
	}
}
