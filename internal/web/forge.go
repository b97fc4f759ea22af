package web

import (
	"fmt"
	"net/url"
	"strings"
)

// forge is the web site of a repository; the zero value is an unknown one, which has no addresses.
type forge struct {
	base         string // "https://github.com/acme/shop"
	commit, file string // what follows: the commit's hash; and then the path, with the line in line
	line         string
}

// forges are the known ones, by a word in the name of their host.
var forges = []struct {
	word string
	is   forge
}{
	{"github", forge{commit: "/commit/", file: "/blob/", line: "#L"}},
	{"gitlab", forge{commit: "/-/commit/", file: "/-/blob/", line: "#L"}},
	{"bitbucket", forge{commit: "/commits/", file: "/src/", line: "#lines-"}},
	{"codeberg", forge{commit: "/commit/", file: "/src/commit/", line: "#L"}},
	{"gitea", forge{commit: "/commit/", file: "/src/commit/", line: "#L"}},
	{"forgejo", forge{commit: "/commit/", file: "/src/commit/", line: "#L"}},
}

// forgeOf finds the web site of a remote: a URL, or "git@github.com:acme/shop.git".
func forgeOf(remote string) forge {
	if user, rest, ok := strings.Cut(remote, "@"); ok && !strings.Contains(user, "/") {
		host, path, _ := strings.Cut(rest, ":")
		remote = "ssh://" + host + "/" + path
	}
	u, err := url.Parse(remote)
	if err != nil || u.Host == "" {
		return forge{}
	}
	scheme, host := "https", u.Hostname()
	switch {
	case u.Scheme == "http" || u.Scheme == "https":
		scheme, host = u.Scheme, u.Host
	case u.Scheme != "ssh" && u.Scheme != "git":
		return forge{}
	}
	for _, f := range forges {
		if strings.Contains(u.Hostname(), f.word) {
			f.is.base = scheme + "://" + host + strings.TrimSuffix(strings.TrimRight(u.EscapedPath(), "/"), ".git")
			return f.is
		}
	}
	return forge{}
}

// Commit is the address of a commit; empty where it is unknown.
func (f forge) Commit(hash string) string {
	if f.base == "" || hash == "" {
		return ""
	}
	return f.base + f.commit + url.PathEscape(hash)
}

// link is a commit with the address of its page.
type link struct{ Hash, Address string }

func linkTo(f forge, hash string) link { return link{hash, f.Commit(hash)} }

// File is the address of a line of a file as a commit has it; empty where it is unknown.
func (f forge) File(hash, path string, line int) string {
	if f.base == "" || hash == "" || path == "" {
		return ""
	}
	at := f.base + f.file + url.PathEscape(hash) + "/" + (&url.URL{Path: path}).EscapedPath()
	if line > 0 {
		at += fmt.Sprint(f.line, line)
	}
	return at
}
