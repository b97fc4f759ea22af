package main

import (
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"slipway/internal/check"
	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
)

// screen is how many lines a report may have before it folds faults.
const screen = 40

// maxPlaces is how many places are listed of several findings that are printed as one.
const maxPlaces = 20

// reportPage is a report with what printing it needs.
type reportPage struct {
	check.Report
	rules map[string]finding.Rule
	// all: gaps and hardening are printed in full too.
	all   bool
	width int
}

func rulesByID(s *rule.Set) map[string]finding.Rule {
	rules := map[string]finding.Rule{}
	for _, r := range s.Rules() {
		rules[r.ID] = r
	}
	return rules
}

// divided are the findings by how they are printed.
func (p reportPage) divided() finding.Divided { return finding.Divide(p.Findings, p.all) }

// title is what a fold of gaps is about: the rule's title, or what all its findings say of files.
func (p reportPage) title(of finding.Fold) string {
	if message, ok := of.Sole(); ok {
		return brief(oneLine(message))
	}
	return p.rules[of[0].Rule].Title
}

// hardeningLine counts hardening, where it is not printed in full.
func (p reportPage) hardeningLine() string {
	var names []string
	n := 0
	for _, of := range p.divided().Hardening {
		n += len(of)
		names = append(names, of[0].Rule)
	}
	if n == 0 {
		return ""
	}
	const end = "): `slipway check --all`"
	head := fmt.Sprintf("hardening: %s (", count(n, "finding"))
	return head + fitted(names, p.width-len(head)-len(end)-2) + end
}

// fitted joins as many names as fit.
func fitted(names []string, width int) string {
	text := ""
	for i, n := range names {
		reserve := len(", ")
		if i < len(names)-1 {
			reserve += len(" and 99 more")
		}
		if i > 0 && len(text)+len(n)+reserve > width {
			return fmt.Sprintf("%s and %d more", text, len(names)-i)
		}
		if i > 0 {
			text += ", "
		}
		text += n
	}
	return text
}

// printFindings prints the report for a person.
func printFindings(w io.Writer, p reportPage) {
	s := styleOf(w)
	var lines []string
	for _, c := range p.Crossings {
		lines = append(lines, fmt.Sprintf("%s    %s", s.bold(c.B+" ← "+c.A), summary(c)))
	}
	end := append(p.briefLines(s), checkSummary(p.Report))
	for _, line := range uncheckedLines(p.Report, p.all) {
		end = append(end, s.dim(line))
	}
	faults := p.fullLines(s)
	if !p.all && p.height(lines)+p.height(faults)+p.height(end) > screen {
		faults = p.foldedLines(s)
	}
	for _, line := range slices.Concat(lines, faults, end) {
		fmt.Fprintln(w, line)
	}
}

// height is how many lines of a terminal some lines take.
func (p reportPage) height(lines []string) int {
	n := 0
	for _, line := range lines {
		n += max(1, (utf8.RuneCountInString(line)+p.width-1)/max(1, p.width))
	}
	return n
}

// several reports whether findings must say in which environments they are.
func (p reportPage) several() bool { return len(p.Environments)+len(p.NotRendered) > 1 }

func mark(s style, severity finding.Severity) string {
	if severity == finding.Warning {
		return s.yellow("!")
	}
	return s.red("✗")
}

// fullLines prints findings with their places and fixes.
func (p reportPage) fullLines(s style) []string {
	var lines []string
	for _, f := range p.divided().Full {
		what := ""
		if f.Object != nil {
			what = clean(f.Object.String()) + "  "
		}
		lines = append(lines, fmt.Sprintf("%s %s  %s%s", mark(s, f.Severity), s.bold(f.Rule), what,
			brief(oneLine(f.Message))))
		lines = append(lines, p.below(s, []string{clean(f.Place.String())}, f.Environments, f.Fix)...)
	}
	return lines
}

// below are the lines under a finding: its places with the environments, and the fix.
func (p reportPage) below(s style, places, environments []string, fix string) []string {
	place := strings.Join(slices.DeleteFunc(places, func(s string) bool { return s == "" }), ", ")
	if len(environments) > 0 && p.several() {
		place = strings.TrimSpace(place + "  " + s.dim("in "+list(environments)))
	}
	var lines []string
	for _, line := range []string{place, prefixed("fix: ", brief(oneLine(fix)))} {
		if line != "" {
			lines = append(lines, "    "+line)
		}
	}
	return lines
}

