package main

import (
	"fmt"
	"io"
	"strings"

	"slipway/internal/check/finding"
)

// printFixed prints the lines that edits changed. They go to stderr: the findings that are left are the
// result.
func printFixed(w io.Writer, fixed []finding.Fixed) {
	for _, f := range fixed {
		printEdit(w, f.Text, f.Edit)
	}
}

func countFixed(w io.Writer, fixed []finding.Fixed) {
	if len(fixed) == 0 {
		fmt.Fprintln(w, "slipway: no finding has a certain fix; nothing was changed")
		return
	}
	fmt.Fprintf(w, "slipway: %s made; review with `git diff`\n", count(len(fixed), "change"))
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
