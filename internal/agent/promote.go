package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"slipway/internal/agent/child"
	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/git/forge"
	"slipway/internal/image"
	"slipway/internal/project"
	"slipway/internal/promote"
	"slipway/internal/release"
)

// promotion is what the agent remembers of promotions to an environment. All of it can be found again.
type promotion struct {
	// done: this commit needs no promotion of this release.
	done pairing
	// mark and before are those of the first try: where an image has become another one since, a person was
	// faster.
	mark   string
	before []image.Pin
	// ask is when registries are asked for tags again, after so many failures.
	ask      time.Time
	failures int
	checked  checked
}

// pairing is a commit of an environment, with a release of the one that images come from.
type pairing struct {
	commit  string
	release int
}

// promoter writes images into the files of an environment, by commits.
type promoter struct {
	*reporter
	checkout
	past   release.Past
	memory *promotion
}

// promote writes the images of the environment that the gates name into the files of this one, where the
// policy says so and the gates are open.
func (p promoter) promote(ctx context.Context) error {
	gates := p.target.Environment.Gates
	if gates == nil {
		p.notePromotion("no promotion: %s has neither gates nor follow in slipway.yaml", p.name)
		return nil
	}
	d, err := p.decide(ctx, gates)
	if errors.Is(err, errDone) {
		return nil
	}
	if err != nil {
		return err
	}
	p.update(func(s *Status) { s.Gates = d.Gates })
	held := (*deploy.QuarantinedError)(nil)
	if err := d.Err(); errors.As(err, &held) {
		p.notePromotion("%s", d.Why())
		return nil // a person may lift it
	} else if err != nil {
		p.notePromotion("the gate of %s is shut: %s", p.name, d.Why())
		return nil
	}
	proof := d.Proof
	what := fmt.Sprintf("release %d of %s", proof.Release.Revision, proof.Environment)
	done, err := p.promoteImages(ctx, proof.Images, what, []string{proof.String()})
	if done {
		p.memory.done = pairing{p.commit, proof.Release.Revision}
	}
	return err
}

// errDone says that the newest commit needs no promotion of the newest release.
var errDone = errors.New("looked at already")

// decide looks at the gates: by the published verdict where they name its key, else by the record.
func (p promoter) decide(ctx context.Context, gates *project.Gates) (promote.Decision, error) {
	env, err := p.target.Source.Project.Environment(gates.From)
	if err != nil {
		return promote.Decision{}, err
	}
	a := p.gateAccess()
	if gates.Verdict != "" {
		if p.memory.done.commit == p.commit {
			return promote.Decision{}, errDone
		}
		return promote.Decide(ctx, p.target, env, a)
	}
	source, err := p.gateSource(env)
	if err != nil {
		return promote.Decision{}, err
	}
	past, err := source.Records().Past(ctx)
	if err != nil {
		return promote.Decision{}, fmt.Errorf("promote from %s: %w", gates.From, err)
	}
	now := pairing{p.commit, past.Latest.Revision}
	if now == p.memory.done && now.release != 0 {
		return promote.Decision{}, errDone
	}
	a.Past = &past
	return promote.Decide(ctx, p.target, env, a)
}

// gateSource is the environment that images come from. Where this agent keeps it, it is reached as that entry
// says, else as slipway.yaml does.
func (p promoter) gateSource(env project.Environment) (deploy.Target, error) {
	o := p.agent.options.Connect
	if is, kept := p.mirror.Environments[env.Name]; kept {
		o.Context, o.Account = is.Context, is.ServiceAccount
		if is.Namespace != "" {
			o.Namespace = is.Namespace
		}
	}
	t, err := deploy.Connect(p.target.Source, env, o)
	t.Render = p.agent.options.Render
	return t, err
}

// promoteImages promotes images, which are those of what, for some reasons. It returns true where nothing is
// left to do for them.
func (p promoter) promoteImages(
	ctx context.Context, pins []image.Pin, what string, why []string,
) (bool, error) {
	a, err := p.promoteJob(ctx, p.agent.children, promote.Job{Pins: pins})
	switch {
	case err != nil:
		return false, fmt.Errorf("promote %s: %w", what, err)
	case len(a.Files) == 0:
		p.notePromotion("runs the images of %s", what)
		return true, nil
	}
	overruled, err := p.overruled(ctx, a, what)
	if err != nil {
		return false, fmt.Errorf("promote %s: %w", what, err)
	}
	if overruled != "" {
		p.notePromotion("%s", overruled)
		return true, nil
	}
	signature := promote.Signature{By: author, Why: why}
	draft, err := promote.Compose(ctx, p.target, p.mirror.repository(), a, signature)
	if older := (*promote.OlderError)(nil); errors.As(err, &older) {
		p.notePromotion("%s", older)
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("promote %s: %w", what, err)
	}
	if err := p.agent.leadership.fence(ctx); err != nil {
		return false, err
	}
	note, done, err := p.deliver(ctx, draft, p.policy.Promote)
	if note != "" {
		p.notePromotion("%s", note)
	}
	return done, err
}

