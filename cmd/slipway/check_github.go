package main

import (
	"fmt"
	"io"
	"strings"

	"slipway/internal/check"
	"slipway/internal/check/finding"
	"slipway/internal/ci"
)

var markdownCell = strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;")

// reportNotes are the annotations of a report at lines of the source.
func reportNotes(r check.Report) []ci.Note {
	var notes []ci.Note
	for _, f := range r.Findings {
		text := message(f)
		if f.Fix != "" {
			text += "\nfix: " + f.Fix
		}
		notes = append(notes, ci.Note{
			Severity: string(f.Severity), File: f.Place.File, Line: f.Place.Line, Column: f.Place.Column,
			Title: f.Rule, Text: text,
		})
	}
	for _, u := range r.Unchecked {
		notes = append(notes, ci.Note{Severity: "notice", Title: "not checked", Text: uncheckedLine(u)})
	}
	return notes
}

// message is the finding's message after its object.
func message(f finding.Finding) string {
	if f.Object == nil {
		return f.Message
	}
	return f.Object.String() + ": " + f.Message
}

// printMarkdown prints a table for a pull request.
func printMarkdown(w io.Writer, r check.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "**slipway check** %s\n", markdownCell.Replace(checkSummary(r)))
	if len(r.Findings) > 0 {
		b.WriteString("\n| | rule | where | what | fix |\n|---|---|---|---|---|\n")
	}
	for _, f := range r.Findings {
		mark := "✗"
		if f.Severity == finding.Warning {
			mark = "!"
		}
		where := ""
		if p := f.Place.String(); p != "" {
			where = "`" + p + "`"
		}
		if len(f.Environments) > 0 {
			where = strings.TrimSpace(where + " " + list(f.Environments))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", mark, f.Rule, markdownCell.Replace(where),
			markdownCell.Replace(message(f)), markdownCell.Replace(f.Fix))
	}
	if len(r.Unchecked) > 0 {
		b.WriteString("\nNot checked:\n\n")
	}
	for _, u := range r.Unchecked {
		fmt.Fprintf(&b, "- %s\n", markdownCell.Replace(uncheckedLine(u)))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
