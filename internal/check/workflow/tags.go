package workflow

import (
	"slices"
	"strings"

	"slipway/internal/check/finding"
	"slipway/internal/image/metadata"
)

// The triggers of a run, as an entry sees them.
const (
	onBranch   = "a push to a branch"
	onTag      = "a Git tag"
	onPull     = "a pull request"
	onSchedule = "a schedule"
)

// fires reports whether the entry gives a tag for a trigger. A computed "enable" counts as true.
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

// needs returns the trigger that the entry needs.
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

// tagOf returns the tag of an entry of type sha or raw, with "<sha:7>" for the first seven characters of the
// commit. It is not ok where only a run knows the tag.
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

// latest reports whether the tag "latest" is added when the entry is the first to fire.
func latest(f metadata.Flavor, e metadata.Entry) bool {
	switch e.Type {
	case "semver", "pep440", "match":
		return f.Latest == "auto"
	}
	return f.Latest == "auto" && e.Type == "ref" && e.Attrs["event"] == "tag"
}

// Hold compares the entries of a step without docker/metadata-action with the workflow. It reports entries
// that never fire under its triggers, and tags that its deploy steps use and no entry builds.
func Hold(f File, images []string, entries []metadata.Entry, flavor metadata.Flavor,
	short int) []finding.Finding {
	c := &Pipelines{}
	w := openFlow(&c.report, c.Project, f)
	if w == nil {
		return nil
	}
	c.flows = []*flow{w}
	whole := finding.Place{File: f.Name}
	b := build{flow: w, step: whole, entries: entries, flavor: flavor, images: images, short: short,
		line: func(int, int) finding.Place { return whole }}
	c.builds = []build{b}
	c.findings = nil // check reports the syntax
	c.tags(b)
	c.deploys(w)
	for _, j := range w.jobs {
		checkHelm(&c.report, c.Project, j)
	}
	return slices.DeleteFunc(c.findings, func(f finding.Finding) bool {
		return f.Rule != string(tagNever) && f.Rule != string(tagLength)
	})
}
