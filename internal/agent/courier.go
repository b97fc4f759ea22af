package agent

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"

	"slipway/internal/agent/notify"
)

const (
	// maxNotices bounds what one receiver is told in noticesIn: a chat is not a log.
	maxNotices = 30
	noticesIn  = 10 * time.Minute
	// maxQueued is how many decisions wait for a receiver that does not answer.
	maxQueued = 64
)

// courier tells one receiver of decisions, in their order.
type courier struct {
	receiver notify.Receiver
	queue    chan notify.Decision
	log      *slog.Logger
}

func newCouriers(receivers []notify.Receiver, log *slog.Logger) []*courier {
	var all []*courier
	for i, r := range receivers {
		all = append(all, &courier{r, make(chan notify.Decision, maxQueued), log.With("notification", i)})
	}
	return all
}

// take hands a decision over. It does not wait, and drops what is too much.
func (c *courier) take(d notify.Decision) {
	if !c.receiver.Wants(d) {
		return
	}
	select {
	case c.queue <- d:
	default:
		c.log.Warn("a notification was dropped, because the receiver does not keep up: " + d.Message)
	}
}

// deliver sends decisions until the context ends. The next one after a pause says how many were left out.
func (c *courier) deliver(ctx context.Context) {
	var sent []time.Time
	left := 0
	for {
		var d notify.Decision
		select {
		case <-ctx.Done():
			return
		case d = <-c.queue:
		}
		for len(sent) > 0 && time.Since(sent[0]) > noticesIn {
			sent = sent[1:]
		}
		if len(sent) == maxNotices {
			if left++; left == 1 {
				c.log.Warn(fmt.Sprintf("no more than %d notifications in %s: some are left out", maxNotices, noticesIn))
			}
			continue
		}
		if left > 0 {
			d.Message += fmt.Sprintf(" (%d decisions before were not sent)", left)
		}
		if err := notify.Send(ctx, c.receiver, d); err != nil {
			if ctx.Err() == nil {
				c.log.Warn("a notification was not sent: " + err.Error())
			}
			continue
		}
		sent, left = append(sent, time.Now()), 0
	}
}

// tell hands a decision to all receivers.
func (r *reporter) tell(verdict, message string, warning bool) {
	is := r.Status()
	d := notify.Decision{
		Environment: r.name, Verdict: verdict, Message: message, Warning: warning, Repository: is.Repository,
		Commit: r.about.commit, Release: is.Release, Time: time.Now().UTC(),
	}
	for _, c := range r.agent.couriers {
		c.take(d)
	}
}

// wasDecided says that a verdict is the first one since the start of the agent, and not its own: an agent
// that is restarted does not tell it again.
func wasDecided(before Status, v Verdict) bool {
	return before.Verdict == Unknown && (v == Synced || v == Quarantined || v == Suspended)
}

// isVerdictReason says that an Event is about a verdict, which is told by its own name.
func isVerdictReason(reason string) bool {
	for _, r := range reasons {
		if r == reason {
			return true
		}
	}
	return false
}

// kebab is "rolled-back" for RolledBack.
func kebab(reason string) string {
	var b strings.Builder
	for i, r := range reason {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// told are the decisions that a receiver can choose among.
func told() []string {
	all := []string{"failed", "rolled-back", "not-rolled-back", "promoted", "drifted", "repaired", "error"}
	for v := range reasons {
		all = append(all, string(v))
	}
	slices.Sort(all)
	return all
}

// checkReceiver fails where a receiver wants to know of what does not exist.
func (c Config) checkReceiver(r notify.Receiver) error {
	if err := r.Check(); err != nil {
		return err
	}
	for _, name := range r.Environments {
		has := func(r Repository) bool { _, ok := r.Environments[name]; return ok }
		if !slices.ContainsFunc(c.Repositories, has) {
			return fmt.Errorf("environments: no environment is named %q", name)
		}
	}
	for _, v := range r.Verdicts {
		if known := told(); !slices.Contains(known, v) {
			return fmt.Errorf("verdicts: unknown %q (known: %s)", v, strings.Join(known, ", "))
		}
	}
	return nil
}
