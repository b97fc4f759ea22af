package main

import (
	"fmt"
	"io"
	"strings"

	"slipway/internal/check/finding"
)

// printFixed prints the lines that edits changed. They go to stderr: the findings that are left are the
// result.
func printFixed(w io.Writer, fixed []finding.Change) {
	for _, l := range finding.LinesOf(fixed) {
		printLine(w, l)
	}
}

func countFixed(w io.Writer, fixed []finding.Change) {
	if len(fixed) == 0 {
		fmt.Fprintln(w, "slipway: no finding has a certain fix; nothing was changed")
		return
	}
	fmt.Fprintf(w, "slipway: %s made; review with `git diff`\n", count(len(fixed), "change"))
}

// printLine prints what changes in a file, on one line.
func printLine(w io.Writer, l finding.Line) {
	s := styleOf(w)
	shown := func(lines string) string { return clean(strings.ReplaceAll(lines, "\n", " ⏎ ")) }
	before := ""
	if l.Before != "" {
		before = s.red("- "+shown(l.Before)) + "  "
	}
	fmt.Fprintf(w, "%s:%d  %s%s\n", l.File, l.Line, before, s.green("+ "+shown(l.After)))
}
