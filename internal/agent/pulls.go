package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slipway/internal/cluster"
	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/git/forge"
	"slipway/internal/project"
	"slipway/internal/render/tree"
)

// pulls looks after the open pull requests into the branch of one entry of the configuration. Those of forks
// are left alone: who cannot push to the repository must not have anything rendered here.
type pulls struct {
	mirror   *mirror
	agent    *Agent
	log      *slog.Logger
	planned  []*environment // those that allow plans
	previews *previews      // nil: none are wanted
	known    map[pullIn]pullAt
	failures int
	failed   string // as it was logged last
}

// pullIn is a pull request in an environment, and pullAt what its plan was made from.
type pullIn struct {
	pull        int
	environment string
}

type pullAt struct {
	commit, base string
	release      int
}

// newPulls returns nil where the entry does nothing about pull requests.
func newPulls(a *Agent, f *follower) *pulls {
	p := &pulls{mirror: f.mirror, agent: a, log: a.options.Log, known: map[pullIn]pullAt{}}
	for _, e := range f.environments {
		if e.policy.OnPullRequest == Plan {
			p.planned = append(p.planned, e)
		}
	}
	if f.mirror.Previews != nil {
		p.previews = newPreviews(a, f.mirror)
	}
	if len(p.planned) == 0 && p.previews == nil {
		return nil
	}
	return p
}

// follow looks at the pull requests until the context ends. A forge that does not answer is asked later and
// later; nothing else waits for it.
func (p *pulls) follow(ctx context.Context) {
	if p.previews != nil {
		defer p.previews.work.Wait()
	}
	for cluster.Sleep(ctx, backoff(2*p.mirror.Interval, p.failures)) {
		err := p.look(ctx)
		if ctx.Err() != nil {
			return
		}
		text := ""
		if p.failures++; err == nil {
			p.failures = 0
		} else {
			text = "pull requests into " + p.mirror.String() + ": " + err.Error()
		}
		if text != p.failed && text != "" {
			p.log.Warn(text)
		}
		p.failed = text
	}
}

// look plans the pull requests that have changed, or whose environment has.
func (p *pulls) look(ctx context.Context) error {
	open, err := p.mirror.Forge.Pulls(ctx, p.mirror.URL, p.mirror.Branch)
	if err != nil {
		return err
	}
	open = slices.DeleteFunc(open, func(is forge.Pull) bool { return is.Fork || !isPlainBranch(is.Branch) })
	maps.DeleteFunc(p.known, func(k pullIn, _ pullAt) bool {
		return !slices.ContainsFunc(open, func(is forge.Pull) bool { return is.Number == k.pull })
	})
	var errs []error
	if p.previews != nil {
		errs = append(errs, p.previews.keep(ctx, open))
	}
	for _, is := range open {
		for _, e := range p.planned {
			s := e.Status()
			at := pullAt{is.Commit, s.Seen, s.Release}
			if s.Seen == "" || p.known[pullIn{is.Number, e.name}] == at {
				continue
			}
			if err := p.plan(ctx, e, is, s.Seen); err != nil {
				errs = append(errs, fmt.Errorf("plan pull request %d for %s: %w", is.Number, e.name, err))
				continue
			}
			p.known[pullIn{is.Number, e.name}] = at
		}
	}
	return errors.Join(errs...)
}

// isPlainBranch says that git reads a name as that of a branch, and as nothing else.
func isPlainBranch(name string) bool {
	return name != "" && !strings.HasPrefix(name, "-") && !strings.HasPrefix(name, "+") &&
		!strings.ContainsAny(name, ":*?[\\^~ \x00\n")
}

// plan comments what merging a pull request into the base would change in an environment.
func (p *pulls) plan(ctx context.Context, e *environment, is forge.Pull, base string) error {
	commit, merges, err := p.merged(ctx, is, base)
	if err != nil || commit == "" {
		return err
	}
	text := fmt.Sprintf("**slipway plan** %s: none: this branch is in conflict with %s\n", e.name,
		p.mirror.Branch)
	if merges {
		if text, err = p.describe(ctx, e, commit, base); err != nil {
			return err
		}
	}
	text += fmt.Sprintf("\nOf commit %s, merged into %s at %s. The Slipway agent has read the cluster, and "+
		"changed nothing.\n", short(is.Commit), p.mirror.Branch, short(base))
	if err := p.agent.leadership.fence(ctx); err != nil {
		return err
	}
	if err := p.mirror.Forge.Comment(ctx, p.mirror.URL, is.Number, "slipway plan "+e.name, text); err != nil {
		return err
	}
	p.log.Info(fmt.Sprintf("planned pull request %d", is.Number), "environment", e.name, "commit", is.Commit)
	return nil
}

