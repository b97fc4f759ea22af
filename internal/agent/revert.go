package agent

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/git/forge"
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

// revert takes back, in the files that the environment is rendered from, what changed between the last
// healthy release and the bad one, in a commit on top of the newest one. What changed since stays, as do
// other files.
func (e *environment) revert(ctx context.Context, bad release.Release, past release.Past) error {
	healthy, ok := lastHealthy(past, bad)
	if !ok {
		return errNoGood
	}
	if err := deploy.Barrier(ctx, e.target, healthy.Revision); err != nil {
		return err
	}
	good := healthy.Commit
	if e.good.digest == healthy.Digest {
		good = e.good.commit // a later one with the same objects
	}
	if _, err := e.mirror.deepen(ctx); err != nil {
		return err
	}
	r, head := e.mirror.repository(), e.commit
	what := git.Reversion{Head: head, Bad: bad.Commit, Good: good}
	since := bad.Commit
	if !r.Exists(ctx, bad.Commit) || bad.Dirty {
		what.Bad, since = head, healthy.Commit // it was deployed from elsewhere
	}
	if again, err := r.Mentions(ctx, since, head, trailer+bad.Digest); err != nil {
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
	what.Files = files
	message := e.message(bad, good, files)
	commit, conflicts, err := r.Revert(ctx, what, message, author)
	if err == nil && commit == "" {
		err = fmt.Errorf("commit %s has nothing left of release %d to take back", short(head), bad.Revision)
	}
	if err != nil {
		return err
	}
	if err := e.agent.leadership.fence(ctx); err != nil {
		return err
	}
	return e.writeBack(ctx, proposal{commit, message, files, conflicts})
}

// proposal is a revert that was committed, and is on no branch yet.
type proposal struct {
	commit, message  string
	files, conflicts []string
}

// writeBack pushes a revert to the branch. Where it must not, where it would take back what others changed
// since, and where the branch is protected, it becomes a pull request.
func (e *environment) writeBack(ctx context.Context, p proposal) error {
	why := ""
	if e.policy.WriteBack == Push && len(p.conflicts) == 0 {
		err := e.mirror.repository().Push(ctx, e.mirror.upstream, p.commit)
		switch {
		case err == nil:
			e.log.Info("reverted on "+e.mirror.Branch, "revert", p.commit, "files", strings.Join(p.files, ", "))
			return nil
		case errors.Is(err, git.ErrMoved):
			e.log.Info("not reverted yet: " + err.Error() + ": the newer commit is looked at first")
			return nil
		case !errors.Is(err, git.ErrRefused):
			return err
		}
		why = err.Error()
	}
	if len(p.conflicts) > 0 {
		why = "others have changed the same lines of " + strings.Join(p.conflicts, ", ") + " since"
	}
	return e.request(ctx, p, why)
}

// request pushes a revert to a branch of its own, and opens a pull request. Where no forge is configured the
// log says how.
func (e *environment) request(ctx context.Context, p proposal, why string) error {
	branch := fmt.Sprintf("slipway/revert-%s-%s", e.name, short(e.commit))
	to := git.Upstream{Branch: branch, Remote: e.mirror.upstream.Remote, Ref: "refs/heads/" + branch}
	if err := e.mirror.repository().Push(ctx, to, p.commit); err != nil && !errors.Is(err, git.ErrMoved) {
		return err // ErrMoved: an earlier pass has pushed it, at another time
	}
	if e.mirror.Forge == nil {
		e.log.Warn(fmt.Sprintf("pushed the revert to %s: open a pull request of it into %s: no forge is configured",
			branch, e.mirror.Branch), "why", why)
		return nil
	}
	title, body, _ := strings.Cut(p.message, "\n\n")
	if why != "" {
		body = "This is not on " + e.mirror.Branch + " yet: " + why + ".\n\n" + body
	}
	page, err := e.mirror.Forge.Open(ctx, e.mirror.URL, forge.Request{
		Branch: branch, Into: e.mirror.Branch, Title: title, Body: body,
	})
	if errors.Is(err, forge.ErrExists) {
		e.log.Info(err.Error(), "branch", branch)
		return nil
	}
	if err != nil {
		return fmt.Errorf("the revert is on %s: %w", branch, err)
	}
	e.log.Info("opened a pull request with the revert: "+page, "branch", branch, "why", why)
	return nil
}

// lastHealthy is the newest release of a commit that was healthy with other objects, and is not held back.
func lastHealthy(past release.Past, bad release.Release) (release.Release, bool) {
	i := slices.IndexFunc(past.Releases, func(r release.Release) bool {
		return r.Proven() && r.Commit != "" && !r.Dirty && r.Digest != bad.Digest
	})
	if i < 0 {
		return release.Release{}, false
	}
	return past.Releases[i], true
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
	return slices.DeleteFunc(changed, func(name string) bool {
		return !hasRead(read, name) && !hasRead(before, name)
	}), nil
}

// hasRead reports whether a file was read, or one of a submodule.
func hasRead(read map[string]bool, name string) bool {
	if read[name] {
		return true
	}
	for file := range read {
		if strings.HasPrefix(file, name+"/") {
			return true
		}
	}
	return false
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
	fmt.Fprintf(&text, "\n%s runs the objects of commit %s again. What changed since is taken back in:\n",
		e.name, good)
	for _, name := range files {
		fmt.Fprintf(&text, "- %s\n", name)
	}
	fmt.Fprintf(&text, "\nFix the cause and push it: the fix is deployed. To deploy the same objects again, "+
		"run `slipway quarantine lift %s %d --reason TEXT`.\n\n%s%s\n", e.name, bad.Revision, trailer, bad.Digest)
	return text.String()
}
