package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"slipway/internal/git"
)

// maxModules is how many submodules of a commit are fetched.
const maxModules = 100

// content are the paths of a commit. Those of submodules that are fetched are among them.
type content struct {
	entries []git.Entry
	homes   homes
	refused map[string]string // submodules that are not fetched, and why
}

// homes are the mirrors that have the blobs of submodules. The repository's own mirror has all others.
type homes map[string]*git.Mirror

// modules are the mirrors of a repository's submodules, by their URLs. A nil one has none.
type modules struct {
	dir     string
	access  git.Access
	mirrors map[string]*git.Mirror
}

// use replaces how the server is reached.
func (m *modules) use(a git.Access) {
	m.access = a
	for _, mirror := range m.mirrors {
		mirror.Use(a)
	}
}

// discard deletes all mirrors.
func (m *modules) discard() error {
	if m == nil {
		return nil
	}
	clear(m.mirrors)
	return os.RemoveAll(m.dir)
}

// at returns the mirror of a submodule with a commit.
func (m *modules) at(ctx context.Context, address, commit string) (*git.Mirror, error) {
	mirror := m.mirrors[address]
	if mirror == nil {
		sum := sha256.Sum256([]byte(address))
		var err error
		mirror, err = git.OpenMirror(ctx, address, filepath.Join(m.dir, hex.EncodeToString(sum[:8])), m.access)
		if err != nil {
			return nil, err
		}
		m.mirrors[address] = mirror
	}
	return mirror, mirror.FetchCommit(ctx, commit)
}

// content lists the paths of a commit. It fetches submodules where the configuration allows that.
func (c *clone) content(ctx context.Context, commit string) (content, error) {
	all := content{homes: homes{}, refused: map[string]string{}}
	own, err := c.mirror.List(ctx, commit)
	if err != nil {
		return all, err
	}
	var urls map[string]string // nil: not read yet
	fetched := 0
	for _, e := range own {
		if e.Mode != git.ModeSubmodule {
			all.entries = append(all.entries, e)
			continue
		}
		if c.modules == nil {
			all.refuse(e, "a submodule, which the agent does not fetch: set `submodules: allow` beside the "+
				"repository's url, or copy what the environment needs into the repository")
			continue
		}
		if fetched++; fetched > maxModules {
			return all, fmt.Errorf("%w: commit %s has more than %d submodules", git.ErrTooLarge, short(commit),
				maxModules)
		}
		if urls == nil {
			if urls, err = c.mirror.Submodules(ctx, own); err != nil {
				return all, err
			}
		}
		if err := c.addModule(ctx, &all, e, urls[e.Path]); err != nil {
			return all, fmt.Errorf("submodule %q: %w", e.Path, err)
		}
	}
	return all, nil
}

func (c *content) refuse(e git.Entry, reason string) {
	c.entries, c.refused[e.Path] = append(c.entries, e), reason
}

// addModule adds the paths of a submodule. One that will never be fetched is refused, so that only the
// environments that need it fail.
func (c *clone) addModule(ctx context.Context, to *content, e git.Entry, address string) error {
	address, err := moduleURL(c.url, address)
	if err != nil {
		to.refuse(e, "a submodule: "+err.Error())
		return nil
	}
	m, err := c.modules.at(ctx, address, e.Hash)
	if errors.Is(err, git.ErrNotFound) || errors.Is(err, git.ErrCredentials) || errors.Is(err, git.ErrHostKey) {
		to.refuse(e, "a submodule: "+err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	inside, err := m.List(ctx, e.Hash)
	if err != nil {
		return err
	}
	to.entries = append(to.entries, git.Entry{Mode: git.ModeDirectory, Path: e.Path})
	for _, i := range inside {
		i.Path = e.Path + "/" + i.Path // not cleaned: ".." is refused later
		if i.Mode == git.ModeSubmodule {
			to.refuse(i, "a submodule of a submodule, which the agent does not fetch")
			continue
		}
		to.entries, to.homes[i.Hash] = append(to.entries, i), m
	}
	return nil
}

// explain adds to the text of an error that it names a path in a submodule that is not fetched.
func (s *snapshot) explain(text string) string {
	for _, name := range slices.Sorted(maps.Keys(s.modules)) {
		if namesPath(text, name) {
			return fmt.Sprintf("%s: %q is %s", text, name, s.modules[name])
		}
	}
	return text
}

// namesPath reports whether a text has a path, or one below it.
func namesPath(text, name string) bool {
	isPart := func(c rune) bool {
		return unicode.IsLetter(c) || unicode.IsDigit(c) || strings.ContainsRune("-_.", c)
	}
	for rest := text; ; {
		before, after, ok := strings.Cut(rest, name)
		if !ok {
			return false
		}
		last, _ := utf8.DecodeLastRuneInString(before)
		next, _ := utf8.DecodeRuneInString(after)
		if !isPart(last) && !isPart(next) {
			return true
		}
		rest = after
	}
}

// moduleURL returns the URL of a submodule, which may be relative to that of its repository. Submodules of
// another host, or of the same one by another protocol, are errors: the credentials are not for them.
func moduleURL(parent, address string) (string, error) {
	if address == "" {
		return "", errors.New(".gitmodules has no URL for it")
	}
	if strings.HasPrefix(address, "./") || strings.HasPrefix(address, "../") {
		address = relativeURL(strings.TrimRight(parent, "/"), address)
	}
	address = withoutPassword(address)
	own, err := url.Parse(sameRepository(parent))
	if err != nil {
		return "", err
	}
	other, err := url.Parse(sameRepository(address))
	if err != nil || other.Host != own.Host || other.Scheme != own.Scheme || other.Host == "" {
		return "", fmt.Errorf("its URL %q is not of %s://%s, and the agent fetches submodules of the same server "+
			"alone: write the URL relative to the repository's, such as ../lib.git",
			git.WithoutCredentials(address), own.Scheme, own.Host)
	}
	return address, nil
}

// relativeURL resolves a URL that begins with "./" or "../", as git does.
func relativeURL(base, address string) string {
	for {
		first, rest, _ := strings.Cut(address, "/")
		if first != "." && first != ".." {
			break
		}
		if i := strings.LastIndexAny(base, "/:"); first == ".." && i >= 0 {
			base = strings.TrimRight(base[:i+1], "/")
		}
		address = rest
	}
	if strings.HasSuffix(base, ":") {
		return base + address
	}
	return base + "/" + address
}
