package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/git/forge"
	"slipway/internal/release"
)

// trailer marks a revert with the objects that it takes back. It is how a second round is noticed.
const trailer = "Slipway-Quarantine: "

var (
	// errAgain says that what was reverted once has come back.
	errAgain = errors.New("what was reverted has come back, and is not reverted again")
	// errNoGood says that no healthy release names a commit to go back to.
	errNoGood = errors.New("no healthy release is of a commit of this branch")
)

// reverter takes back in Git what an environment was bad with.
type reverter struct {
	*reporter
	checkout
}

// revert takes back, in the files that the environment is rendered from, what changed between the last
// healthy release and the bad one, in a commit on top of the newest one. What changed since stays, as do
// other files.
func (w reverter) revert(ctx context.Context, bad release.Release, past release.Past) error {
	healthy, ok := lastHealthy(past, bad)
	if !ok {
		return errNoGood
	}
	if err := deploy.Barrier(ctx, w.target, healthy.Revision); err != nil {
		return err
	}
	if _, err := w.mirror.deepen(ctx); err != nil {
		return err
	}
	r, head := w.mirror.repository(), w.commit
	what := git.Reversion{Head: head, Bad: bad.Commit}
	since := bad.Commit
	if !r.Exists(ctx, bad.Commit) || bad.Dirty {
		what.Bad, since = head, healthy.Commit // it was deployed from elsewhere
	}
	if again, err := r.Mentions(ctx, since, head, trailer+bad.Digest); err != nil {
		return err
	} else if again != "" {
		return fmt.Errorf("%w: commit %s reverted it; run `slipway quarantine lift %s %d` if it is right now",
			errAgain, short(again), w.name, bad.Revision)
	}
	blame, err := w.blame(ctx, healthy.Commit, what)
	if err != nil {
		return err
	}
	if len(blame.files) == 0 {
		return fmt.Errorf("no file that %s is rendered from has changed since commit %s", w.name,
			short(healthy.Commit))
	}
	what.Good, what.Files = blame.good, blame.files
	p := proposal{files: blame.files, why: blame.doubt}
	p.commit, p.conflicts, err = r.Revert(ctx, what, func(left []git.Conflict) string {
		p.message = w.message(bad, what, left)
		return p.message
	}, author)
	if err == nil && p.commit == "" {
		err = fmt.Errorf("commit %s has nothing left of release %d to take back", short(head), bad.Revision)
	}
	if err != nil {
		return err
	}
	if err := w.agent.leadership.fence(ctx); err != nil {
		return err
	}
	return w.writeBack(ctx, p)
}

// proposal is a revert that was committed, and is on no branch yet.
type proposal struct {
	commit, message string
	files           []string
	conflicts       []git.Conflict
	why             string // it must not be pushed to the branch; empty: it may
}

// writeBack pushes a revert to the branch. Where it must not, where it would take back what others changed
// since, and where the branch is protected, it becomes a pull request.
func (w reverter) writeBack(ctx context.Context, p proposal) error {
	if len(p.conflicts) > 0 {
		var files []string
		for _, c := range p.conflicts {
			files = append(files, c.File)
		}
		p.why = "others have changed the same lines of " + strings.Join(slices.Compact(files), ", ") + " since"
	}
	if w.policy.WriteBack == Push && p.why == "" {
		err := w.mirror.repository().Push(ctx, w.mirror.upstream, p.commit)
		switch {
		case err == nil:
			w.log.Info("reverted on "+w.mirror.Branch, "revert", p.commit, "files", strings.Join(p.files, ", "))
			return nil
		case errors.Is(err, git.ErrMoved):
			w.log.Info("not reverted yet: " + err.Error() + ": the newer commit is looked at first")
			return nil
		case !errors.Is(err, git.ErrRefused):
			return err
		}
		p.why = err.Error()
	}
	return w.request(ctx, p)
}

