package release

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"slipway/internal/cluster"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
)

const (
	// A holder that could not renew the lock for doubtAfter writes nothing until it has renewed it: well before
	// lockTime, after which another one may take over.
	lockTime    = 15 * time.Second
	doubtAfter  = 10 * time.Second
	giveUpAfter = 2 * time.Minute
	renewEvery  = 5 * time.Second
	lookEvery   = 500 * time.Millisecond
	maxUnknown  = 3

	holderAnnotation = "slipway.dev/holder"
)

// ErrLockLost says that another holder has the lock, or may have it.
var ErrLockLost = errors.New("the lock was lost: it could not be renewed in time")

// Holder describes who has a lock, for people to read.
type Holder struct {
	Who   string    `json:"who,omitempty"`
	Host  string    `json:"host,omitempty"`
	PID   int       `json:"pid,omitempty"`
	Doing string    `json:"doing,omitempty"` // "deploy sha-3f9c2e1"
	Since time.Time `json:"since"`

	// Address is HOST:PORT where the holder answers; empty: nowhere that is known.
	Address string `json:"address,omitempty"`
	// Home says that the Lease of an agent is in the cluster of its claim.
	Home bool `json:"home,omitempty"`

	// Machine identifies the system of the process; empty where the system does not say.
	Machine string `json:"machine,omitempty"`
}

// String prints "ada on laptop (process 123), deploy sha-3f9c2e1".
func (h Holder) String() string {
	s := h.Who
	if h.Host != "" && !strings.HasSuffix(h.Who, "@"+h.Host) {
		s += " on " + h.Host
	}
	if h.PID != 0 {
		s += fmt.Sprintf(" (process %d)", h.PID)
	}
	if h.Doing != "" {
		s += ", " + h.Doing
	}
	return s
}

// encode returns a holder as the annotation of its Lease has it.
func (h Holder) encode() (string, error) {
	text, err := json.Marshal(h)
	return string(text), err
}

// machine identifies this boot of this machine and its PID namespace: two containers may share a host name,
// and process 7 of one is not process 7 of the other. Empty where the system is not Linux.
func machine() string {
	boot, errBoot := os.ReadFile("/proc/sys/kernel/random/boot_id")
	space, errSpace := os.Readlink("/proc/self/ns/pid")
	if errBoot != nil || errSpace != nil {
		return ""
	}
	return string(bytes.TrimSpace(boot)) + " " + space
}

// here says that the process of the holder runs, or ran, on this machine.
func (h Holder) here() bool { return h.Machine != "" && h.Machine == machine() }

// vanished says that the process of the holder ran on this machine and does not run any more.
func (h Holder) vanished() bool {
	if !h.here() {
		return false
	}
	p, err := os.FindProcess(h.PID)
	return err != nil || errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone)
}

// LockedError says that another holder has the lock, and is alive.
type LockedError struct {
	Name   string
	Holder Holder
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("locked by %s since %s (lease %s)", e.Holder, e.Holder.Since.Format(time.RFC3339), e.Name)
}

// Lock is a Lease that is renewed until Unlock.
type Lock struct {
	// TookOver is the holder that vanished without unlocking; nil when the lock was free.
	TookOver *Holder

	c        *cluster.Cluster
	lease    *coordinationv1.Lease
	identity string
	term     int32
	renewed  atomic.Int64 // when, in nanoseconds since 1970
	ctx      context.Context
	cancel   context.CancelCauseFunc
	release  context.CancelFunc // ends the renewals
	done     chan struct{}
	// obsolete: the Lease serves no purpose afterwards, and Unlock deletes it.
	obsolete bool
	// outer is another lock that is held as long as this one; nil without one.
	outer *Lock
}

// acquire takes the lock of that name in the cluster's namespace. When another holder has it, it waits until
// it knows whether that one is alive: it fails with a *LockedError when it is, and takes over when it is not.
// It does not trust the clocks of others, only whether the Lease changes.
func acquire(ctx context.Context, c *cluster.Cluster, name string, h Holder) (*Lock, error) {
	lease, err := cluster.ReadLease(ctx, c, name)
	if err != nil {
		return nil, err
	}
	return acquireFrom(ctx, c, lease, h)
}

