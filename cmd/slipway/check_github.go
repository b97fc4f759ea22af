package main

import (
	"fmt"
	"io"
	"strings"

	"slipway/internal/check"
	"slipway/internal/finding"
)

var (
	githubText     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	markdownCell   = strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;")
)

// printGitHub prints the workflow commands that put findings at their lines in a pull request.
func printGitHub(w io.Writer, r check.Report) error {
	for _, f := range r.Findings {
		properties := []string{"title=" + githubProperty.Replace(f.Rule)}
		if f.Place.File != "" {
			properties = append(properties, "file="+githubProperty.Replace(f.Place.File))
		}
		if f.Place.Line > 0 {
			properties = append(properties, fmt.Sprintf("line=%d", f.Place.Line))
		}
		if f.Place.Column > 0 {
			properties = append(properties, fmt.Sprintf("col=%d", f.Place.Column))
		}
		text := message(f)
		if f.Fix != "" {
			text += "\nfix: " + f.Fix
		}
		if _, err := fmt.Fprintf(w, "::%s %s::%s\n", f.Severity, strings.Join(properties, ","), githubText.Replace(text)); err != nil {
			return err
		}
	}
	for _, u := range r.Unchecked {
		if _, err := fmt.Fprintf(w, "::notice title=not checked::%s\n", githubText.Replace(uncheckedLine(u))); err != nil {
			return err
		}
	}
	return nil
}

// message is a finding's with the object in front of it.
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
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", mark, f.Rule, markdownCell.Replace(where), markdownCell.Replace(message(f)), markdownCell.Replace(f.Fix))
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
