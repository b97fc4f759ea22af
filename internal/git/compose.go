package git

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Compose makes a commit on top of base in which some files are as another commit has them: those that it
// does not have are removed. It needs no working tree, and not the content of any other file. No branch
// changes.
func (r Repository) Compose(
	ctx context.Context, base, from string, files []string, message string, by Person,
) (string, error) {
	temporary, err := os.MkdirTemp("", "slipway-index-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temporary)
	git := command{
		dir: r.Dir, access: r.access,
		env: append(by.environment(), "GIT_INDEX_FILE="+filepath.Join(temporary, "index")),
	}
	if _, err := git.run(ctx, "read-tree", base); err != nil {
		return "", err
	}
	list := []string{"ls-tree", "-r", "-z", "--full-tree", "--end-of-options", from, "--"}
	was, err := r.runRemote(ctx, append(list, files...)...)
	if err != nil {
		return "", err
	}
	var changes strings.Builder
	for _, name := range files {
		fmt.Fprintf(&changes, "0 %040d\t%s\x00", 0, name)
	}
	changes.WriteString(was) // in the format that update-index reads
	git.stdin = strings.NewReader(changes.String())
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
