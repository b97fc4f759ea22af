package metadata

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Warning is something that the result hides. Trap is empty for what is merely said.
type Warning struct{ Trap, Text, Fix string }

// The traps: the result is the action's, and rarely what was meant.
const (
	movingVersion = "moving-version"
	tooLong       = "tag-too-long"
	leading       = "tag-begins-wrong"
	htmlInTag     = "html-in-tag"
	fallsThrough  = "match-falls-through"
	mergeCommit   = "merge-commit"
	unaskedLatest = "unasked-latest"
	noAttribute   = "no-attribute"
	noValue       = "no-value"
	noImage       = "no-image-name"
)

func (m *maker) warn(trap, text, fix string) {
	if w := (Warning{trap, text, fix}); !slices.Contains(m.Warnings, w) {
		m.Warnings = append(m.Warnings, w)
	}
}

// attributes are what entries of each type have beside type, enable, priority, prefix and suffix.
var attributes = map[string][]string{
	"schedule": {"pattern"}, "semver": {"pattern", "value", "match"}, "pep440": {"pattern", "value", "match"},
	"match": {"pattern", "group", "value"}, "edge": {"branch"}, "ref": {"event"}, "raw": {"value"},
	"sha": {"format"},
}

// strays are attributes that nothing reads: the action takes no notice of what is misspelt.
func (m *maker) strays(e Entry) {
	known := append([]string{"type", "enable", "priority", "prefix", "suffix"}, attributes[e.Type]...)
	for _, key := range slices.Sorted(maps.Keys(e.Attrs)) {
		if !slices.Contains(known, key) {
			m.warn(noAttribute, fmt.Sprintf("%s= in %q does nothing", key, e.Text), "type="+e.Type+" reads "+
				strings.Join(known[1:], ", "))
		}
	}
}

var imageName = regexp.MustCompile(`^([a-z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*$`)

// traps looks at the whole result.
func (m *maker) traps() {
	for _, image := range m.Images {
		if !imageName.MatchString(image) {
			m.warn(noImage, fmt.Sprintf("no registry takes the name %q", image), "write HOST/NAME, without a tag")
		}
	}
	if m.first != nil && (m.first.Moves() || Mutable(m.Version)) {
		fix := "add type=sha,priority=1001"
		if i := slices.IndexFunc(m.entries, func(e Entry) bool { return e.Type == "sha" }); i >= 0 {
			fix = "write " + m.entries[i].Text + ",priority=1001"
		}
		m.warn(movingVersion, fmt.Sprintf("the version is %s, by %q: another image has it after the next run, "+
			"and its label org.opencontainers.image.version says nothing",
			m.Version, m.first.Text), fix)
	}
	for _, tag := range m.TagNames {
		if len(tag) > 128 {
			m.warn(tooLong, fmt.Sprintf("the tag %s… has %d characters, and registries take 128", tag[:40], len(tag)),
				"write a shorter value, or type=sha")
		}
		if strings.HasPrefix(tag, ".") || strings.HasPrefix(tag, "-") {
			m.warn(leading, fmt.Sprintf("the tag %s begins with %q, which no registry takes", tag, tag[:1]),
				"give the entry a prefix= of letters or digits")
		}
	}
	if m.Latest && m.flavor.Latest == "auto" {
		m.warn(unaskedLatest, fmt.Sprintf("the tag latest comes along because of %q", m.first.Text),
			"write latest=false in flavor, or latest=true where it is meant")
	}
	head := m.context.Payload.PullRequest.Head.SHA
	if m.sha && strings.Contains(m.context.Event, "pull_request") && head != "" && head != m.context.SHA {
		m.warn(mergeCommit, fmt.Sprintf("the commit %.7s is not the pull request's, but one that the CI system "+
			"made or its base: nobody finds it later", m.context.SHA),
			"set DOCKER_METADATA_PR_HEAD_SHA=true")
	}
}
