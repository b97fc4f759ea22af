package git

import (
	"context"
	"os"
	"strings"
)

// Prefix returns where a directory lies in its working tree, with slashes: "" for the root, else
// "services/web/".
func (r Repository) Prefix(ctx context.Context, dir string) (string, error) {
	out, err := run(ctx, dir, "rev-parse", "--show-prefix")
	return strings.TrimSuffix(out, "\n"), err
}

// StateAt returns the state of a clean working tree at a revision, without a branch.
func (r Repository) StateAt(ctx context.Context, revision string) (State, error) {
	var s State
	if err := r.describe(ctx, &s, revision); err != nil {
		return State{}, err
	}
	return s, r.readOrigin(ctx, &s)
}

// Export writes the files of a commit into a directory that it creates. The working tree and its index are
// neither read nor written: attributes and filters are those of the commit.
func (r Repository) Export(ctx context.Context, commit, into string) error {
	if err := os.Mkdir(into, 0o700); err != nil {
		return err
	}
	index := into + ".index"
	defer os.Remove(index)
	_, err := command{dir: r.Dir, env: []string{"GIT_INDEX_FILE=" + index}}.run(ctx, "--work-tree="+into,
		"read-tree", "--reset", "-u", "--no-sparse-checkout", "--no-recurse-submodules", commit)
	return err
}
