package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"slipway/internal/ci"
	"slipway/internal/deploy"
	"slipway/internal/image"
	"slipway/internal/lazyregexp"
	"slipway/internal/plan"
	"slipway/internal/release"
)

// maxComment is less than the 65,536 characters that a comment on a pull request may have.
const maxComment = 60_000

var backticks = lazyregexp.New("`+")

// fenced is a block that nothing in the text can end.
func fenced(language, text string) string {
	fence := "```"
	for _, run := range backticks().FindAllString(text, -1) {
		if len(run) >= len(fence) {
			fence = run + "`"
		}
	}
	return fence + language + "\n" + strings.TrimRight(text, "\n") + "\n" + fence + "\n"
}

// planMarkdown is what printPlan prints, for a comment.
func planMarkdown(p planPage) string {
	var b strings.Builder
	printPlan(&b, p)
	head, rest, _ := strings.Cut(b.String(), "\n")
	var lines []string
	for l := range strings.Lines(ci.Shorten(rest, maxComment)) {
		lines = append(lines, strings.TrimPrefix(l, "  ")) // a diff's marks stand at the margin
	}
	return fmt.Sprintf("**slipway plan** %s: %s\n\n%s", markdownText(head), planSummary(p.Plan),
		fenced("diff", strings.Join(lines, "")))
}

// refusalMarkdown is what check found, for a comment.
func refusalMarkdown(e *deploy.CheckError) string {
	var b strings.Builder
	fmt.Fprintf(&b, "**slipway plan** %s: refused, because check finds %s\n\n", markdownText(e.Environment),
		count(len(e.Review.Blocking), "error"))
	b.WriteString("| rule | object | place | what | fix |\n|---|---|---|---|---|\n")
	for _, f := range e.Review.Blocking {
		object := ""
		if f.Object != nil {
			object = f.Object.String()
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", cell(f.Rule), cell(object), cell(f.Place.String()),
			escaped(oneLine(clean(f.Message))), escaped(oneLine(clean(f.Fix))))
	}
	return b.String()
}

// describePlan is a plan, or why there is none, for a comment on a pull request.
func describePlan(ctx context.Context, t deploy.Target, p deploy.Proposal, err error) string {
	var refused *deploy.CheckError
	switch {
	case errors.As(err, &refused):
		return refusalMarkdown(refused)
	case err != nil:
		return fmt.Sprintf("**slipway plan** %s: refused\n\n%s", markdownText(t.Environment.Name),
			fenced("", clean(err.Error())))
	}
	return planMarkdown(pageOf(ctx, t, p))
}

// markdownText keeps a text from being read as Markdown or as HTML.
func markdownText(text string) string {
	return markdownSign().ReplaceAllString(strings.ReplaceAll(clean(text), "<", "&lt;"), `\$0`)
}

var markdownSign = lazyregexp.New("[\\\\`*_\\[\\]|#~]")

func planSummary(p plan.Plan) string {
	var parts []string
	for _, k := range []struct {
		action plan.Action
		word   string
	}{{plan.Create, "to create"}, {plan.Update, "to update"}, {plan.Replace, "to replace"}, {plan.Run, "to run"},
		{plan.Delete, "to delete"}, {plan.Blocked, "refused"}} {
		if n := p.Count(k.action); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, k.word))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "nothing to change")
}

func planValues(p plan.Plan, markdown string) ci.Values {
	return ci.Values{
		"changes":  fmt.Sprint(len(p.Changes) - p.Count(plan.Keep) - p.Count(plan.Skip)),
		"empty":    fmt.Sprint(p.Empty()),
		"markdown": markdown,
	}
}

// imagesMarkdown lists images by their digests.
func imagesMarkdown(title string, pins []image.Pin) string {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s**\n", markdownText(title))
	if len(pins) > 0 {
		b.WriteString("\n| image | content |\n|---|---|\n")
	}
	for _, p := range pins {
		fmt.Fprintf(&b, "| %s | `%s` |\n", markdownText(p.Name), p.Reference())
	}
	return b.String()
}

// releaseMarkdown is what a deploy did, the evidence where it failed, and what was planned, in the words of
// planMarkdown.
func releaseMarkdown(environment, planned string, images []image.Pin, rel release.Release, err error) string {
	title := fmt.Sprintf("slipway: release %d of %s: %s", rel.Revision, environment,
		cmp.Or(string(rel.Status), "not recorded"))
	var b strings.Builder
	b.WriteString(imagesMarkdown(title, images))
	var failed *deploy.FailedError
	switch {
	case errors.As(err, &failed):
		fmt.Fprintf(&b, "\n%s\n", markdownText(oneLine(err.Error())))
		for _, e := range failed.Release.Evidence {
			b.WriteString("\n" + fenced("", cleanLines(append([]string{e.Ref.String() + "  " + e.Cause},
				evidenceLines(e)...))))
		}
	case err != nil:
		fmt.Fprintf(&b, "\n%s\n", markdownText(oneLine(err.Error())))
	}
	b.WriteString("\n" + planned)
	return b.String()
}

// tellReport annotates what check found, unless that is what it printed.
func tellReport(c *cli, p reportPage, printed format) {
	if printed != asGitHub {
		c.ci.Annotate(reportNotes(p)...)
	}
	c.tell(func() (string, ci.Values) {
		var b strings.Builder
		if err := printMarkdown(&b, p); err != nil {
			c.warn("warning: %v", err)
		}
		return b.String(), nil
	})
}
