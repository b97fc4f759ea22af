package main

import (
	"fmt"
	"io"
	"strings"

	"slipway/internal/check/finding"
	"slipway/internal/ci"
)

var markdownCell = strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;")

// reportNotes are the annotations of a report at lines of the source: one for each fault, one for each rule
// of the gaps. Hardening has none unless everything is asked for: platforms show only a few.
func reportNotes(p reportPage) []ci.Note {
	var notes []ci.Note
	for _, f := range p.divided().Full {
		text := message(f)
		if f.Fix != "" {
			text += "\nfix: " + f.Fix
		}
		notes = append(notes, noteAt(f, text))
	}
	for _, gap := range p.divided().Gaps {
		text := fmt.Sprintf("%s: %s\nfix: %s", p.title(gap), gap.Objects(maxNoted), gap[0].Fix)
		notes = append(notes, noteAt(gap[0], text))
	}
	for _, line := range uncheckedLines(p.Report, p.all) {
		notes = append(notes, ci.Note{Severity: "notice", Title: "not checked", Text: line})
	}
	return notes
}

// maxNoted is how many characters of names an annotation of several objects has.
const maxNoted = 300

func noteAt(f finding.Finding, text string) ci.Note {
	return ci.Note{
		Severity: string(f.Severity), File: f.Place.File, Line: f.Place.Line, Column: f.Place.Column,
		Title: f.Rule, Text: text,
	}
}

// message is the finding's message after its object.
func message(f finding.Finding) string {
	if f.Object == nil {
		return f.Message
	}
	return f.Object.String() + ": " + f.Message
}

// printMarkdown prints a table for a pull request.
func printMarkdown(w io.Writer, p reportPage) error {
	var b strings.Builder
	fmt.Fprintf(&b, "**slipway check** %s\n", markdownCell.Replace(checkSummary(p.Report)))
	full := p.divided().Full
	if len(full) > 0 {
		b.WriteString("\n| | rule | where | what | fix |\n|---|---|---|---|---|\n")
	}
	for _, f := range full {
		mark := "✗"
		if f.Severity == finding.Warning {
			mark = "!"
		}
		where := ""
		if at := f.Place.String(); at != "" {
			where = "`" + at + "`"
		}
		if len(f.Environments) > 0 {
			where = strings.TrimSpace(where + " " + list(f.Environments))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", mark, f.Rule, markdownCell.Replace(where),
			markdownCell.Replace(message(f)), markdownCell.Replace(f.Fix))
	}
	if gaps := p.divided().Gaps; len(gaps) > 0 {
		b.WriteString("\nGaps:\n\n")
		for _, gap := range gaps {
			fmt.Fprintf(&b, "- %s: %s: %s\n", gap[0].Rule, markdownCell.Replace(p.title(gap)),
				markdownCell.Replace(gap.Objects(maxNoted)))
		}
	}
	if line := p.hardeningLine(); line != "" {
		fmt.Fprintf(&b, "\n%s\n", upperFirst(markdownCell.Replace(line)))
	}
	if lines := uncheckedLines(p.Report, p.all); len(lines) > 0 {
		b.WriteString("\nNot checked:\n\n")
		for _, line := range lines {
			fmt.Fprintf(&b, "- %s\n", markdownCell.Replace(line))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