// request pushes a revert to a branch of its own, and opens a pull request. Where no forge is configured the
// log says how.
func (w reverter) request(ctx context.Context, p proposal) error {
	branch := fmt.Sprintf("slipway/revert-%s-%s", w.name, short(w.commit))
	err := w.mirror.repository().Push(ctx, w.mirror.besides(branch), p.commit)
	if err != nil && !errors.Is(err, git.ErrMoved) {
		return err // ErrMoved: an earlier pass has pushed it, at another time
	}
	if w.mirror.Forge == nil {
		w.log.Warn(fmt.Sprintf("pushed the revert to %s: open a pull request of it into %s: no forge is configured",
			branch, w.mirror.Branch), "why", p.why)
		return nil
	}
	title, body, _ := strings.Cut(p.message, "\n\n")
	if p.why != "" {
		body = "This is not on " + w.mirror.Branch + " yet: " + p.why + ".\n\n" + body
	}
	page, err := w.mirror.Forge.Open(ctx, w.mirror.URL, forge.Request{
		Branch: branch, Into: w.mirror.Branch, Title: title, Body: body,
		Draft: len(p.conflicts) > 0,
	})
	if errors.Is(err, forge.ErrExists) {
		w.log.Info(err.Error(), "branch", branch)
		return nil
	}
	if err != nil {
		return fmt.Errorf("the revert is on %s: %w", branch, err)
	}
	w.log.Info("opened a pull request with the revert: "+page, "branch", branch, "why", p.why)
	return nil
}

// lastHealthy is the newest release of a commit that was healthy with other objects, and is not held back.
func lastHealthy(past release.Past, bad release.Release) (release.Release, bool) {
	here := past.Here() // a revert does not move the environment back to another namespace
	i := slices.IndexFunc(here, func(r release.Release) bool {
		return r.Proven() && r.Commit != "" && !r.Dirty && r.Digest != bad.Digest
	})
	if i < 0 {
		return release.Release{}, false
	}
	return here[i], true
}

// message says what was taken back, why, and whom to ask.
func (w reverter) message(bad release.Release, what git.Reversion, left []git.Conflict) string {
	var text strings.Builder
	outcome, verb := "failed", "failed"
	if by := bad.Quarantine.Who; by != "" {
		outcome, verb = "undone by "+by, "was undone by "+by
	}
	fmt.Fprintf(&text, "Revert %s to commit %s: release %d %s\n\n", w.name, short(what.Good), bad.Revision,
		outcome)
	fmt.Fprintf(&text, "Commit %s was release %d of %s, and %s:\n%s\n", bad.Commit, bad.Revision, w.name, verb,
		bad.Quarantine.Reason)
	for _, evidence := range bad.Evidence {
		fmt.Fprintf(&text, "- %s: %s", evidence.Ref, evidence.Cause)
		if evidence.Field != "" {
			fmt.Fprintf(&text, " (%s, %s)", evidence.Field, evidence.Origin)
		}
		text.WriteByte('\n')
	}
	fmt.Fprintf(&text, "\n%s runs the objects of commit %s again. Changes since then are reverted in:\n",
		w.name, what.Good)
	for _, name := range what.Files {
		fmt.Fprintf(&text, "- %s\n", name)
	}
	describeConflicts(&text, what, left)
	fmt.Fprintf(&text, "\nFix the cause and push it: the fix is deployed. To deploy the same objects again, "+
		"run `slipway quarantine lift %s %d --reason TEXT`.\n\n%s%s\n%s", w.name, bad.Revision, trailer, bad.Digest,
		coAuthor(bad.Quarantine.Who))
	return text.String()
}

// coAuthor is the trailer that names the person who had a commit reverted; empty: the agent did by itself.
func coAuthor(who string) string {
	name, rest, hasAddress := strings.Cut(who, " <")
	switch local, _, isAddress := strings.Cut(who, "@"); {
	case who == "":
		return ""
	case hasAddress:
		return fmt.Sprintf("Co-authored-by: %s <%s\n", name, rest)
	case isAddress:
		return fmt.Sprintf("Co-authored-by: %s <%s>\n", local, who)
	}
	return fmt.Sprintf("Co-authored-by: %s <>\n", who)
}

// describeConflicts says which lines of a revert a person has to decide on.
func describeConflicts(text *strings.Builder, what git.Reversion, left []git.Conflict) {
	if len(left) == 0 {
		return
	}
	fmt.Fprintf(text, "\nUndecided: others have changed these lines since. Here they are as commit %s had "+
		"them; decide on each before this is merged.\n", short(what.Good))
	quote := func(who, lines string) {
		if lines == "" {
			fmt.Fprintf(text, "  %s has none of them\n", who)
			return
		}
		fmt.Fprintf(text, "  %s has\n", who)
		for l := range strings.Lines(lines) {
			fmt.Fprintf(text, "      %s\n", strings.TrimRight(l, "\n"))
		}
	}
	for _, c := range left {
		if c.Line == 0 {
			fmt.Fprintf(text, "- %s, the whole file\n", c.File)
			continue
		}
		fmt.Fprintf(text, "- %s, line %d\n", c.File, c.Line)
		quote("commit "+short(what.Head), c.Head)
		quote("this revert", c.Good)
	}
}
