package check

import (
	"context"
	"errors"

	"slipway/internal/git"
)

// ReadPast returns the project's files as the last commit has them, or the commit before where nothing has
// changed since. It is nil outside Git, and for the first commit.
func ReadPast(ctx context.Context, dir string) (*Past, error) {
	repository, err := git.Open(ctx, dir)
	if errors.Is(err, git.ErrNone) || errors.Is(err, git.ErrNoProgram) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, revision := range []string{"HEAD", "HEAD~1"} {
		if !repository.Exists(ctx, revision) {
			if revision == "HEAD~1" && repository.IsShallow(ctx) {
				return &Past{Missing: "the clone has no earlier commit: fetch one more (fetch-depth: 2)"}, nil
			}
			return nil, nil
		}
		changed, err := repository.Changed(ctx, revision, dir)
		if err != nil {
			return nil, err
		}
		if len(changed) > 0 {
			text := func(name string) ([]byte, error) { return repository.Text(ctx, revision, dir, name) }
			return &Past{Name: revision, Changed: changed, Text: text}, nil
		}
	}
	return nil, nil
}