// foldedLines prints faults that say the same as one with all places, and three or more different ones of a
// rule as one with the rule's title.
func (p reportPage) foldedLines(s style) []string {
	ofRule := func(f finding.Finding) string { return f.Rule + " " + string(f.Severity) }
	says := func(f finding.Finding) string { return f.Message + "\n" + f.Fix }
	var lines []string
	for _, of := range finding.FoldBy(p.divided().Full, ofRule) {
		same := finding.FoldBy(of, says)
		if len(same) < 3 {
			for _, one := range same {
				lines = append(lines, p.folded(s, one, brief(oneLine(one[0].Message)), one[0].Fix)...)
			}
			continue
		}
		text := fmt.Sprintf("%s (%d findings)", p.rules[of[0].Rule].Title, len(of))
		fix := of[0].Fix
		if slices.ContainsFunc(of, func(g finding.Finding) bool { return g.Fix != fix }) {
			fix = fmt.Sprintf("See `slipway check --all`, and `slipway check --explain %s`.", of[0].Rule)
		}
		lines = append(lines, p.folded(s, of, text, fix)...)
	}
	return lines
}

// folded prints several findings as one.
func (p reportPage) folded(s style, of finding.Fold, text, fix string) []string {
	f, what := of[0], ""
	if f.Object != nil {
		what = clean(of.Objects(p.width/2)) + "  "
	}
	var places []string
	for _, g := range of {
		if at := clean(g.Place.String()); !slices.Contains(places, at) {
			places = append(places, at)
		}
	}
	if n := len(places) - maxPlaces; n > 0 {
		places = append(places[:maxPlaces-1], fmt.Sprintf("%s and %d more", places[maxPlaces-1], n))
	}
	return append([]string{fmt.Sprintf("%s %s  %s%s", mark(s, f.Severity), s.bold(f.Rule), what, text)},
		p.below(s, places, of.Environments(), fix)...)
}

// briefLines are a line for each rule of the gaps, and one for hardening.
func (p reportPage) briefLines(s style) []string {
	var lines []string
	gaps := p.divided().Gaps
	widest := 0
	for _, gap := range gaps {
		widest = max(widest, len(gap[0].Rule))
	}
	for _, gap := range gaps {
		f := gap[0]
		head := fmt.Sprintf("%-*s  %s: ", widest, f.Rule, p.title(gap))
		tail := ""
		if environments := gap.Environments(); len(environments) > 0 && p.several() {
			tail = "  in " + fitted(environments, p.width/3)
		}
		names := gap.Objects(p.width - len("! ") - len(head) - len(tail))
		if at := " (" + f.Place.String() + ")"; len(gap) == 1 && f.Object != nil &&
			len("! ")+len(head)+len(names)+len(at)+len(tail) <= p.width {
			names += at
		}
		lines = append(lines, mark(s, f.Severity)+" "+strings.Replace(head, f.Rule, s.bold(f.Rule), 1)+
			clean(names)+s.dim(tail))
	}
	if line := p.hardeningLine(); line != "" {
		lines = append(lines, s.dim("· "+line))
	}
	return lines
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

// uncheckedLines say what could not be checked, by environment. Of many lines they have only the first,
// unless everything is asked for.
func uncheckedLines(r check.Report, everything bool) []string {
	var lines []string
	if len(r.NotRendered) > 0 {
		lines = append(lines, list(r.NotRendered)+": not rendered")
	}
	for _, l := range r.LeftOut {
		lines = append(lines, clean(fmt.Sprintf("%s: not rendered: %s: %s", list(l.Environments), l.What, l.Why())))
	}
	for _, u := range finding.Summarize(r.Unchecked, everything) {
		head := ""
		if len(u.Environments) > 0 {
			head = list(u.Environments) + ": "
		}
		lines = append(lines, clean(head+"not checked: "+u.What+": "+oneLine(u.Why)))
	}
	const most = 8
	if n := len(lines) - most; n > 0 && !everything {
		lines = append(lines[:most], fmt.Sprintf("not checked: %d more; `slipway check --all` names them", n))
	}
	return lines
}

// checkSummary is the line that counts: "dev, prod: 3 errors, 1 warning". It names the environments that
// other verbs know.
func checkSummary(r check.Report) string {
	counts := finding.Count(r.Findings)
	parts := []string{"nothing found"}
	if len(r.Findings) > 0 {
		parts = []string{count(counts.Errors, "error"), count(counts.Warnings, "warning")}
	}
	var below []string
	if counts.Gaps > 0 {
		below = append(below, count(counts.Gaps, "gap"))
	}
	if counts.Hardening > 0 {
		below = append(below, fmt.Sprintf("%d hardening", counts.Hardening))
	}
	if len(below) > 0 {
		parts[1] += " (" + strings.Join(below, ", ") + ")"
	}
	if r.Accepted > 0 {
		parts = append(parts, fmt.Sprintf("%d accepted", r.Accepted))
	}
	var without []string
	for _, l := range r.LeftOut {
		without = append(without, path.Base(l.File))
	}
	if len(without) > 0 {
		parts = append(parts, "without "+clean(fitted(without, 60)))
	}
	names := r.Own()
	head := "no environment rendered"
	if len(names) > 0 {
		head = strings.Join(names, ", ")
	}
	if len(r.Others) > 0 {
		parts = append(parts, fmt.Sprintf("%s checked too", list(r.Others)))
	}
	return head + ": " + strings.Join(parts, ", ")
}
