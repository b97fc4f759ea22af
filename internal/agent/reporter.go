package agent

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/deploy"
	"slipway/internal/object"
)

// entry is an environment as the configuration has it, in the agent that keeps it.
type entry struct {
	name   string
	policy Environment
	mirror *mirror
	agent  *Agent
}

// reporter says what an environment does and how it stands: in its status, in the log, as Events, and to
// those who receive notifications.
type reporter struct {
	entry
	log    *slog.Logger
	events chan event
	about  subject // of the goroutine of the environment

	mu     sync.Mutex
	status Status
}

// subject is what is reported about.
type subject struct {
	commit string
	in     *cluster.Cluster // nil: not known yet
	lock   object.Ref       // which Events are attached to
}

// turnTo makes a commit the subject.
func (r *reporter) turnTo(commit string, t deploy.Target) {
	r.about = subject{commit, t.Cluster, t.Records().LockRef()}
	r.update(func(s *Status) { s.taken = commit })
}

// Status returns how the environment stands.
func (r *reporter) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

func (r *reporter) update(change func(*Status)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.status)
}

// set puts a text into the status, and reports whether another one was there.
func (r *reporter) set(field func(*Status) *string, text string) (isNew bool) {
	r.update(func(s *Status) { isNew, *field(s) = *field(s) != text, text })
	return isNew
}

// judge records a verdict on the newest commit, and says it once.
func (r *reporter) judge(v Verdict, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	is := r.Status()
	if is.Verdict == v && is.Message == message {
		r.update(func(s *Status) { s.judged = r.about.commit })
		return
	}
	r.update(func(s *Status) { s.Verdict, s.judged, s.Message, s.Plan = v, r.about.commit, message, nil })
	r.agent.counters.update(func(c *counters) { c.verdicts[[2]string{r.name, string(v)}]++ })
	r.log.Info(message, "verdict", v, "commit", r.about.commit)
	if reason := reasons[v]; reason != "" {
		warning := v == Refused || v == Quarantined
		r.announce(reason, message, warning)
		if !wasDecided(is, v) {
			r.tell(string(v), message, warning)
		}
	}
}

// noteError puts the error of a pass into the status, and logs it once; nil: the pass went well.
func (r *reporter) noteError(err error) {
	before := r.Status().Error
	r.update(func(s *Status) {
		s.Checked = time.Now().UTC()
		setFailure(&s.Error, &s.ErrorSince, err)
	})
	if err != nil && err.Error() != before {
		r.announce("Error", err.Error(), true)
		r.log.Error(err.Error(), "commit", r.about.commit)
	}
}

// noteSource puts what a poll of the repository failed with into the status; nil: it went well.
func (r *reporter) noteSource(err error) {
	r.update(func(s *Status) { setFailure(&s.SourceError, &s.SourceErrorSince, err) })
}

// setFailure sets an error of a status, with the time since which there is one; nil: it is over.
func setFailure(text *string, since *time.Time, err error) {
	switch {
	case err == nil:
		*text, *since = "", time.Time{}
		return
	case *text == "":
		*since = time.Now().UTC()
	}
	*text = err.Error()
}

// notePromotion puts a sentence into the status, and logs it once.
func (r *reporter) notePromotion(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if r.set(func(s *Status) *string { return &s.Promotion }, text) {
		r.log.Info(text, "commit", r.about.commit)
	}
}

// judgeUnchanged says that the newest commit has the objects of a release, which may be of another one.
func (r *reporter) judgeUnchanged(release int, of string) {
	text := fmt.Sprintf("commit %s is release %d", short(r.about.commit), release)
	if of != r.about.commit {
		text = fmt.Sprintf("commit %s changes nothing in %s: release %d is from commit %s", short(r.about.commit),
			r.name, release, short(of))
	}
	if w := r.mirror.rewrite.Load(); w != nil && w.to == r.about.commit {
		text += "; " + w.String()
	}
	r.judge(Synced, "%s", text)
}
