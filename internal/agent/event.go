package agent

import (
	"context"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/object"
)

const (
	// maxEvents bounds the Events of an environment in eventsIn: an environment that goes back and forth must
	// not fill etcd.
	maxEvents = 30
	eventsIn  = 10 * time.Minute
	// eventTime bounds the write of an Event.
	eventTime = 5 * time.Second
)

// event is a decision to be told as an Event of Kubernetes.
type event struct {
	reason, note string
	warning      bool
	to           *cluster.Cluster
	about        object.Ref
}

// reasons are those of the Events about verdicts. The others are told by their own act.
var reasons = map[Verdict]string{
	Synced: "Deployed", Deploying: "Deploying", Superseded: "Superseded", Waiting: "Waiting",
	Suspended: "Suspended", Unproven: "Unproven", Refused: "Refused", Quarantined: "Held",
}

// announce has a decision written as an Event, and told to receivers. It does not wait, and drops what is too
// much.
func (r *reporter) announce(reason, note string, warning bool) {
	if !isVerdictReason(reason) {
		r.tell(kebab(reason), note, warning)
	}
	if r.about.in == nil {
		return
	}
	select {
	case r.events <- event{reason, note, warning, r.about.in, r.about.lock}:
	default:
		r.log.Debug("no Event for: " + note)
	}
}

// report writes Events until the context ends. That one cannot be written is said once, and changes nothing.
func (r *reporter) report(ctx context.Context) {
	var sent []time.Time
	failed := false
	for {
		var next event
		select {
		case <-ctx.Done():
			return
		case next = <-r.events:
		}
		now := time.Now()
		for len(sent) > 0 && now.Sub(sent[0]) > eventsIn {
			sent = sent[1:]
		}
		if len(sent) == maxEvents {
			r.log.Debug("no Event, because there are too many, for: " + next.note)
			continue
		}
		sent = append(sent, now)
		writing, cancel := context.WithTimeout(ctx, eventTime)
		err := cluster.WriteEvent(writing, next.to, cluster.Notice{
			About: next.about, Reason: next.reason, Note: next.note, Warning: next.warning,
			By: r.agent.leadership.leader().ID,
		})
		cancel()
		if err != nil && !failed && ctx.Err() == nil {
			failed = true
			r.log.Warn("decisions are logged, and not written as Events: " + err.Error())
		}
	}
}
