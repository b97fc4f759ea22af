package agent

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"slipway/internal/deploy"
	"slipway/internal/project"
	"slipway/internal/release"
	"slipway/internal/render/tree"
)

// trailer marks a revert with the objects that it takes back. It is how a second round is noticed.
const trailer = "Slipway-Quarantine: "

var (
	// errAgain says that what was reverted once has come back.
	errAgain = errors.New("what was reverted has come back, and is not reverted again")
	// errNoGood says that no healthy release names a commit to go back to.
	errNoGood = errors.New("no healthy release is of a commit of this branch")
)

// revert gives the files that the environment is rendered from the content that they had in the last healthy
// release, in a commit on top of the newest one. Nothing else of the commits since is touched.
func (e *environment) revert(ctx context.Context, bad release.Release, past release.Past) error {
	good, ok := healthyCommit(past, bad)
	if !ok {
		return errNoGood
	}
	if _, err := e.mirror.deepen(ctx); err != nil {
		return err
	}
	r, head := e.mirror.repository(), e.commit
	if again, err := r.Mentions(ctx, good, head, trailer+bad.Digest); err != nil {
		return err
	} else if again != "" {
		return fmt.Errorf("%w: commit %s reverted it; run `slipway quarantine lift %s %d` if it is right now",
			errAgain, short(again), e.name, bad.Revision)
	}
	files, err := e.culprits(ctx, good, head)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no file that %s is rendered from has changed since commit %s", e.name, short(good))
	}
	commit, err := r.Compose(ctx, head, good, files, e.message(bad, good, files), author)
	if err != nil {
		return err
	}
	if err := e.agent.leadership.fence(ctx); err != nil {
		return err
	}
	if err := r.Push(ctx, e.mirror.upstream, commit); err != nil {
		return err
	}
	e.log.Info("reverted on "+e.mirror.Branch, "revert", commit, "files", strings.Join(files, ", "))
	return nil
}

// healthyCommit is the commit of the newest release that was healthy with other objects.
func healthyCommit(past release.Past, bad release.Release) (string, bool) {
	i := slices.IndexFunc(past.Releases, func(r release.Release) bool {
		return r.Status == release.Healthy && r.Commit != "" && !r.Dirty && r.Digest != bad.Digest
	})
	if i < 0 {
		return "", false
	}
	return past.Releases[i].Commit, true
}

// culprits are the files that differ between two commits and that the environment is rendered from in one of
// them.
func (e *environment) culprits(ctx context.Context, good, head string) ([]string, error) {
	changed, err := e.mirror.repository().Differing(ctx, good, head)
	if err != nil {
		return nil, err
	}
	read, err := e.readSet(ctx, e.target.Source, e.files)
	if err != nil {
		return nil, err
	}
	src, files, err := e.mirror.at(ctx, good)
	if err != nil {
		return nil, err
	}
	defer e.mirror.remote.give(files)
	before, err := e.readSet(ctx, src, files)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(changed, func(name string) bool { return !read[name] && !before[name] }), nil
}

// readSet are the files that the environment is rendered from, relative to the repository's root.
func (e *environment) readSet(
	ctx context.Context, src project.Source, files *snapshot,
) (map[string]bool, error) {
	env, err := src.Project.Environment(e.name)
	if err != nil {
		return nil, err
	}
	job := deploy.Job{Source: src, Environment: env, Render: e.target.Render}
	a, err := e.isolate(files, new([]tree.Read))(ctx, job, nil)
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	if err != nil {
		return nil, err
	}
	read := map[string]bool{path.Join(src.Path, project.File): true}
	for _, seen := range a.Touched {
		if seen.Kind == tree.File {
			read[path.Join(src.Path, seen.Path)] = true
		}
	}
	return read, nil
}

// message says what was taken back, why, and whom to ask.
func (e *environment) message(bad release.Release, good string, files []string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "Revert %s to commit %s: release %d failed\n\n", e.name, short(good), bad.Revision)
	fmt.Fprintf(&text, "Commit %s was release %d of %s, and failed:\n%s\n", bad.Commit, bad.Revision, e.name,
		bad.Quarantine.Reason)
	for _, evidence := range bad.Evidence {
		fmt.Fprintf(&text, "- %s: %s", evidence.Ref, evidence.Cause)
		if evidence.Field != "" {
			fmt.Fprintf(&text, " (%s, %s)", evidence.Field, evidence.Origin)
		}
		text.WriteByte('\n')
	}
	fmt.Fprintf(&text, "\n%s runs the objects of commit %s again. These files are as they were there:\n", e.name,
		good)
	for _, name := range files {
		fmt.Fprintf(&text, "- %s\n", name)
	}
	fmt.Fprintf(&text, "\nFix the cause and push it: the fix is deployed. To deploy the same objects again, "+
		"run `slipway quarantine lift %s %d --reason TEXT`.\n\n%s%s\n", e.name, bad.Revision, trailer, bad.Digest)
	return text.String()
}
