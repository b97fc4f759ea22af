package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

// cmdFailure expects that the last commands have named a cause and the place to blame. docs/failures.md has a
// row for each such line:
//
//	failure TITLE KIND/NAME CAUSE PLACE FIELD
//
// "…" stands for any text. KIND/NAME and CAUSE are on one line, PLACE and FIELD there or before the next
// empty line.
func cmdFailure(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 5 {
		ts.Fatalf("usage: failure TITLE KIND/NAME CAUSE PLACE FIELD")
	}
	kind, name, _ := strings.Cut(args[1], "/")
	first := regexp.MustCompile(`\b` + kind + ` (\S*/)?` + anyText(name) + `\b.*` + anyText(args[2]))
	place := regexp.MustCompile(`(^|[ (])` + anyText(args[3]) + `(:\d+)?([ )]|$)`)
	field := regexp.MustCompile(`(^| )` + anyText(args[4]) + `([ :]|$)`)
	paragraphs := strings.SplitSeq(ts.ReadFile("stdout")+"\n\n"+ts.ReadFile("stderr"), "\n\n")
	for text := range paragraphs {
		all := strings.Split(text, "\n")
		i := slices.IndexFunc(all, first.MatchString)
		if i >= 0 && slices.ContainsFunc(all[i:], place.MatchString) &&
			slices.ContainsFunc(all[i:], field.MatchString) {
			return
		}
	}
	ts.Fatalf("no failure of %s with the cause %q at %s (%s)", args[1], args[2], args[3], args[4])
}

// anyText is the expression for a text with "…" in it.
func anyText(text string) string {
	return strings.ReplaceAll(regexp.QuoteMeta(text), "…", ".*")
}

// argument matches an argument of a script's line, in quotes or without.
var argument = regexp.MustCompile(`'(?:[^']|'')*'|\S+`)

// TestFailureTable compares docs/failures.md with the failures that the scripts provoke. UPDATE=1 writes it.
func TestFailureTable(t *testing.T) {
	const file = "../../docs/failures.md"
	page := failurePage(t)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if diff := cmp.Diff(page, string(have)); diff != "" || err != nil {
		t.Errorf("stale: run `make failures`: %s %v", diff, err)
	}
}

func failurePage(t *testing.T) string {
	t.Helper()
	var rows []string
	paths, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts found: %v", err)
	}
	for _, path := range paths {
		rows = append(rows, failureRows(t, path)...)
	}
	slices.SortFunc(rows, func(a, b string) int {
		return strings.Compare(strings.ToLower(a), strings.ToLower(b))
	})
	return "# Failures that Slipway explains\n\n`make failures` writes this table from the scripts that provoke " +
		"each failure. Beside what the table has,\nSlipway prints the file and line that set the field, the pod, " +
		"its exit code, its events and its last log lines.\n\n" +
		"| failure | what Slipway prints | the field to blame | script |\n|---|---|---|---|\n" +
		strings.Join(slices.Compact(rows), "\n") + "\n"
}

func failureRows(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	link := fmt.Sprintf("[%s](../cmd/slipway/%s)", strings.TrimSuffix(filepath.Base(path), ".txtar"),
		filepath.ToSlash(path))
	var rows []string
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(line, "failure ") {
			continue
		}
		var args []string
		for _, arg := range argument.FindAllString(strings.TrimSpace(line), -1) {
			if strings.HasPrefix(arg, "'") {
				arg = strings.ReplaceAll(strings.Trim(arg, "'"), "''", "'")
			}
			args = append(args, strings.ReplaceAll(arg, "|", `\|`))
		}
		kind, _, _ := strings.Cut(args[2], "/")
		field := "`" + args[5] + "`"
		if args[5] == "…" {
			field = "-"
		}
		rows = append(rows, fmt.Sprintf("| %s | %s: %s | %s | %s |", args[1], kind, args[3], field, link))
	}
	return rows
}
