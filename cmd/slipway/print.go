package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/plan"
)

// planMarks are the signs of a plan's actions.
var planMarks = map[plan.Action]string{plan.Create: "+", plan.Update: "~", plan.Delete: "-",
	plan.Replace: "±", plan.Run: "»", plan.Blocked: "!"}

// planPage is a plan with what people read beside it.
type planPage struct {
	title string // "myapp → prod"
	deploy.Proposal
	deploy.Summary
}

func pageOf(ctx context.Context, t deploy.Target, p deploy.Proposal) planPage {
	return planPage{t.Source.Project.Name + " → " + t.Environment.Name, p, deploy.Summarize(ctx, t, p)}
}

// printPlan writes a plan for a person.
func printPlan(w io.Writer, p planPage) {
	s := styleOf(w)
	fmt.Fprintf(w, "%s   %s → %s\n", s.bold(p.title), p.From, p.To)
	for _, line := range append(currentRelease(p.Proposal), commitLines(p.Summary)...) {
		fmt.Fprintln(w, s.dim("  "+line))
	}
	for i, stage := range p.Plan.Stages {
		if p.Plan.IsStaged() {
			fmt.Fprintf(w, "stage %d: %s\n", i+1, stage.Name)
		}
		printChanges(w, p.Plan.In(i+1))
	}
	printChanges(w, p.Plan.In(0))
	for _, r := range p.Risks {
		fmt.Fprintln(w, s.yellow(fmt.Sprintf("risk: %s: %s %s", r.Kind, r.Ref, r.Text)))
	}
	for _, line := range p.Remarks {
		fmt.Fprintln(w, line)
	}
}

func printChanges(w io.Writer, changes []plan.Change) {
	s, same := styleOf(w), 0
	for _, c := range changes {
		switch {
		case c.Action == plan.Skip:
			fmt.Fprintln(w, s.dim(fmt.Sprintf("  · %s   left out: %s", c.Ref, c.Reason)))
		case c.Action != plan.Keep:
			printChange(w, c)
		case c.Reason != "":
			fmt.Fprintln(w, s.dim(fmt.Sprintf("  = %s   kept: %s", c.Ref, c.Reason)))
		default:
			same++
		}
		printLost(w, c)
	}
	if same > 0 {
		fmt.Fprintln(w, s.dim(fmt.Sprintf("  = %d unchanged", same)))
	}
}

// printLost warns about the fields that the server does not take as the source has them.
func printLost(w io.Writer, c plan.Change) {
	for _, f := range c.Lost {
		fmt.Fprintf(w, "  warning: %s: %s\n", c.Ref, brief(plan.LostText(f, c.Mutators, c.Unlisted)))
	}
}

func printChange(w io.Writer, c plan.Change) {
	s, mark := styleOf(w), planMarks[c.Action]
	line := s.mark(mark, fmt.Sprintf("  %s %s", mark, c.Ref))
	if c.Reason != "" {
		line += "   " + brief(oneLine(strings.TrimPrefix(c.Reason, c.Ref.String()+": ")))
	}
	fmt.Fprintln(w, line)
	for _, f := range c.Fields {
		before, textual := f.Before.(string)
		after, alike := f.After.(string)
		if textual && alike && strings.Contains(before+after, "\n") {
			fmt.Fprintf(w, "      %s\n", f.Path)
			for _, l := range lineDiff(before, after) {
				fmt.Fprintln(w, "        "+s.mark(l[:1], l))
			}
			continue
		}
		from, to := values(fieldValue(f.Path, f.Before, ""), fieldValue(f.Path, f.After, ""))
		fmt.Fprintf(w, "      %s   %s %s %s\n", f.Path, from, s.dim("→"), to)
	}
}

// currentRelease prints the release that runs, and who deployed it.
func currentRelease(p deploy.Proposal) []string {
	rel := p.Latest
	if rel.Revision == 0 {
		return nil
	}
	what := string(rel.Status)
	switch {
	case p.Found != nil:
		what = "recorded as healthy, and not any more: " + p.Found.Message
	case p.Unsettled != "":
		what = "recorded as healthy, and at the moment " + p.Unsettled
	}
	if rel.RollbackOf > 0 {
		what += fmt.Sprintf(", a rollback to release %d", rel.RollbackOf)
	}
	return []string{fmt.Sprintf("now release %d: %s, %s ago by %s", rel.Revision, what, age(rel.Started),
		cmp.Or(rel.Who, "an unknown user"))}
}

// maxCommits is how many commits a plan names.
const maxCommits = 5

