package metadata

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"slipway/internal/image/reference"
)

// Warning is about a result that is probably not intended. Trap names its kind; it is empty for a mere note.
type Warning struct{ Trap, Text, Fix string }

// The traps: the result is that of the action, and rarely meets the intention.
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
	olderRelease  = "older-release"
)

func (m *maker) warn(trap, text, fix string) {
	if w := (Warning{trap, text, fix}); !slices.Contains(m.Warnings, w) {
		m.Warnings = append(m.Warnings, w)
	}
}

// attributes are those of each type, beside type, enable, priority, prefix and suffix.
var attributes = map[string][]string{
	"schedule": {"pattern"}, "semver": {"pattern", "value", "match"}, "pep440": {"pattern", "value", "match"},
	"match": {"pattern", "group", "value"}, "edge": {"branch"}, "ref": {"event"}, "raw": {"value"},
	"sha": {"format"},
}

// warnUnknownAttributes warns of attributes that the action ignores, such as misspelled ones.
func (m *maker) warnUnknownAttributes(e Entry) {
	known := append([]string{"type", "enable", "priority", "prefix", "suffix"}, attributes[e.Type]...)
	for _, key := range slices.Sorted(maps.Keys(e.Attrs)) {
		if !slices.Contains(known, key) {
			m.warn(noAttribute, fmt.Sprintf("%s= in %q has no effect", key, e.Text), "type="+e.Type+" reads "+
				strings.Join(known[1:], ", "))
		}
	}
}

var imageName = regexp.MustCompile(`^([a-z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*$`)

// traps warns of traps in the whole result.
func (m *maker) traps() {
	for _, image := range m.Images {
		if !imageName.MatchString(image) {
			m.warn(noImage, fmt.Sprintf("no registry accepts the name %q", image), "write HOST/NAME, without a tag")
		}
	}
	if m.first != nil && (m.first.Moves() || reference.MayMoveTag(m.Version)) {
		fix := "add type=sha,priority=1001"
		if i := slices.IndexFunc(m.entries, func(e Entry) bool { return e.Type == "sha" }); i >= 0 {
			fix = "write " + m.entries[i].Text + ",priority=1001"
		}
		m.warn(movingVersion, fmt.Sprintf("version %s comes from %q, which moves: the next run gives it to "+
			"another image, and the label org.opencontainers.image.version is useless",
			m.Version, m.first.Text), fix)
	}
	for _, tag := range m.TagNames {
		if len(tag) > 128 {
			m.warn(tooLong,
				fmt.Sprintf("the tag %s… has %d characters, and registries accept 128", tag[:40], len(tag)),
				"write a shorter value, or type=sha")
		}
		if strings.HasPrefix(tag, ".") || strings.HasPrefix(tag, "-") {
			m.warn(leading, fmt.Sprintf("the tag %s starts with %q, which no registry accepts", tag, tag[:1]),
				"add a prefix= that starts with a letter or a digit")
		}
	}
	if m.Latest && m.flavor.Latest == "auto" {
		m.warn(unaskedLatest, fmt.Sprintf("%q also makes the tag latest", m.first.Text),
			"set latest=false in flavor, or latest=true to keep it")
	}
	head := m.context.Payload.PullRequest.Head.SHA
	if m.sha && strings.Contains(m.context.Event, "pull_request") && head != "" && head != m.context.SHA {
		m.warn(mergeCommit, fmt.Sprintf("the commit %.7s is not the pull request's head, but a merge commit or "+
			"the base, so that the image cannot be traced back", m.context.SHA),
			"set DOCKER_METADATA_PR_HEAD_SHA=true")
	}
}
