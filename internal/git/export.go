package git

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

// Export writes what a revision holds below an empty folder, and gives the folder in there that dir is
// in the working tree. Neither the working tree nor its index is touched.
func (r Repository) Export(ctx context.Context, revision, dir, into string) (string, error) {
	commit, err := run(ctx, r.Dir, "rev-parse", "--verify", "--end-of-options", revision+"^{commit}")
	if err != nil {
		return "", err
	}
	below, err := run(ctx, dir, "rev-parse", "--show-prefix")
	if err != nil {
		return "", err
	}
	index := filepath.Join(into, ".index")
	if _, err := runWith(ctx, r.Dir, []string{"GIT_INDEX_FILE=" + index}, "read-tree",
		strings.TrimSpace(commit)); err != nil {
		return "", err
	}
	tree := filepath.Join(into, "tree")
	if _, err := runWith(ctx, r.Dir, []string{"GIT_INDEX_FILE=" + index}, "checkout-index", "--all",
		"--prefix="+filepath.ToSlash(tree)+"/"); err != nil {
		return "", err
	}
	folder := filepath.Join(tree, filepath.FromSlash(strings.TrimSuffix(below, "\n")))
	return folder, os.MkdirAll(folder, 0o755)
}
