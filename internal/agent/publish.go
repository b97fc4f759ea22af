package agent

import (
	"context"
	"fmt"
	"os"

	"slipway/internal/deploy"
	"slipway/internal/promote"
)

// Verdicts are how verdicts are published.
type Verdicts struct {
	// KeyFile is an SSH private key without a passphrase, which signs them. It is read each time.
	KeyFile string `yaml:"keyFile"`
}

// published is the verdict that was published last.
type published struct {
	commit  string
	verdict promote.Verdict
}

// publish writes the verdict on the newest commit into its Git note, when it has changed or was published
// long ago. An environment that is not settled has none.
func (e *environment) publish(ctx context.Context) error {
	if e.mirror.Verdicts == nil || !e.looked {
		return nil
	}
	var v promote.Verdict
	switch s := e.Status(); s.Verdict {
	case Synced:
		c, err := deploy.Health(ctx, e.target, e.past.Latest)
		if err != nil {
			return fmt.Errorf("publish the verdict: %w", err)
		}
		v = promote.VerdictOn(e.name, e.past, c.Healthy, c.Text)
	case Quarantined, Refused, Unproven:
		v = promote.VerdictOn(e.name, e.past, false, s.Message)
	default:
		return nil
	}
	last := e.published
	isSame := last.commit == e.commit && last.verdict.Healthy == v.Healthy &&
		last.verdict.Message == v.Message && last.verdict.Release == v.Release
	if isSame && v.Time.Sub(last.verdict.Time) < promote.VerdictEvery {
		return nil
	}
	key, err := os.ReadFile(e.mirror.Verdicts.KeyFile)
	if err != nil {
		return fmt.Errorf("publish the verdict: %w", err)
	}
	signed, err := v.Sign(e.commit, key)
	if err != nil {
		return err
	}
	if err := e.agent.leadership.fence(ctx); err != nil {
		return err
	}
	e.mirror.remote.notesMu.Lock()
	defer e.mirror.remote.notesMu.Unlock()
	err = signed.Publish(ctx, e.mirror.repository(), e.mirror.upstream.Remote, e.commit, author)
	if err != nil {
		return fmt.Errorf("publish the verdict: %w", err)
	}
	e.published = published{e.commit, v}
	e.log.Debug("published the verdict", "commit", e.commit, "healthy", v.Healthy)
	return nil
}
