package promote

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"slipway/internal/git"
	"slipway/internal/image"
)

// message is what a commit and a pull request say about a promotion.
type message struct {
	title   string
	images  []changed
	reasons []string
	mark    string
}

// changed is one image of a promotion.
type changed struct {
	before, after image.Pin
	// of is the commit that it was built from, and commits those since the image before; both may be unknown.
	of      string
	commits []git.Commit
}

// maxCommits is how many commits of an image a message lists.
const maxCommits = 20

// describe makes the message of a promotion.
func describe(ctx context.Context, r git.Repository, result Result, o Options) message {
	var names, tags []string
	m := message{reasons: reasons(o.proof, o), mark: Mark(result.Environment, result.Images)}
	for i, pin := range result.After {
		names, tags = append(names, pin.Name), append(tags, pin.Tag)
		c := changed{before: result.Before[i], after: pin}
		if of, ok := commitOf(ctx, r, pin.Tag); ok {
			c.of = of.Hash
			if was, ok := commitOf(ctx, r, c.before.Tag); ok {
				c.commits, _ = r.Log(ctx, was.Hash, of.Hash) // a shallow clone may lack them
			}
		}
		m.images = append(m.images, c)
	}
	what := strings.Join(names, ", ")
	if tags = slices.Compact(tags); len(tags) == 1 && tags[0] != "" {
		what += " " + tags[0]
	}
	m.title = fmt.Sprintf("Promote %s to %s", what, result.Environment)
	return m
}

// trailer is the key of the line that marks the commits of promotions.
const trailer = "Slipway-Promotion: "

// Mark is the line of a commit's message that names the environment, and identifies all images that it runs
// after the promotion.
func Mark(environment string, images []image.Pin) string {
	var lines []string
	for _, pin := range images {
		lines = append(lines, pin.Name+"@"+cmp.Or(pin.Digest, pin.Tag))
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return trailer + environment + " " + hex.EncodeToString(sum[:6])
}

// text is the message of a commit.
func (m message) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", m.title)
	for _, c := range m.images {
		fmt.Fprintln(&b, c.after.Reference())
		if c.of != "" {
			fmt.Fprintf(&b, "  of commit %s\n", c.of)
		}
		for i, commit := range c.commits {
			if i == maxCommits {
				fmt.Fprintf(&b, "  - and %d more\n", len(c.commits)-i)
				break
			}
			fmt.Fprintf(&b, "  - %s %s\n", git.Short(commit.Hash), commit.Subject)
		}
	}
	if len(m.reasons) > 0 {
		fmt.Fprintf(&b, "\n%s\n", strings.Join(m.reasons, "\n"))
	}
	fmt.Fprintf(&b, "\n%s\n", m.mark)
	return b.String()
}

// markdown is the body of a pull request.
func (m message) markdown() string {
	var b strings.Builder
	b.WriteString("| image | from | to |\n|---|---|---|\n")
	for _, c := range m.images {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", code(c.after.Name), version(c.before), version(c.after))
	}
	for _, c := range m.images {
		if len(c.commits) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\nCommits of %s:\n\n", code(c.after.Name))
		for i, commit := range c.commits {
			if i == maxCommits {
				fmt.Fprintf(&b, "- and %d more\n", len(c.commits)-i)
				break
			}
			fmt.Fprintf(&b, "- %s %s\n", git.Short(commit.Hash), code(commit.Subject))
		}
	}
	for _, reason := range m.reasons {
		fmt.Fprintf(&b, "\n%s\n", code(reason))
	}
	fmt.Fprintf(&b, "\n%s\n", code(m.mark))
	return b.String()
}

// version is the tag and the digest of an image in Markdown.
func version(pin image.Pin) string {
	switch {
	case pin.Tag == "" && pin.Digest == "":
		return "–"
	case pin.Tag == "" || pin.Digest == "":
		return code(pin.Tag + pin.Digest)
	}
	return code(pin.Tag) + " " + code(pin.Digest)
}

// code writes a text so that Markdown does not interpret it: others wrote it.
func code(text string) string {
	return "`" + strings.NewReplacer("`", "'", "\n", " ", "|", "¦").Replace(text) + "`"
}
