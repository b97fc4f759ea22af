package git

import (
	"context"
	"errors"
	"strings"
)

// Submodules returns the URLs that the .gitmodules file of a commit states, by the paths of the submodules.
// The entries are those of the commit.
func (m *Mirror) Submodules(ctx context.Context, entries []Entry) (map[string]string, error) {
	urls := map[string]string{}
	for _, e := range entries {
		if e.Path != ".gitmodules" || e.Mode == ModeLink || e.Mode == ModeDirectory || e.Mode == ModeSubmodule {
			continue
		}
		err := m.Blobs(ctx, []string{e.Hash}, maxModules, func(_ string, content []byte, _ int64) error {
			var err error
			urls, err = m.parseModules(ctx, string(content))
			return err
		})
		return urls, err
	}
	return urls, nil
}

// maxModules is how many bytes a .gitmodules file may have.
const maxModules = 1 << 20

func (m *Mirror) parseModules(ctx context.Context, text string) (map[string]string, error) {
	git := command{dir: m.Dir, access: m.access, stdin: strings.NewReader(text)}
	out, err := git.run(ctx, "config", "--file", "-", "--no-includes", "--null", "--get-regexp",
		`^submodule\..*\.(path|url)$`)
	if failed := (*Error)(nil); errors.As(err, &failed) && failed.Code == 1 {
		return nil, nil // it states none
	}
	if err != nil {
		return nil, err
	}
	paths, byName, urls := map[string]string{}, map[string]string{}, map[string]string{}
	for line := range strings.SplitSeq(out, "\x00") {
		key, value, _ := strings.Cut(line, "\n")
		if name, ok := strings.CutSuffix(key, ".path"); ok {
			paths[name] = strings.TrimSuffix(value, "/")
		} else if name, ok := strings.CutSuffix(key, ".url"); ok {
			byName[name] = value
		}
	}
	for name, path := range paths {
		urls[path] = byName[name]
	}
	return urls, nil
}

// FetchCommit fetches one commit with its directories, without its history. It does nothing where the mirror
// has it.
func (m *Mirror) FetchCommit(ctx context.Context, commit string) error {
	if m.Has(ctx, commit) {
		return nil
	}
	_, err := m.runRemote(ctx, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--filter=blob:none",
		"--depth=1", "--end-of-options", "origin", commit)
	if err != nil {
		return err
	}
	return m.checkSize()
}
