package image

import (
	"slices"
	"strings"

	"slipway/internal/lazyregexp"
)

// reference is an image as a manifest writes it, in its parts and nothing made up.
type reference struct {
	repository, tag, digest string
}

func parse(s string) reference {
	var r reference
	s, r.digest, _ = strings.Cut(s, "@")
	r.repository = s
	// A colon before the last slash belongs to the registry's port.
	if colon := strings.LastIndex(s, ":"); colon > strings.LastIndex(s, "/") {
		r.repository, r.tag = s[:colon], s[colon+1:]
	}
	return r
}

// hostOf is the host of a repository; empty where it names none. It is Docker's rule.
func hostOf(repository string) string {
	host, _, found := strings.Cut(repository, "/")
	if found && (host == "localhost" || strings.ContainsAny(host, ".:")) {
		return host
	}
	return ""
}

// calls tells whether a project's image name means that repository, and how precisely: the number
// of path components that agree from the right. The manifest may leave the registry out, and so may
// the name; it may not leave out anything else, or "redis" would be everybody's "acme/redis".
func calls(name, repository string) int {
	want, have := strings.Split(name, "/"), strings.Split(repository, "/")
	if len(want) > len(have) && hostOf(repository) == "" && hostOf(name) != "" {
		want = want[1:]
	}
	if len(want) > len(have) || !slices.Equal(want, have[len(have)-len(want):]) {
		return 0
	}
	return len(want)
}

var immutableTag = lazyregexp.New(`^(sha-[0-9a-f]{7,40}|v?\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?)$`)

// stated tells whether Git itself says which content runs: by digest, or by a tag that never moves.
func (r reference) stated() bool { return r.digest != "" || immutableTag().MatchString(r.tag) }

// Mutable tells whether a reference names no certain content even loosely: no digest, and no tag or
// "latest".
func Mutable(s string) bool {
	r := parse(s)
	return r.digest == "" && (r.tag == "" || r.tag == "latest")
}
