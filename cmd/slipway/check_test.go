package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"slipway/internal/check"
	"slipway/internal/check/finding"
	"slipway/internal/ci"
	"slipway/internal/object"
	"slipway/internal/render/foldertest"
)

// Edits keep every byte beside them, line ends and modes included; of two that overlap one is made.
func TestFix(t *testing.T) {
	const text = "a: 1 # one\r\nb: old\r\nc:  [x,  y]\r\n"
	dir := foldertest.Of(t, map[string]string{"k/f.yaml": text, "link.yaml": "-> k/f.yaml"})
	path := filepath.Join(dir, "k", "f.yaml")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	at := func(old, new string) finding.Edit {
		start := bytes.Index([]byte(text), []byte(old))
		return finding.Edit{File: "k/f.yaml", Start: start, End: start + len(old), New: new}
	}
	findings := []finding.Finding{
		{Edits: []finding.Edit{at("1", "10"), at("[x,  y]", "[z]")}},
		{Edits: []finding.Edit{at("old", "new"), at("old", "newer"), at("x,", "w,"),
			{File: "k/f.yaml", Start: 3, End: 999}}},
	}
	var stderr bytes.Buffer
	fixed, err := finding.Fix(dir, findings)
	if err != nil {
		t.Fatal(err)
	}
	printFixed(&stderr, fixed)
	countFixed(&stderr, fixed)
	got, err := os.ReadFile(path)
	if want := "a: 10 # one\r\nb: new\r\nc:  [w,  y]\r\n"; err != nil || string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Error(info.Mode(), err)
	}
	want := "k/f.yaml:1  - a: 1  + a: 10\nk/f.yaml:2  - b: old  + b: new\nk/f.yaml:3  - c:  [x,  " +
		"y]  + c:  [w,  y]\nslipway: 3 changes made; review with `git diff`\n"
	if stderr.String() != want {
		t.Errorf("printed %s", stderr.String())
	}
	for _, file := range []string{"link.yaml", "../f.yaml", "gone.yaml"} {
		edits := []finding.Edit{{File: file, New: "x"}}
		if _, err := finding.Fix(dir, []finding.Finding{{Edits: edits}}); err == nil {
			t.Errorf("%s was changed", file)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "k", ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// What stands in a repository steers neither a terminal nor a workflow nor a table.
func TestHostileReport(t *testing.T) {
	ref := object.Ref{Kind: "Pod", Name: "a\x1b[31m"}
	r := reportPage{width: 100, Report: check.Report{Findings: []finding.Finding{{
		Rule: "r", Severity: finding.Error, Object: &ref, Message: "a\n::set-env name=X::y | z\x1b[0m",
		Fix:   "one\ntwo",
		Place: finding.Place{File: "k8s/a,line=9:b.yaml", Line: 3},
	}}}}
	var out bytes.Buffer
	printFindings(&out, r)
	if bytes.ContainsRune(out.Bytes(), '\x1b') || !bytes.Contains(out.Bytes(), []byte("    fix: one two\n")) {
		t.Errorf("text: %q", out.String())
	}
	out.Reset()
	github, _ := ci.Named("github")
	github.Output(func(string) string { return "" }, &out, nil).Annotate(reportNotes(r)...)
	if bytes.Count(out.Bytes(), []byte("\n")) != 1 || !bytes.Contains(out.Bytes(),
		[]byte(",file=k8s/a%2Cline=9%3Ab.yaml,line=3::")) {
		t.Errorf("github: %q", out.String())
	}
	out.Reset()
	if err := printMarkdown(&out, r); err != nil || bytes.Count(out.Bytes(), []byte("\n")) != 5 ||
		!bytes.Contains(out.Bytes(), []byte(`y \| z`)) {
		t.Errorf("markdown: %q", out.String())
	}
}
