package workflow

import (
	"slices"
	"strings"

	"slipway/internal/check/finding"
	"slipway/internal/image/metadata"
)

// What starts a run: kinds of Git references, as an entry sees them.
const (
	onBranch   = "a push to a branch"
	onTag      = "a Git tag"
	onPull     = "a pull request"
	onSchedule = "a schedule"
)

// fires says whether the entry gives a tag for what starts a run. What "enable" computes counts as true.
func fires(e metadata.Entry, on string) bool {
	if e.Attrs["enable"] == "false" {
		return false
	}
	branch := on == onBranch || on == onSchedule
	switch e.Type {
	case "schedule":
		return on == onSchedule
	case "semver", "pep440", "match":
		return on == onTag || e.Attrs["value"] != ""
	case "edge":
		return branch
	case "ref":
		switch e.Attrs["event"] {
		case "branch":
			return branch
		case "tag":
			return on == onTag
		case "pr":
			return on == onPull
		}
	}
	return true
}

// needs says what has to start a run for the entry to fire.
func needs(e metadata.Entry) string {
	switch {
	case e.Type == "schedule":
		return onSchedule
	case e.Type == "edge", e.Attrs["event"] == "branch":
		return onBranch
	case e.Attrs["event"] == "pr":
		return onPull
	}
	return onTag
}

// tagOf is what an entry that is made of the commit or of fixed text gives, with "<sha:7>" for the
// commit's first seven characters; not ok where that is not known.
func tagOf(e metadata.Entry, flavor metadata.Flavor, short int) (text string, ok bool) {
	prefix, suffix := flavor.Prefix, flavor.Suffix
	value := ""
	switch e.Type {
	case "sha":
		prefix, value = "sha-", sha(short)
		if e.Attrs["format"] == "long" {
			value = sha(40)
		}
	case "raw":
		value = strings.ReplaceAll(normal(e.Attrs["value"], nil), "{{sha}}", sha(short))
	}
	if p, stated := e.Attrs["prefix"]; stated {
		prefix = normal(p, nil)
	}
	if s, stated := e.Attrs["suffix"]; stated {
		suffix = normal(s, nil)
	}
	text = prefix + value + suffix
	return text, value != "" && !strings.ContainsAny(text, "${")
}

// latest says whether the tag "latest" comes along when the entry is the first to fire.
func latest(f metadata.Flavor, e metadata.Entry) bool {
	switch e.Type {
	case "semver", "pep440", "match":
		return f.Latest == "auto"
	}
	return f.Latest == "auto" && e.Type == "ref" && e.Attrs["event"] == "tag"
}

// Hold holds entries that a step makes by itself, without docker/metadata-action, against the workflow:
// what can never fire under its triggers, and what its deploy steps name and nobody builds.
func Hold(f File, images []string, entries []metadata.Entry, flavor metadata.Flavor,
	short int) []finding.Finding {
	c := &checker{}
	w := c.open(f)
	if w == nil {
		return nil
	}
	c.flows = []*flow{w}
	whole := finding.Place{File: f.Name}
	b := build{flow: w, step: whole, entries: entries, flavor: flavor, images: images, short: short,
		line: func(int, int) finding.Place { return whole }}
	c.builds = []build{b}
	c.findings = nil // the syntax is check's
	c.tags(b)
	c.deploys(w)
	for _, j := range w.jobs {
		c.helm(w, j)
	}
	return slices.DeleteFunc(c.findings, func(f finding.Finding) bool {
		return f.Rule != string(tagNever) && f.Rule != string(tagLength)
	})
}
