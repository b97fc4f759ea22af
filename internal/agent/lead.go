package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/deploy"
	"slipway/internal/release"
)

const (
	// lookEvery is how often a replica that stands by asks for the Lease.
	lookEvery = 2 * time.Second
	// leaveTime bounds what an agent does after it was told to stop, the record of its deploy excepted.
	leaveTime = 5 * time.Second
	// recentTime is Agent.recent.
	recentTime = time.Second
)

// errStandby says that another replica leads.
var errStandby = errors.New("this replica is not the leader any more")

// leadership is which replica of the agent acts.
type leadership struct {
	mu   sync.Mutex
	own  release.Leader
	lock *release.Lock // nil: this replica stands by, or the agent runs alone
	// other is the replica that leads, as its Lease says, and otherAddress where it answers; empty: not known.
	other, otherAddress string
}

// otherReplica returns the address of the replica that leads; empty where it is this one, or not known.
func (l *leadership) otherReplica() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.otherAddress
}

// current names the replica that leads, and says whether it is this one.
func (l *leadership) current() (name string, isOwn bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.own.ID == "":
		return l.other, false
	case l.own.Term == 0:
		return l.own.ID, true
	}
	return fmt.Sprintf("%s (term %d)", l.own.ID, l.own.Term), true
}

func (l *leadership) set(own release.Leader, lock *release.Lock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.own, l.lock, l.other, l.otherAddress = own, lock, "", ""
}

// noteOther notes that another replica leads.
func (l *leadership) noteOther(other release.Holder) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.own, l.lock, l.other, l.otherAddress = release.Leader{}, nil, other.String(), other.Address
}

// fence returns when this replica is known to lead. It fails when another one does.
func (l *leadership) fence(ctx context.Context) error {
	l.mu.Lock()
	own, lock := l.own, l.lock
	l.mu.Unlock()
	switch {
	case own.ID == "":
		return errStandby
	case lock == nil:
		return nil // it runs alone
	}
	if err := lock.Fence(ctx); err != nil {
		return fmt.Errorf("%w: %w", errStandby, err)
	}
	return nil
}

// leader returns this replica, for records.
func (l *leadership) leader() release.Leader {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.own
}

// lead calls work whenever this replica leads, with a context that ends when it leads no longer. It returns
// when ctx has ended. Without a Lease, this replica leads from the start. The other replicas find this one at
// the address.
func (a *Agent) lead(ctx context.Context, address string, work func(context.Context)) error {
	host, _ := os.Hostname()
	if a.config.Lease == nil {
		a.leadership.set(release.Leader{ID: fmt.Sprintf("%s/%d", host, os.Getpid())}, nil)
		work(ctx)
		return nil
	}
	l := *a.config.Lease
	c, err := deploy.ConnectLease(l.Context, l.Namespace, a.options.Connect)
	if err != nil {
		return fmt.Errorf("lease: %w", err)
	}
	told := ""
	for ctx.Err() == nil {
		lock, own, err := release.Lead(ctx, c, l.Name, release.Holder{Who: who, Address: address})
		if err != nil {
			a.standBy(ctx, err, &told)
			continue
		}
		a.leadership.set(own, lock)
		a.options.Log.Info("this replica leads", "agent", own.Agent, "replica", own.ID, "term", own.Term)
		told = ""
		work(lock.Context())
		a.leadership.set(release.Leader{}, nil)
		if err := lock.Unlock(ctx); err != nil && ctx.Err() == nil {
			a.options.Log.Warn("lease: " + err.Error())
		}
		if ctx.Err() == nil {
			a.options.Log.Warn("this replica is not the leader any more: " + context.Cause(lock.Context()).Error())
		}
	}
	return nil
}

// standBy says once who leads, or why that is not known, and waits.
func (a *Agent) standBy(ctx context.Context, err error, told *string) {
	text := "lease: " + err.Error()
	if locked, ok := errors.AsType[*release.LockedError](err); ok {
		text = "standing by: " + locked.Holder.String() + " leads"
		a.leadership.noteOther(locked.Holder)
	}
	if text != *told && ctx.Err() == nil {
		*told = text
		a.options.Log.Info(text)
	}
	cluster.Sleep(ctx, lookEvery)
}

// options are those of each deploy of the agent.
func (e entry) options() deploy.Options {
	o := deploy.Options{Who: who, Recent: e.agent.recent}
	if own := e.agent.leadership.leader(); own.Term > 0 {
		o.Leader = &own
	}
	return o
}
