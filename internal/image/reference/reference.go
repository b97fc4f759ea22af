// Package reference reads image references as text: their parts, whether the tag moves, and whether other
// machines reach the registry. It asks no registry and has no imports beyond the standard library, so that
// every package can ask here.
package reference

import (
	"net/netip"
	"slices"
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

// IsMutableTag reports whether a tag's name says that it moves: "latest", a branch, a state of development. A
// tag that names latest beside a variant moves too: "latest-alpine", "production-latest".
func IsMutableTag(tag string) bool {
	name, version := base(tag)
	switch name {
	case "latest", "dev", "develop", "development", "main", "master", "trunk", "head", "local", "wip", "debug",
		"snapshot":
		return true
	}
	return !version && slices.Contains(strings.FieldsFunc(name, isSeparator), "latest")
}

// MayMoveTag reports whether a tag is mutable, or is one that most projects move: "stable", "lts-alpine".
func MayMoveTag(tag string) bool {
	switch name, _ := base(tag); name {
	case "edge", "nightly", "canary", "next", "stable", "unstable", "staging", "stage", "test", "testing",
		"prod", "production", "release", "beta", "alpha", "lts", "current", "mainline", "rolling":
		return true
	}
	return IsMutableTag(tag)
}

// IsSeriesTag reports whether a tag names a series of versions, and moves to each new one of them: "1",
// "v1.2", "16-alpine". Projects that number their builds have such tags too: only the image's owner knows.
func IsSeriesTag(tag string) bool {
	name, _ := base(tag)
	return series().MatchString(name)
}

// IsSeries reports whether the reference is an official image of Docker Hub with the tag of a series: all of
// them move such tags.
func (r Reference) IsSeries() bool {
	if r.Digest != "" || !IsSeriesTag(r.Tag) || !IsOfficial(r.Repository) {
		return false
	}
	name, _ := base(r.Tag)
	return !strings.Contains(name, ".") || !twoNumbers().MatchString(r.Repository)
}

// twoNumbers matches the official images whose whole versions have two numbers.
var twoNumbers = lazyregexp.New(`(^|/)(postgres|ubuntu|debian|fedora|almalinux|rockylinux|oraclelinux)$`)

var (
	series = lazyregexp.New(`^v?\d{1,2}(\.\d{1,2})?$`)
	// variant matches the system that an image is based on, which follows the rest of a tag.
	variant = lazyregexp.New(`[-_](alpine|slim|debian|ubuntu|distroless|fpm|apache|perl|bookworm|bullseye|` +
		`buster|trixie|stretch|jammy|noble|focal|ubi|management|otel|jre|jdk|temurin)(\d+(\.\d+)*)?$`)
	versionOrCommit = lazyregexp.New(`\d+\.\d+|\b[0-9a-f]*\d[0-9a-f]*\b`)
)

func isSeparator(r rune) bool { return r == '-' || r == '_' || r == '.' }

// base returns a tag in lower case without the variants at its end, and whether it has a version, a commit or
// a number.
func base(tag string) (name string, version bool) {
	name = strings.ToLower(tag)
	for {
		at := variant().FindStringIndex(name)
		if at == nil {
			break
		}
		name = name[:at[0]]
	}
	return name, versionOrCommit().MatchString(name)
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