// merged returns the commit that merging a pull request would give, and false where it cannot be merged. The
// commit is empty while the branch is at another one than the forge says: it has just moved.
func (p *pulls) merged(ctx context.Context, is forge.Pull, base string) (string, bool, error) {
	tip, err := p.mirror.fetchPull(ctx, is)
	if err != nil || tip != is.Commit {
		return "", false, err
	}
	if _, err := p.mirror.deepen(ctx); err != nil {
		return "", false, err
	}
	commit, merges, err := p.mirror.repository().Merge(ctx, base, tip, author)
	if err == nil && !merges {
		commit = tip
	}
	return commit, merges, err
}

// fetchPull fetches the branch of a pull request, and returns its commit.
func (m *mirror) fetchPull(ctx context.Context, is forge.Pull) (commit string, err error) {
	err = m.remote.use(ctx, func(clone *git.Mirror) (err error) {
		commit, err = clone.FetchInto(ctx, is.Branch, fmt.Sprintf("refs/slipway/pull/%d", is.Number))
		return err
	})
	return commit, nameLimit(err)
}

// describe plans a commit for an environment, in Markdown. Refusals are part of the text: they are about the
// pull request. It fails where the cluster does not answer.
func (p *pulls) describe(ctx context.Context, e *environment, commit, base string) (string, error) {
	t, remove, err := e.toPlan(ctx, commit, base)
	if remove != nil {
		defer remove()
	}
	var proposal deploy.Proposal
	if err == nil {
		o := deploy.ProposeOptions{OnlyHere: true, Permits: deploy.Permits{TakeOver: e.policy.TakeOver}}
		proposal, err = deploy.Propose(ctx, t, o)
	} else {
		t.Environment.Name = e.name
	}
	if unreachable := (*cluster.UnreachableError)(nil); errors.As(err, &unreachable) || ctx.Err() != nil {
		return "", err
	}
	return p.agent.options.Describe(ctx, t, proposal, err), nil
}

// toPlan reads the commit of a pull request for its plan.
func (e entry) toPlan(ctx context.Context, commit, base string) (deploy.Target, func(), error) {
	t, remove, err := e.readUntrusted(ctx, commit)
	if err == nil {
		err = e.staysInPlace(ctx, t.Source.Project, base)
	}
	return t, remove, err
}

// readUntrusted reads a commit that was not approved yet. Its manifests can neither look at the cluster nor
// use a decrypted file: what they yield is shown to all who may read the pull request.
func (e entry) readUntrusted(ctx context.Context, commit string) (deploy.Target, func(), error) {
	src, files, err := e.mirror.at(ctx, commit)
	if err != nil {
		return deploy.Target{}, nil, fmt.Errorf("read the commit: %w", err)
	}
	remove := func() { e.mirror.remote.give(files) }
	t, err := e.connect(src)
	if err != nil {
		return t, remove, err
	}
	if slices.ContainsFunc(t.Environment.Charts, func(c project.Chart) bool { return c.Lookup }) {
		err := errors.New("one of its charts reads the cluster (lookup: true), which is not allowed for a pull " +
			"request")
		return t, remove, err
	}
	t.Render.Encrypted = true
	reads := new([]tree.Read)
	isolated := e.isolate(files, reads)
	t.Isolate = func(ctx context.Context, job deploy.Job, _ deploy.LookupFunc) (deploy.Answer, error) {
		a, err := isolated(ctx, job, nil)
		if name := files.encrypted(src.Path, *reads); err == nil && name != "" {
			err = fmt.Errorf("%s is encrypted with SOPS, and is not decrypted for a pull request", name)
		}
		return a, err
	}
	return t, remove, nil
}

// staysInPlace fails where a pull request points an environment at another cluster or namespace: its plan
// would show the objects there.
func (e entry) staysInPlace(ctx context.Context, in project.Project, base string) error {
	is, err := in.Environment(e.name)
	if err != nil {
		return err
	}
	src, files, err := e.mirror.at(ctx, base)
	if err != nil {
		return fmt.Errorf("read commit %s: %w", short(base), err)
	}
	defer e.mirror.remote.give(files)
	was, err := src.Project.Environment(e.name)
	if err != nil || was.Context != is.Context || was.Namespace != is.Namespace {
		return fmt.Errorf("it changes the context or the namespace of %s, and is not planned", e.name)
	}
	return nil
}

// encrypted returns the first file that was looked at and that SOPS has encrypted; empty: there is none.
func (s *snapshot) encrypted(dir string, looked []tree.Read) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range looked {
		real, ok := s.resolve(filepath.ToSlash(filepath.Join(dir, r.Path)))
		if !ok || r.Kind != tree.File || !s.written[real] {
			continue
		}
		text, err := os.ReadFile(filepath.Join(s.root, filepath.FromSlash(real)))
		if err == nil && strings.Contains(string(text), "ENC[AES256_GCM,") {
			return real
		}
	}
	return ""
}
