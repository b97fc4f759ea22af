package git

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// commitEntries makes a commit on top of base from changes of its tree, in the format that update-index
// reads. It needs no working tree, and not the content of any other file. No branch changes.
func (r Repository) commitEntries(ctx context.Context, index, base, changes, message string, by Person) (
	string, error) {
	git := command{dir: r.Dir, access: r.access, env: append(by.environment(), "GIT_INDEX_FILE="+index)}
	if _, err := git.run(ctx, "read-tree", base); err != nil {
		return "", err
	}
	git.stdin = strings.NewReader(changes)
	if _, err := git.run(ctx, "update-index", "-z", "--index-info"); err != nil {
		return "", err
	}
	tree, err := git.run(ctx, "write-tree", "--missing-ok")
	if err != nil {
		return "", err
	}
	git.stdin = strings.NewReader(message)
	out, err := git.run(ctx, "commit-tree", strings.TrimSpace(tree), "-p", base, "-F", "-")
	return strings.TrimSpace(out), err
}

// Compose makes a commit on top of base in which some files have other contents. It needs no working tree. No
// branch changes.
func (r Repository) Compose(
	ctx context.Context, base string, files map[string][]byte, message string, by Person,
) (string, error) {
	entries, err := r.entriesOf(ctx, base, slices.Sorted(maps.Keys(files)))
	if err != nil {
		return "", err
	}
	temporary, err := os.MkdirTemp("", "slipway-commit-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temporary)
	var changes strings.Builder
	for name, text := range files {
		git := command{dir: r.Dir, access: r.access, stdin: bytes.NewReader(text)}
		hash, err := git.run(ctx, "hash-object", "-w", "--stdin")
		if err != nil {
			return "", err
		}
		mode := cmp.Or(entries[name].mode, "100644")
		fmt.Fprintf(&changes, "%s %s\t%s\x00", mode, strings.TrimSpace(hash), name)
	}
	return r.commitEntries(ctx, filepath.Join(temporary, "index"), base, changes.String(), message, by)
}

// Over makes a commit with the files of a commit, and with the history of both it and an older tip: pushing
// it moves a branch from the tip to these files without force. No branch changes.
func (r Repository) Over(ctx context.Context, commit, tip, message string, by Person) (string, error) {
	git := command{dir: r.Dir, access: r.access, env: by.environment(), stdin: strings.NewReader(message)}
	out, err := git.run(ctx, "commit-tree", commit+"^{tree}", "-p", commit, "-p", tip, "-F", "-")
	return strings.TrimSpace(out), err
}

// Merge makes a commit that merges a branch into a base. It needs no working tree. No branch changes. It
// returns the branch's commit itself where that contains the base, and false where the two are in conflict.
func (r Repository) Merge(ctx context.Context, base, branch string, by Person) (string, bool, error) {
	_, behind, err := r.Between(ctx, base, branch)
	if err != nil || behind == 0 {
		return branch, err == nil, err
	}
	tree, err := r.runRemote(ctx, "merge-tree", "--write-tree", "--no-messages", base, branch)
	var failed *Error
	if errors.As(err, &failed) && failed.Code == 1 {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	git := command{dir: r.Dir, access: r.access, env: by.environment(), stdin: strings.NewReader("merge\n")}
	out, err := git.run(ctx, "commit-tree", strings.TrimSpace(tree), "-p", base, "-p", branch, "-F", "-")
	return strings.TrimSpace(out), err == nil, err
}
