package git

import (
	"context"
	"slices"
	"strings"
)

// Exists says whether a revision names a commit that is here.
func (r Repository) Exists(ctx context.Context, revision string) bool {
	_, err := run(ctx, r.Dir, "rev-parse", "--verify", "--quiet", "--end-of-options", revision+"^{commit}")
	return err == nil
}

// IsShallow says whether earlier commits were left out when the repository was cloned.
func (r Repository) IsShallow(ctx context.Context) bool {
	out, err := run(ctx, r.Dir, "rev-parse", "--is-shallow-repository")
	return err == nil && strings.TrimSpace(out) == "true"
}

// Changed lists the files below dir in which the working tree differs from a revision, relative to dir.
// Those that git does not track are none of them.
func (r Repository) Changed(ctx context.Context, revision, dir string) ([]string, error) {
	out, err := run(ctx, dir, "diff", "--no-ext-diff", "--name-only", "-z", "--relative", "--end-of-options", revision, "--", ".")
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(strings.Split(out, "\x00"), func(s string) bool { return s == "" }), nil
}

// Text is a file below dir as a revision has it.
func (r Repository) Text(ctx context.Context, revision, dir, name string) ([]byte, error) {
	out, err := run(ctx, dir, "show", "--no-ext-diff", "--no-textconv", "--end-of-options", revision+":./"+name)
	return []byte(out), err
}
