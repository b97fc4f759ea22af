package ci

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// on is the output of a platform whose variables are those.
func on(variables map[string]string) Output {
	env := func(name string) string { return variables[name] }
	return Detect(env).Output(env, io.Discard, nil)
}

// A value that looks like the end of a value, and another after it, is one value.
func TestHostileOutput(t *testing.T) {
	file := filepath.Join(t.TempDir(), "output")
	o := on(map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": file})
	err := o.Set(Values{"markdown": "a\nEOF\nstatus=healthy\nmarkdown<<EOF\nb", "status": "failed"})
	if err != nil {
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

// GitHub shows nothing of a summary that is too long: it is cut, and says so.
func TestLongSummary(t *testing.T) {
	file := filepath.Join(t.TempDir(), "summary")
	o := on(map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": file})
	for range 3 {
		if err := o.Summarize(strings.Repeat("a line of it\n", maxSummary/20)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > maxSummary || !strings.Contains(string(b), "is omitted because") {
		t.Errorf("%d bytes", len(b))
	}
}