// commitLines print the commits that a plan brings, and those that it takes back.
func commitLines(sum deploy.Summary) []string {
	return append(logLines(sum.Brings, ""), logLines(sum.Takes, "without ")...)
}

func logLines(log []git.Commit, word string) []string {
	var lines []string
	for _, c := range log[:min(len(log), maxCommits)] {
		lines = append(lines, fmt.Sprintf("%s%s %s (%s, %s ago)", word, short(c.Hash), c.Subject,
			c.Author, age(c.Time)))
	}
	if n := len(log) - maxCommits; n > 0 {
		lines = append(lines, fmt.Sprintf("%sand %d more commits", word, n))
	}
	return lines
}

// maxValue is how long a value may be in a plan; JSON has it whole.
const maxValue = 120

// values prints both sides of a field, each on one line; "∅" stands for a missing field. Two images of one
// repository are printed by tag and digest alone.
func values(before, after any) (from, to string) {
	a, okA := before.(string)
	b, okB := after.(string)
	if okA && okB {
		if repository, ok := sameImage(a, b); ok {
			return brief(strings.TrimPrefix(a, repository)), brief(strings.TrimPrefix(b, repository))
		}
	}
	return value(before, okB || after == nil), value(after, okA || before == nil)
}

// sameImage is the common "ghcr.io/acme/api:" of two image references that have a digest.
func sameImage(a, b string) (string, bool) {
	if !digest().MatchString(a + b) {
		return "", false
	}
	repository := func(s string) string {
		s, _, _ = strings.Cut(s, "@")
		return s[:max(strings.LastIndex(s, ":"), strings.LastIndex(s, "/"))+1]
	}
	r := repository(a)
	return r, r == repository(b) && strings.HasSuffix(r, ":")
}

// value prints one side. A string is printed without quotes where the other side is a string too, so that
// "80" and 80 differ.
func value(v any, plain bool) string {
	if text, ok := v.(spelling); ok {
		return brief(string(text))
	}
	text, isText := v.(string)
	switch {
	case v == nil:
		return "∅"
	case isText && plain && text != "" && strings.TrimSpace(text) == text &&
		!strings.ContainsAny(text, "\n\r\t\x1b"):
		text = brief(text)
	default:
		text = brief(compact(v))
	}
	if utf8.RuneCountInString(text) > maxValue {
		switch v := v.(type) {
		case map[string]any:
			return fmt.Sprintf("{%d fields}", len(v))
		case []any:
			return fmt.Sprintf("[%d items]", len(v))
		}
	}
	return clip(text)
}

func clip(text string) string {
	if r := []rune(text); len(r) > maxValue {
		return string(r[:maxValue-1]) + "…"
	}
	return text
}

func compact(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSpace(b.String())
}

// maxLines is how many lines of each side of a text are shown.
const maxLines = 10

// lineDiff prints the lines in which two texts differ, without their common first and last lines.
func lineDiff(before, after string) []string {
	a, b := strings.Split(before, "\n"), strings.Split(after, "\n")
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return slices.Concat(marked("-", a), marked("+", b))
}

func marked(mark string, lines []string) []string {
	var out []string
	for _, l := range lines[:min(len(lines), maxLines)] {
		out = append(out, strings.TrimRight(mark+" "+clip(brief(l)), " "))
	}
	if n := len(lines) - maxLines; n > 0 {
		out = append(out, fmt.Sprintf("%s … %d more lines", mark, n))
	}
	return out
}

// spelling is a value as people write it, with what it means in brackets where that is not plain to see.
type spelling string

// fieldValue is a field's value as people know it, and as the file that it comes from spells it: permissions
// are in octal, and 1.50 is not 1.5.
func fieldValue(field string, v any, written string) any {
	n, isNumber := v.(int64)
	if f, ok := v.(float64); ok { // as records and JSON have it
		n, isNumber = int64(f), f == float64(int64(f))
	}
	isMode := strings.HasSuffix(field, ".defaultMode") ||
		strings.HasSuffix(field, ".mode") && strings.Contains(field, "volumes[")
	switch {
	case isNumber && isMode && n >= 0:
		return spelling(fmt.Sprintf("0%o (%d)", n, n))
	case written == "" || v == nil:
		return v
	}
	x, err := strconv.ParseFloat(written, 64)
	if err == nil && !strings.ContainsAny(written, "xXpP_") && isNumberOf(x, v) {
		return spelling(written)
	}
	return spelling(fmt.Sprintf("%s (%s)", written, compact(v)))
}

func isNumberOf(x float64, v any) bool {
	n, isWhole := v.(int64)
	return v == x || isWhole && float64(n) == x
}