// acquireFrom is acquire with the Lease as the caller knows it.
func acquireFrom(
	ctx context.Context, c *cluster.Cluster, lease *coordinationv1.Lease, h Holder,
) (*Lock, error) {
	name := lease.Name
	h.Host, _ = os.Hostname()
	h.PID, h.Machine, h.Since = os.Getpid(), machine(), time.Now().UTC().Truncate(time.Second)
	l := &Lock{c: c, identity: h.Who + "@" + h.Host + "/" + rand.String(8), done: make(chan struct{})}
	var first *coordinationv1.Lease // as we saw it first
	var began time.Time
	var unknown int // writes without an answer
	for ; ; lease = nil {
		if lease == nil {
			var err error
			if lease, err = cluster.ReadLease(ctx, c, name); err != nil {
				return nil, err
			}
		}
		if first == nil {
			first, began = lease, time.Now()
		}
		held, was := identityOf(lease) != "", holderOf(lease)
		if identityOf(lease) == l.identity {
			l.lease = lease // the answer to our own write was lost
			l.start(ctx)
			return l, nil
		}
		if held && !was.vanished() && time.Since(began) <= duration(lease) {
			if lease.ResourceVersion != first.ResourceVersion || was.here() &&
				renewedWithin(lease, renewEvery+time.Second) {
				return nil, &LockedError{Name: name, Holder: was}
			}
			if !cluster.Sleep(ctx, lookEvery) {
				return nil, context.Cause(ctx)
			}
			continue
		}
		if l.TookOver = nil; held {
			l.TookOver = &was
		}
		switch err := l.take(ctx, lease, h); {
		case err == nil:
			l.start(ctx)
			return l, nil
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil && unknown < maxUnknown:
			unknown++
		case !errors.Is(err, cluster.ErrChanged):
			return nil, err
		}
		first = nil // another holder was faster, or the next look tells
	}
}

// newLease is a Lease that does not exist.
func newLease(name string) *coordinationv1.Lease {
	return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

// start keeps a lock that was taken. It is renewed until Unlock, also after ctx has ended: an interrupted
// deploy records its outcome under the lock.
func (l *Lock) start(ctx context.Context) {
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	var alive context.Context
	alive, l.release = context.WithCancel(context.WithoutCancel(ctx))
	l.renewed.Store(time.Now().UnixNano())
	if t := l.lease.Spec.LeaseTransitions; t != nil {
		l.term = *t
	}
	go l.renew(alive)
}

// Held returns when the lock is known to be ours, which is at once unless the API server has not answered for
// a while. Call it before each write.
func (l *Lock) Held(ctx context.Context) error {
	if l.outer != nil {
		if err := l.outer.Held(ctx); err != nil {
			return err
		}
	}
	if err := l.Fence(ctx); err != nil {
		return err
	}
	return context.Cause(l.ctx)
}

// Fence is Held without regard to the end of the lock's context by an interrupt: an interrupted deploy
// records its outcome.
func (l *Lock) Fence(ctx context.Context) error {
	for {
		silent := time.Since(time.Unix(0, l.renewed.Load()))
		switch {
		case errors.Is(context.Cause(l.ctx), ErrLockLost):
			return ErrLockLost
		case silent < doubtAfter:
			return nil
		case silent > giveUpAfter:
			return ErrLockLost
		case !cluster.Sleep(ctx, lookEvery):
			return context.Cause(ctx)
		}
	}
}

// Context ends with ErrLockLost as its cause when another holder has taken the lock: nothing may be written
// after that.
func (l *Lock) Context() context.Context { return l.ctx }

// Unlock releases the lock, also after an interrupt. It gives up when the lock expires by itself.
func (l *Lock) Unlock(ctx context.Context) (err error) {
	if l.outer != nil {
		defer func() { err = errors.Join(err, l.outer.Unlock(ctx)) }()
	}
	l.cancel(context.Canceled)
	l.release()
	<-l.done
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lockTime)
	defer cancel()
	for lease := l.lease; identityOf(lease) == l.identity; {
		err := l.give(ctx, lease)
		if !errors.Is(err, cluster.ErrChanged) {
			return err
		}
		if lease, err = cluster.ReadLease(ctx, l.c, lease.Name); err != nil {
			return err
		}
	}
	return nil
}

// give releases or deletes the lease.
func (l *Lock) give(ctx context.Context, lease *coordinationv1.Lease) error {
	if l.obsolete {
		err := cluster.DeleteLease(ctx, l.c, lease)
		if _, denied := errors.AsType[*cluster.PermissionError](err); !denied {
			return err
		}
	}
	lease.Spec.HolderIdentity = nil
	delete(lease.Annotations, holderAnnotation)
	_, err := cluster.WriteLease(ctx, l.c, lease)
	return err
}

