package main

import (
	"fmt"
	"io"
	"strings"

	"slipway/internal/check"
	"slipway/internal/check/finding"
)

// fix makes the edits of all findings, and prints the lines that changed. They go to stderr: the findings
// that are left are the result.
func fix(w io.Writer, dir string, r check.Report) error {
	fixed, err := finding.Fix(dir, r.Findings)
	for _, f := range fixed {
		printEdit(w, f.Text, f.Edit)
	}
	if err != nil {
		return err
	}
	if len(fixed) == 0 {
		fmt.Fprintln(w, "slipway: no finding has a certain fix; nothing was changed")
		return nil
	}
	fmt.Fprintf(w, "slipway: %s made; review with `git diff`\n", count(len(fixed), "change"))
	return nil
}

// printEdit prints the lines that an edit changes, on one line.
func printEdit(w io.Writer, text []byte, e finding.Edit) {
	s := styleOf(w)
	shown := func(lines string) string {
		var parts []string
		for line := range strings.Lines(lines) {
			parts = append(parts, clean(strings.TrimSpace(line)))
		}
		return strings.Join(parts, " ⏎ ")
	}
	line, before, after := e.Lines(text)
	if before == "" {
		fmt.Fprintf(w, "%s:%d  %s\n", e.File, line, s.green("+ "+shown(after)))
		return
	}
	fmt.Fprintf(w, "%s:%d  %s  %s\n", e.File, line, s.red("- "+shown(before)), s.green("+ "+shown(after)))
}
