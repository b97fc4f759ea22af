package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/git/forge"
	"slipway/internal/image"
	"slipway/internal/project"
	"slipway/internal/promote"
)

// promotion is what the agent remembers of promotions to an environment. All of it can be found again.
type promotion struct {
	// done: this commit needs no promotion of this release.
	done looked
	// mark and before are those of the first try: where an image has become another one since, a person was
	// faster.
	mark   string
	before []image.Pin
	// ask is when registries are asked for tags again, after so many failures.
	ask      time.Time
	failures int
}

// looked is a commit of an environment, with the release of the other one that was looked at.
type looked struct {
	commit  string
	release int
}

// promote writes the images of the environment that the gates name into the files of this one, where the
// policy says so and the gates are open.
func (e *environment) promote(ctx context.Context) error {
	if e.policy.Promote == Never || !e.looked || e.wanted != "" || e.next != nil {
		return nil
	}
	gates := e.target.Environment.Gates
	if len(e.target.Environment.Follow) > 0 {
		return e.followTags(ctx)
	}
	if gates == nil {
		e.notePromotion("no promotion: %s has neither gates nor follow in slipway.yaml", e.name)
		return nil
	}
	proof, err := e.prove(ctx, gates)
	if errors.Is(err, errDone) {
		return nil
	}
	if err == nil {
		err = promote.CheckApprovals(ctx, e.target, proof)
	}
	if shut := (*promote.GateError)(nil); errors.As(err, &shut) {
		e.notePromotion("the gate of %s is shut: %s", e.name, shut.Why)
		return nil
	}
	if err != nil {
		return err
	}
	if rel, pin, held := e.past.QuarantinedImage(proof.Images); held {
		e.notePromotion("%s is not promoted: release %d of %s is in quarantine: %s", pin.Reference(), rel.Revision,
			e.name, rel.Quarantine.Reason)
		return nil // a person may lift it
	}
	what := fmt.Sprintf("release %d of %s", proof.Release.Revision, proof.Environment)
	done, err := e.promoteImages(ctx, proof.Images, what, []string{proof.String()})
	if done {
		e.promotion.done = looked{e.commit, proof.Release.Revision}
	}
	return err
}

// errDone says that the newest commit needs no promotion of the newest release.
var errDone = errors.New("looked at already")

// prove returns what the gates ask for: by the published verdict where they name its key, else by the record.
func (e *environment) prove(ctx context.Context, gates *project.Gates) (promote.Proof, error) {
	if gates.Verdict != "" {
		if e.promotion.done.commit == e.commit {
			return promote.Proof{}, errDone
		}
		e.mirror.remote.notesMu.Lock()
		defer e.mirror.remote.notesMu.Unlock()
		return promote.ProveByVerdict(ctx, e.target, e.mirror.repository(), e.mirror.upstream.Remote)
	}
	source, err := e.gateSource(gates.From)
	if err != nil {
		return promote.Proof{}, err
	}
	past, err := source.Records().Past(ctx)
	if err != nil {
		return promote.Proof{}, fmt.Errorf("promote from %s: %w", gates.From, err)
	}
	now := looked{e.commit, past.Latest.Revision}
	if now == e.promotion.done && now.release != 0 {
		return promote.Proof{}, errDone
	}
	return promote.Prove(ctx, e.target, source, past, func(ctx context.Context) ([]image.Pin, error) {
		a, err := e.promoteJob(ctx, promote.Job{From: &source.Environment})
		return a.Images, err
	})
}

// gateSource is the environment that images come from. Where this agent keeps it, it is reached as that entry
// says, else as slipway.yaml does.
func (e *environment) gateSource(name string) (deploy.Target, error) {
	env, err := e.target.Source.Project.Environment(name)
	if err != nil {
		return deploy.Target{}, err
	}
	o := e.agent.options.Connect
	if p, kept := e.mirror.Environments[name]; kept {
		o.Context, o.Account = p.Context, p.ServiceAccount
		if p.Namespace != "" {
			o.Namespace = p.Namespace
		}
	}
	t, err := deploy.Connect(e.target.Source, env, o)
	t.Render = e.agent.options.Render
	return t, err
}