// currentHolder returns who seems to have the lock, without waiting. It is for display: only acquire decides.
func currentHolder(ctx context.Context, c *cluster.Cluster, name string) (Holder, bool, error) {
	lease, err := cluster.ReadLease(ctx, c, name)
	if err != nil || identityOf(lease) == "" {
		return Holder{}, false, err
	}
	h := holderOf(lease)
	return h, !h.vanished() && time.Since(writtenAt(lease)) < duration(lease), nil
}

// take writes our name into the lease, unless another client has changed it since it was read.
func (l *Lock) take(ctx context.Context, lease *coordinationv1.Lease, h Holder) error {
	text, err := h.encode()
	if err != nil {
		return err
	}
	now, seconds, transitions := metav1.NowMicro(), int32(lockTime/time.Second), int32(1)
	if t := lease.Spec.LeaseTransitions; t != nil {
		transitions = *t + 1
	}
	metav1.SetMetaDataAnnotation(&lease.ObjectMeta, holderAnnotation, text)
	lease.Spec = coordinationv1.LeaseSpec{
		HolderIdentity: &l.identity, LeaseDurationSeconds: &seconds,
		AcquireTime: &now, RenewTime: &now, LeaseTransitions: &transitions,
	}
	ctx, cancel := context.WithTimeout(ctx, doubtAfter)
	defer cancel()
	l.lease, err = cluster.WriteLease(ctx, l.c, lease)
	if errors.Is(err, cluster.ErrChanged) {
		// The answer to our own write may be lost, and this be the answer to its retry.
		if there, e := cluster.ReadLease(ctx, l.c, lease.Name); e == nil && identityOf(there) == l.identity {
			l.lease, err = there, nil
		}
	}
	return err
}

// renew renews the lease until alive ends, and ends the lock's context when another holder has the lease. It
// retries while the API server does not answer: a restart of the server must not lose the lock, nor end the
// watch of a rollout.
func (l *Lock) renew(alive context.Context) {
	defer close(l.done)
	pause := renewEvery
	for cluster.Sleep(alive, pause) {
		began := time.Now()
		ok, lost := l.renewOnce(alive)
		switch {
		case ok:
			l.renewed.Store(began.UnixNano())
			pause = renewEvery
		case lost:
			l.cancel(ErrLockLost)
			return
		default:
			pause = time.Second
		}
	}
}

func (l *Lock) renewOnce(alive context.Context) (ok, lost bool) {
	ctx, cancel := context.WithTimeout(alive, doubtAfter)
	defer cancel()
	now := metav1.NowMicro()
	l.lease.Spec.RenewTime = &now
	updated, err := cluster.WriteLease(ctx, l.c, l.lease)
	if err == nil {
		l.lease = updated
		return true, false
	}
	// The lock is lost only when another name is in the lease: the answer to our own write may be lost, or
	// another client may have set a label.
	current, err := cluster.ReadLease(ctx, l.c, l.lease.Name)
	if err != nil {
		return false, false
	}
	l.lease = current
	return false, identityOf(current) != l.identity
}

func identityOf(lease *coordinationv1.Lease) string {
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

func holderOf(lease *coordinationv1.Lease) Holder {
	var h Holder
	if json.Unmarshal([]byte(lease.Annotations[holderAnnotation]), &h) != nil || h.Who == "" {
		h.Who = identityOf(lease)
	}
	return h
}

func duration(lease *coordinationv1.Lease) time.Duration {
	if s := lease.Spec.LeaseDurationSeconds; s != nil {
		return time.Duration(*s) * time.Second
	}
	return lockTime
}

// renewedWithin says that the lease was renewed within d, by our clock.
func renewedWithin(lease *coordinationv1.Lease, d time.Duration) bool {
	return lease.Spec.RenewTime != nil && time.Since(lease.Spec.RenewTime.Time) < d
}

// writtenAt returns when the lease was last written, by the clock of the API server where it says so: that of
// the holder may be wrong.
func writtenAt(lease *coordinationv1.Lease) (at time.Time) {
	if t := lease.Spec.RenewTime; t != nil {
		at = t.Time
	}
	for _, e := range lease.ManagedFields {
		if e.Manager == cluster.Manager && e.Time != nil {
			at = e.Time.Time
		}
	}
	return at
}
