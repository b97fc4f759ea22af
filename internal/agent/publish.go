package agent

import (
	"context"
	"fmt"
	"os"
	"time"

	"slipway/internal/deploy"
	"slipway/internal/git/forge"
	"slipway/internal/project"
	"slipway/internal/promote"
)

// Verdicts are how verdicts are published.
type Verdicts struct {
	// KeyFile is an SSH private key without a passphrase, which signs them. It is read each time.
	KeyFile string `yaml:"keyFile"`
}

// Where verdicts are published beside Git notes.
const (
	StatusVerdicts     = "status"     // as commit statuses of the forge
	DeploymentVerdicts = "deployment" // as deployments of GitHub or GitLab
)

// publisher is the step that tells others the verdict on a commit.
type publisher struct {
	*state
	last     map[string]said // by where: "note", or one of the above
	failures int             // of the forge, in a row
	ask      time.Time       // when the forge is asked again
}

type said struct {
	commit  string
	verdict promote.Verdict
}

// isSame says whether a verdict tells nothing new. The time when the agent looked does not count.
func (s said) isSame(commit string, v promote.Verdict) bool {
	return s.commit == commit && s.verdict.Healthy == v.Healthy && s.verdict.Message == v.Message &&
		s.verdict.Release == v.Release
}

func (p *publisher) note(where string, v promote.Verdict) {
	if p.last == nil {
		p.last = map[string]said{}
	}
	p.last[where] = said{p.commit, v}
}

// publish tells others the verdict on the newest commit, when it has changed: in its Git note, and at the
// forge. An environment that is not settled has none.
func (p *publisher) publish(ctx context.Context, badSince time.Time) error {
	if p.mirror.Verdicts == nil && len(p.mirror.Publish) == 0 || !p.looked {
		return nil
	}
	var v promote.Verdict
	s := p.Status()
	switch s.Verdict {
	case Synced:
		c, err := deploy.Health(ctx, p.target, p.past.Latest)
		if err != nil {
			return fmt.Errorf("publish the verdict: %w", err)
		}
		v = promote.VerdictOn(p.name, p.past, c.Healthy, c.Text)
	case Quarantined, Refused, Unproven:
		v = promote.VerdictOn(p.name, p.past, false, s.Message)
	default:
		return nil
	}
	if !v.Healthy {
		v.Since = badSince.UTC()
	}
	p.publishAtForge(ctx, v, s)
	if p.mirror.Verdicts == nil {
		return nil
	}
	return p.publishNote(ctx, v)
}

// publishNote writes a verdict into the Git note of the commit, also when the last one is old: readers take a
// verdict that is not repeated for that of an agent that has stopped.
func (p *publisher) publishNote(ctx context.Context, v promote.Verdict) error {
	last := p.last["note"]
	if last.isSame(p.commit, v) && v.Time.Sub(last.verdict.Time) < promote.VerdictEvery {
		return nil
	}
	key, err := os.ReadFile(p.mirror.Verdicts.KeyFile)
	if err != nil {
		return fmt.Errorf("publish the verdict: %w", err)
	}
	signed, err := v.Sign(p.commit, key)
	if err != nil {
		return err
	}
	if err := p.agent.leadership.fence(ctx); err != nil {
		return err
	}
	p.mirror.remote.notesMu.Lock()
	defer p.mirror.remote.notesMu.Unlock()
	err = signed.Publish(ctx, p.mirror.repository(), p.mirror.upstream.Remote, p.commit, author)
	if err != nil {
		return fmt.Errorf("publish the verdict: %w", err)
	}
	p.note("note", v)
	p.log.Debug("published the verdict", "commit", p.commit, "healthy", v.Healthy)
	return nil
}

// publishAtForge tells the forge a verdict. A forge that does not take it is asked later and later; nothing
// else waits for it.
func (p *publisher) publishAtForge(ctx context.Context, v promote.Verdict, s Status) {
	for _, where := range p.mirror.Publish {
		isDeployed := s.Verdict != Refused
		if p.last[where].isSame(p.commit, v) || where == DeploymentVerdicts && !isDeployed ||
			time.Now().Before(p.ask) {
			continue
		}
		err := p.agent.leadership.fence(ctx)
		if err == nil {
			err = p.tellForge(ctx, where, v, s)
		}
		if err != nil {
			p.failures++
			p.ask = time.Now().Add(backoff(p.mirror.Interval, p.failures))
			p.notePublishing(fmt.Sprintf("the verdict on commit %s is not published: %v", short(p.commit), err))
			return
		}
		p.note(where, v)
		p.failures, p.ask = 0, time.Time{}
		p.notePublishing("")
		p.log.Debug("published the verdict", "as", where, "commit", p.commit, "healthy", v.Healthy)
	}
}

func (p *publisher) tellForge(ctx context.Context, where string, v promote.Verdict, s Status) error {
	text := s.Message
	if s.Verdict == Synced && !v.Healthy {
		text = fmt.Sprintf("release %d is not healthy: %s", v.Release, v.Message)
	}
	to := forge.Verdict{
		Commit: p.commit, Environment: p.name, Healthy: v.Healthy, Text: text, Branch: p.mirror.Branch,
		Production: p.target.Environment.Class == project.Production,
	}
	if where == DeploymentVerdicts {
		return p.mirror.Forge.SetDeployment(ctx, p.mirror.URL, to)
	}
	return p.mirror.Forge.SetStatus(ctx, p.mirror.URL, to)
}

// notePublishing puts why a verdict is not published into the status, and logs it once; empty: it is.
func (r *reporter) notePublishing(text string) {
	if r.set(func(s *Status) *string { return &s.Publishing }, text) && text != "" {
		r.log.Warn(text)
	}
}
