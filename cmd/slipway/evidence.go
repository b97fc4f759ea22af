package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"slipway/internal/deploy"
	"slipway/internal/rollout"
)

// printEvidence shows why a release failed.
func printEvidence(w io.Writer, e deploy.Event) {
	s := styleOf(w)
	if len(e.Evidence) == 0 {
		fmt.Fprintln(w, s.red("  ✗ "+brief(oneLine(e.Message))))
		return
	}
	for _, f := range e.Evidence {
		fmt.Fprintf(w, "\n%s  %s\n", s.red("✗ "+f.Ref.String()), s.bold(brief(f.Cause)))
		for _, l := range evidenceLines(f) {
			fmt.Fprintln(w, "    "+brief(l))
		}
	}
	fmt.Fprintln(w)
}

// evidenceLines are the details of one piece of evidence, without repetitions.
func evidenceLines(f rollout.Evidence) []string {
	var lines []string
	if at := f.Origin.String(); at != "" {
		lines = append(lines, strings.TrimSpace("written at "+at+"  "+f.Field))
	}
	if f.Pod != "" {
		lines = append(lines, podLine(f))
	}
	if f.Message != "" {
		lines = append(lines, oneLine(f.Message))
	}
	for _, e := range f.FurtherEvents() {
		lines = append(lines, "event  "+oneLine(e))
	}
	for _, n := range f.Notes {
		lines = append(lines, "note  "+n)
	}
	if len(f.Response) > 0 {
		lines = append(lines, "response:")
		for _, l := range f.Response {
			lines = append(lines, "  | "+l)
		}
	}
	if len(f.LogLines) > 0 {
		which := "last log lines:"
		if f.Previous {
			which = "last log lines of the previous container:"
		}
		lines = append(lines, which)
		for _, l := range f.LogLines {
			lines = append(lines, "  | "+l)
		}
	}
	return slices.Compact(lines)
}

func podLine(f rollout.Evidence) string {
	words := []string{"pod " + f.Pod}
	if f.Container != "" {
		words = append(words, "container "+f.Container)
	}
	words = append(words, f.Reason)
	if f.ExitCode != nil {
		words = append(words, fmt.Sprintf("exit code %d", *f.ExitCode))
	}
	if f.Restarts > 0 {
		words = append(words, fmt.Sprintf("restarts %d", f.Restarts))
	}
	return strings.Join(words, "  ")
}