// promoteImages promotes images, which are those of what, for some reasons. It returns true where nothing is
// left to do for them.
func (e *environment) promoteImages(
	ctx context.Context, pins []image.Pin, what string, why []string,
) (bool, error) {
	a, err := e.promoteJob(ctx, promote.Job{Pins: pins})
	switch {
	case err != nil:
		return false, fmt.Errorf("promote %s: %w", what, err)
	case len(a.Files) == 0:
		e.notePromotion("runs the images of %s", what)
		return true, nil
	}
	mark := promote.Mark(e.name, a.Images)
	if e.promotion.mark != mark {
		e.promotion.mark, e.promotion.before = mark, a.Before
	}
	if !slices.Equal(e.promotion.before, a.Before) {
		e.notePromotion("%s is not promoted: another promotion was faster", what)
		return true, nil
	}
	if _, err := e.mirror.deepen(ctx); err != nil {
		return false, err
	}
	r := e.mirror.repository()
	if was, err := r.Mentions(ctx, "", e.commit, mark); err != nil {
		return false, err
	} else if was != "" {
		e.notePromotion("commit %s promoted the images of %s, and they were taken back since: run "+
			"`slipway promote` for %s if they are right now", short(was), what, e.name)
		return true, nil
	}
	draft, err := promote.Compose(ctx, e.target, r, a, why, author)
	if older := (*promote.OlderError)(nil); errors.As(err, &older) {
		e.notePromotion("%s", older)
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if err := e.agent.leadership.fence(ctx); err != nil {
		return false, err
	}
	return e.deliver(ctx, draft)
}

// deliver pushes a promotion to the branch. As a pull request it is for people to merge, also where the
// branch is protected.
func (e *environment) deliver(ctx context.Context, d promote.Draft) (bool, error) {
	if e.policy.Promote == Push {
		err := e.mirror.repository().Push(ctx, e.mirror.upstream, d.Commit)
		switch {
		case err == nil:
			e.notePromotion("promoted by commit %s: %s", short(d.Commit), d.Title)
			e.announce("Promoted", d.Title, false)
			select {
			case e.mirror.remote.poke <- struct{}{}:
			default: // asked already
			}
			return true, nil
		case errors.Is(err, git.ErrMoved):
			e.log.Info("not promoted yet: " + err.Error() + ": the newer commit is looked at first")
			return false, nil
		case !errors.Is(err, git.ErrRefused):
			return false, err
		}
		e.log.Warn("promoting by pull request: " + err.Error())
	}
	branch := promote.Branch(e.name)
	to := git.Upstream{Branch: branch, Remote: e.mirror.upstream.Remote, Ref: "refs/heads/" + branch}
	_, err := promote.PushOver(ctx, e.mirror.repository(), to, d)
	switch {
	case errors.Is(err, git.ErrMoved):
		return false, nil // the next pass fetches it
	case errors.Is(err, promote.ErrOthersCommits):
		e.notePromotion("not promoted: %v", err)
		return true, nil
	case err != nil:
		return false, err
	case e.mirror.Forge == nil:
		e.notePromotion("pushed the promotion to %s: open a pull request of it into %s: no forge is configured",
			branch, e.mirror.Branch)
		return true, nil
	}
	page, _, err := e.mirror.Forge.Propose(ctx, e.mirror.URL, forge.Request{
		Branch: branch, Into: e.mirror.Branch, Title: d.Title, Body: d.Body,
	})
	if err != nil {
		return false, fmt.Errorf("the promotion is on %s: %w", branch, err)
	}
	e.notePromotion("waits for pull request %s: %s", page, d.Title)
	return true, nil
}

// promoteJob does a job of a promotion in a process of its own, on the newest commit.
func (e *environment) promoteJob(ctx context.Context, job promote.Job) (promote.Answer, error) {
	src := e.target.Source
	job.Project, job.Environment, job.Render = src.Project, e.target.Environment, e.target.Render
	for range maxRounds {
		var a promote.Answer
		text, err := e.agent.children.Do(ctx, task{Promote: &job}, nil)
		if err == nil {
			err = utiljson.Unmarshal(text, &a)
		}
		if err != nil {
			return a, err
		}
		more, err := e.files.need(ctx, src.Path, a.Touched)
		switch {
		case err != nil:
			return a, err
		case more:
			continue
		}
		if err := e.files.why(src.Path, a.Touched); err != nil {
			return a, err
		}
		if a.Error != "" {
			err = errors.New(a.Error)
		}
		return a, err
	}
	return promote.Answer{}, errTooManyRounds
}

// notePromotion puts a sentence into the status, and logs it once.
func (e *environment) notePromotion(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if text == e.Status().Promotion {
		return
	}
	e.update(func(s *Status) { s.Promotion = text })
	e.log.Info(text, "commit", e.commit)
}
