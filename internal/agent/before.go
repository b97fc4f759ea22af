package agent

import (
	"context"
	"fmt"
	"os"
	"strings"

	"slipway/internal/check"
	"slipway/internal/git"
)

// filesBefore reads those manifests of the commit before that have other texts in the commit that pages are
// about. It is nil for the first commit of a repository, and says so where the commit before cannot be read.
func (m *mirror) filesBefore(ctx context.Context, o *openCommit) *check.PastFiles {
	if o.files.bundle != nil {
		return nil
	}
	before, texts, err := m.textsBefore(ctx, o)
	switch {
	case err != nil:
		return &check.PastFiles{Missing: fmt.Sprintf("the commit before %s cannot be read: %v",
			short(o.files.commit), err)}
	case before == "":
		return nil
	}
	return &check.PastFiles{Name: "commit " + short(before), Texts: texts}
}

func (m *mirror) textsBefore(ctx context.Context, o *openCommit) (string, map[string][]byte, error) {
	if _, err := m.deepen(ctx); err != nil {
		return "", nil, err
	}
	before, err := m.repository().Parent(ctx, o.files.commit)
	if err != nil || before == "" {
		return "", nil, err
	}
	if err := m.fetchTrees(ctx, before); err != nil {
		return "", nil, err
	}
	files, err := m.remote.take(ctx, m.Branch, before)
	if err != nil {
		return "", nil, err
	}
	defer m.remote.give(files)
	root, err := os.OpenRoot(files.root)
	if err != nil {
		return "", nil, err
	}
	defer root.Close()
	prefix, texts := "", map[string][]byte{}
	if o.source.Path != "" {
		prefix = o.source.Path + "/"
	}
	for name, was := range files.entries {
		below, isInside := strings.CutPrefix(name, prefix)
		isFile := was.Mode != git.ModeDirectory && was.Mode != git.ModeSubmodule && was.Mode != git.ModeLink
		if !isInside || !isFile || !isUsual(name) || o.files.entries[name].Hash == was.Hash {
			continue
		}
		if texts[below], err = root.ReadFile(name); err != nil {
			return "", nil, err
		}
	}
	return before, texts, nil
}