// overruled says how a person has decided against a promotion: by another one since its first try, or by a
// commit that took it back. Empty: no person has.
func (p promoter) overruled(ctx context.Context, a promote.Answer, what string) (string, error) {
	mark := promote.Mark(p.name, a.Images)
	if p.memory.mark != mark {
		p.memory.mark, p.memory.before = mark, a.Before
	}
	if !slices.Equal(p.memory.before, a.Before) {
		return what + " is not promoted: another promotion came first", nil
	}
	if _, err := p.mirror.deepen(ctx); err != nil {
		return "", err
	}
	was, err := p.mirror.repository().Mentions(ctx, "", p.commit, mark)
	if err != nil || was == "" {
		return "", err
	}
	return fmt.Sprintf("commit %s promoted the images of %s, and a later commit reverted them: run "+
		"`slipway promote` for %s to promote them again", short(was), what, p.name), nil
}

// deliver writes a promotion to Git, and says what became of it: to the branch, or where the policy wants
// that and where the branch is protected, to one of its own. It returns false where the promotion must be
// tried again.
func (p promoter) deliver(
	ctx context.Context, d promote.Draft, way string,
) (note string, done bool, err error) {
	if way != Push {
		return p.request(ctx, d)
	}
	err = p.mirror.repository().Push(ctx, p.mirror.upstream, d.Commit)
	switch {
	case err == nil:
		p.announce("Promoted", d.Title, false)
		p.mirror.remote.askForPoll()
		return fmt.Sprintf("promoted by commit %s: %s", short(d.Commit), d.Title), true, nil
	case errors.Is(err, git.ErrMoved):
		p.log.Info("not promoted yet: " + err.Error() + ": the newer commit is looked at first")
		return "", false, nil
	case errors.Is(err, git.ErrRefused):
		p.log.Warn("promoting by pull request: " + err.Error())
		return p.request(ctx, d)
	}
	return "", false, err
}

// request pushes a promotion to a branch of its own, and opens a pull request for people to merge.
func (p promoter) request(ctx context.Context, d promote.Draft) (note string, done bool, err error) {
	branch := promote.Branch(p.name)
	_, err = promote.PushOver(ctx, p.mirror.repository(), p.mirror.besides(branch), d)
	switch {
	case errors.Is(err, git.ErrMoved):
		return "", false, nil // the next pass fetches it
	case errors.Is(err, promote.ErrOthersCommits):
		return fmt.Sprintf("not promoted: %v", err), true, nil
	case err != nil:
		return "", false, err
	case p.mirror.Forge == nil:
		return fmt.Sprintf("pushed the promotion to %s: open a pull request of it into %s: no forge is configured",
			branch, p.mirror.Branch), true, nil
	}
	page, _, err := p.mirror.Forge.Propose(ctx, p.mirror.URL, forge.Request{
		Branch: branch, Into: p.mirror.Branch, Title: d.Title, Body: d.Body,
	})
	if err != nil {
		return "", false, fmt.Errorf("the promotion is on %s: %w", branch, err)
	}
	return fmt.Sprintf("waits for pull request %s: %s", page, d.Title), true, nil
}

// promoteJob does a job of a promotion in a process of its own, on this commit.
func (c checkout) promoteJob(
	ctx context.Context, children *child.Pool, job promote.Job,
) (promote.Answer, error) {
	src := c.target.Source
	job.Project, job.Environment, job.Render = src.Project, c.target.Environment, c.target.Render
	var a promote.Answer
	err := inRounds(func() (bool, error) {
		a = promote.Answer{}
		text, err := children.Do(ctx, task{Promote: &job}, nil)
		if err == nil {
			err = utiljson.Unmarshal(text, &a)
		}
		if err != nil {
			return false, nameLimit(err)
		}
		return c.files.complete(ctx, src.Path, a.Touched)
	})
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	return a, err
}
