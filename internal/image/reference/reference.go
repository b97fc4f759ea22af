// Package reference reads image references as text: their parts, whether the tag moves, and whether other
// machines reach the registry. It asks no registry and has no imports beyond the standard library, so that
// every package can ask here.
package reference

import (
	"net/netip"
	"strings"

	"slipway/internal/lazyregexp"
)

// Reference is an image as a manifest names it, in its parts. Nothing is filled in.
type Reference struct{ Repository, Tag, Digest string }

// Parse splits a reference. It accepts any text.
func Parse(text string) Reference {
	var r Reference
	r.Repository, r.Digest, _ = strings.Cut(text, "@")
	// A colon before the last slash belongs to the registry's port.
	if colon := strings.LastIndex(r.Repository, ":"); colon > strings.LastIndex(r.Repository, "/") {
		r.Repository, r.Tag = r.Repository[:colon], r.Repository[colon+1:]
	}
	return r
}

// String joins the parts as Parse split them.
func (r Reference) String() string {
	text := r.Repository
	if r.Tag != "" {
		text += ":" + r.Tag
	}
	if r.Digest != "" {
		text += "@" + r.Digest
	}
	return text
}

var fixedTag = lazyregexp.New(`^(sha-[0-9a-f]{7,40}|v?\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?)$`)

// IsFixed reports whether the reference names its content for good: by digest, or by a tag that is a commit
// or a full version.
func (r Reference) IsFixed() bool { return r.Digest != "" || fixedTag().MatchString(r.Tag) }

// IsMutable reports whether the reference certainly names other content over time: it has no digest, and
// its tag is missing or mutable.
func (r Reference) IsMutable() bool {
	return r.Digest == "" && (r.Tag == "" || IsMutableTag(r.Tag))
}

// MayMove reports whether the reference is mutable, or has no digest and a tag that moves by custom.
func (r Reference) MayMove() bool {
	return r.IsMutable() || r.Digest == "" && MayMoveTag(r.Tag)
}

// IsMutableTag reports whether a tag's name says that it moves: "latest", a branch, a state of development.
func IsMutableTag(tag string) bool {
	switch strings.ToLower(tag) {
	case "latest", "dev", "develop", "development", "main", "master", "trunk", "head", "local", "wip", "debug",
		"snapshot":
		return true
	}
	return false
}

// MayMoveTag reports whether a tag is mutable, or is one that most projects move: "stable", "lts".
func MayMoveTag(tag string) bool {
	switch strings.ToLower(tag) {
	case "edge", "nightly", "canary", "next", "stable", "unstable", "staging", "stage", "test", "testing",
		"prod", "production", "release", "beta", "alpha", "lts":
		return true
	}
	return IsMutableTag(tag)
}

// Host returns the host of a repository, with its port, by Docker's rule. It is empty where the repository
// names none.
func Host(repository string) string {
	host, _, found := strings.Cut(repository, "/")
	if found && (host == "localhost" || strings.ContainsAny(host, ".:")) {
		return host
	}
	return ""
}

// IsLaptop reports whether only one machine, or the local cluster on it, reaches a registry by this host.
func IsLaptop(host string) bool {
	name := hostname(host)
	if ip, err := netip.ParseAddr(name); err == nil {
		return ip.IsLoopback()
	}
	switch name {
	case "localhost", "kind.local", "ko.local", "minikube.local", "host.docker.internal",
		"host.minikube.internal":
		return true
	}
	return strings.HasSuffix(name, ".localhost") || strings.HasSuffix(name, ".k3d.internal") ||
		strings.HasPrefix(name, "k3d-") || strings.HasPrefix(name, "kind-registry")
}

// IsPrivate reports whether a host lies in a private network, which may be a laptop's or a company's.
func IsPrivate(host string) bool {
	name := hostname(host)
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.IsPrivate() || strings.HasSuffix(name, ".local")
}

// hostname returns a host without its port and brackets, in lower case.
func hostname(host string) string {
	if rest, ok := strings.CutPrefix(host, "["); ok {
		name, _, _ := strings.Cut(rest, "]")
		return strings.ToLower(name)
	}
	name, _, _ := strings.Cut(host, ":")
	return strings.ToLower(name)
}
