package agent

import (
	"context"
	"errors"
	"maps"
	"time"

	"slipway/internal/git/forge"
	"slipway/internal/image"
	"slipway/internal/project"
	"slipway/internal/promote"
)

// checksEvery is how often the forge is asked for the checks of a commit at most.
const checksEvery = 15 * time.Second

// checked are the checks of commits as the forge had them a short while ago, and the commits of images.
type checked struct {
	commits   map[string]checkedCommit
	revisions map[string]string // by digest
}

type checkedCommit struct {
	checks []forge.Check
	err    error
	at     time.Time
}

// gateAccess is how this agent reads the gates of the environment.
func (p promoter) gateAccess() promote.Access {
	return promote.Access{
		Connect: p.gateSource,
		Names: func(ctx context.Context, from project.Environment) ([]image.Pin, error) {
			a, err := p.promoteJob(ctx, p.agent.children, promote.Job{From: &from})
			return a.Images, err
		},
		Notes:    p.openNotes,
		Checks:   p.checksOf,
		Revision: p.revisionOf,
		Held:     &p.past,
	}
}

// openNotes fetches the notes into the clone, which others use after Done.
func (p promoter) openNotes(ctx context.Context) (promote.Notes, error) {
	p.mirror.remote.notesMu.Lock()
	r := p.mirror.repository()
	if err := r.FetchNotes(ctx, p.mirror.upstream.Remote); err != nil {
		p.mirror.remote.notesMu.Unlock()
		return promote.Notes{}, err
	}
	return promote.Notes{Repository: r, Commit: p.commit, Done: p.mirror.remote.notesMu.Unlock}, nil
}

// checksOf asks the forge for the checks of a commit, not more often than it would mind.
func (p promoter) checksOf(ctx context.Context, commit string) ([]forge.Check, error) {
	if p.mirror.Forge == nil {
		return nil, errors.New("no forge is configured: the agent's configuration needs forge")
	}
	known := p.memory.checked.commits[commit]
	if time.Since(known.at) < min(checksEvery, time.Duration(4*p.mirror.Interval)) {
		return known.checks, known.err
	}
	known.checks, known.err = p.mirror.Forge.Checks(ctx, p.mirror.URL, commit)
	known.at = time.Now()
	c := &p.memory.checked
	maps.DeleteFunc(c.commits, func(_ string, old checkedCommit) bool { return time.Since(old.at) > time.Hour })
	if c.commits == nil {
		c.commits = map[string]checkedCommit{}
	}
	c.commits[commit] = known
	return known.checks, known.err
}

// revisionOf asks the registry once which commit an image was built from.
func (p promoter) revisionOf(ctx context.Context, pin image.Pin) (string, error) {
	c := &p.memory.checked
	if commit, known := c.revisions[pin.Digest]; known {
		return commit, nil
	}
	commit, err := image.Revision(ctx, pin, p.target.Reach(image.Options{}))
	if err == nil {
		if c.revisions == nil {
			c.revisions = map[string]string{}
		}
		c.revisions[pin.Digest] = commit
	}
	return commit, err
}
