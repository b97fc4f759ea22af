package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"

	"slipway/internal/object"
)

const (
	lockSeconds = 15
	// renewEvery and giveUpAfter: whoever could not renew stops well before somebody else may
	// take over.
	renewEvery  = 5 * time.Second
	giveUpAfter = 10 * time.Second
	lookEvery   = 500 * time.Millisecond

	holderAnnotation = "slipway.dev/holder"
)

// ErrLockLost is why a lock's context ends when the lock could not be renewed.
var ErrLockLost = errors.New("the lock was lost: it could not be renewed in time")

// Holder is who has a lock, for people to read.
type Holder struct {
	Who   string    `json:"who,omitempty"`
	Host  string    `json:"host,omitempty"`
	PID   int       `json:"pid,omitempty"`
	Doing string    `json:"doing,omitempty"` // "deploy sha-3f9c2e1"
	Since time.Time `json:"since"`

	// Machine and Started tell a process that is gone from one that runs; empty where the system
	// does not say.
	Machine string `json:"machine,omitempty"`
	Started string `json:"started,omitempty"`
}

// String prints "ada on laptop (process 123), deploy sha-3f9c2e1".
func (h Holder) String() string {
	s := h.Who
	if s == "" {
		s = "somebody"
	}
	if h.Host != "" {
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

// LockedError says that somebody else has the lock, and is alive.
type LockedError struct {
	Name   string
	Holder Holder
	Since  time.Time
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("locked by %s since %s (lease %s)", e.Holder, e.Since.Format(time.RFC3339), e.Name)
}

// Lock is a Lease that we hold, renewed until Unlock.
type Lock struct {
	// TookOver is the holder that vanished without unlocking; nil when the lock was free.
	TookOver *Holder

	c        *Cluster
	lease    *coordinationv1.Lease
	identity string
	ctx      context.Context
	cancel   context.CancelCauseFunc
	done     chan struct{}
}

// Lock takes the lock of that name in the cluster's namespace. Where somebody has it, it waits
// for as long as it takes to see whether they are alive: alive is a *LockedError, else the lock is
// taken over. The clocks of others are not trusted, only whether the Lease changes.
func (c *Cluster) Lock(ctx context.Context, name string, h Holder) (*Lock, error) {
	here(&h)
	l := &Lock{c: c, identity: h.Who + "@" + h.Host + "/" + rand.String(8), done: make(chan struct{})}
	for {
		lease, found, err := c.lease(ctx, name)
		if err != nil {
			return nil, err
		}
		if found && held(lease) {
			if lease, err = c.outlive(ctx, lease); err != nil {
				return nil, err
			}
			if lease == nil {
				continue // it was deleted while we watched
			}
			if was := holderOf(lease); held(lease) {
				l.TookOver = &was
			}
		}
		err = l.take(ctx, name, lease, found, h)
		switch {
		case err == nil:
			l.ctx, l.cancel = context.WithCancelCause(ctx)
			go l.renew()
			return l, nil
		case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
			l.TookOver = nil // somebody was quicker: look again
		default:
			return nil, c.explain("lock", leaseRef(c.namespace, name), err)
		}
	}
}

// Context ends with ErrLockLost as its cause when the lock is lost: nothing may be changed then.
func (l *Lock) Context() context.Context { return l.ctx }

// Unlock gives the lock back. It does so after an interrupt too, within a few seconds.
func (l *Lock) Unlock(ctx context.Context) error {
	l.cancel(context.Canceled)
	<-l.done
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	lease, found, err := l.c.lease(ctx, l.lease.Name)
	if err != nil || !found || identityOf(lease) != l.identity {
		return err
	}
	lease.Spec.HolderIdentity = nil
	delete(lease.Annotations, holderAnnotation)
	_, err = l.c.typed.CoordinationV1().Leases(l.c.namespace).Update(ctx, lease, metav1.UpdateOptions{FieldManager: Manager})
	return l.c.explain("unlock", leaseRef(l.c.namespace, lease.Name), err)
}

// Locked tells who seems to have the lock now, without waiting. It is for showing only: what may
// be done is for Lock to find out.
func (c *Cluster) Locked(ctx context.Context, name string) (Holder, bool, error) {
	lease, found, err := c.lease(ctx, name)
	if err != nil || !found || !held(lease) {
		return Holder{}, false, err
	}
	h := holderOf(lease)
	if vanished(h) {
		return h, false, nil
	}
	return h, c.now(ctx).Sub(lastChange(lease)) < duration(lease), nil
}

// outlive watches a held lease until it is free, its holder is known to be gone, or has not renewed
// it for its whole duration; a renewal is a *LockedError. It returns the lease as it is then, nil
// when it was deleted.
func (c *Cluster) outlive(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	first := lease
	began := time.Now()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for held(lease) {
		h := holderOf(lease)
		locked := &LockedError{Name: lease.Name, Holder: h, Since: h.Since}
		switch {
		case vanished(h):
			return lease, nil
		case lease.ResourceVersion != first.ResourceVersion, freshHere(lease, h):
			return nil, locked
		case time.Since(began) > duration(lease):
			return lease, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
		var (
			found bool
			err   error
		)
		if lease, found, err = c.lease(ctx, first.Name); err != nil {
			return nil, err
		}
		if !found {
			return nil, nil
		}
	}
	return lease, nil
}

// take writes our name into the lease, if nobody changed it since it was read.
func (l *Lock) take(ctx context.Context, name string, lease *coordinationv1.Lease, found bool, h Holder) error {
	if !found {
		lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}}
	}
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	now, seconds, transitions := metav1.NowMicro(), int32(lockSeconds), int32(1)
	if t := lease.Spec.LeaseTransitions; t != nil {
		transitions = *t + 1
	}
	if lease.Annotations == nil {
		lease.Annotations = map[string]string{}
	}
	lease.Annotations[holderAnnotation] = string(text)
	lease.Spec = coordinationv1.LeaseSpec{
		HolderIdentity: &l.identity, LeaseDurationSeconds: &seconds,
		AcquireTime: &now, RenewTime: &now, LeaseTransitions: &transitions,
	}
	leases := l.c.typed.CoordinationV1().Leases(l.c.namespace)
	ctx, cancel := context.WithTimeout(ctx, giveUpAfter)
	defer cancel()
	if found {
		l.lease, err = leases.Update(ctx, lease, metav1.UpdateOptions{FieldManager: Manager})
	} else {
		l.lease, err = leases.Create(ctx, lease, metav1.CreateOptions{FieldManager: Manager})
	}
	return err
}

// renew keeps the lease ours until the lock's context ends, and ends it when the lease is lost.
func (l *Lock) renew() {
	defer close(l.done)
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	renewed := time.Now()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-tick.C:
		}
		began := time.Now()
		ok, lost := l.renewOnce(renewed.Add(giveUpAfter))
		if ok {
			renewed = began
			continue
		}
		if lost || time.Since(renewed) >= giveUpAfter {
			l.cancel(ErrLockLost)
			return
		}
		tick.Reset(time.Second)
	}
}

func (l *Lock) renewOnce(deadline time.Time) (ok, lost bool) {
	ctx, cancel := context.WithDeadline(l.ctx, deadline)
	defer cancel()
	leases := l.c.typed.CoordinationV1().Leases(l.c.namespace)
	lease := l.lease.DeepCopy()
	now := metav1.NowMicro()
	lease.Spec.RenewTime = &now
	updated, err := leases.Update(ctx, lease, metav1.UpdateOptions{FieldManager: Manager})
	if err == nil {
		l.lease = updated
		return true, false
	}
	// Our own lost answer, or somebody's label, is no loss: whose name is in it?
	current, found, err := l.c.lease(ctx, l.lease.Name)
	if err != nil {
		return false, false
	}
	if !found || identityOf(current) != l.identity {
		return false, true
	}
	l.lease = current
	return false, false
}

func (c *Cluster) lease(ctx context.Context, name string) (*coordinationv1.Lease, bool, error) {
	var lease *coordinationv1.Lease
	err := c.call(ctx, func(ctx context.Context) (err error) {
		lease, err = c.typed.CoordinationV1().Leases(c.namespace).Get(ctx, name, metav1.GetOptions{})
		return err
	})
	if apierrors.IsNotFound(err) {
		return nil, false, nil
	}
	return lease, err == nil, c.explain("read", leaseRef(c.namespace, name), err)
}

func held(lease *coordinationv1.Lease) bool { return identityOf(lease) != "" }

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
	if s := lease.Spec.LeaseDurationSeconds; s != nil && *s > 0 {
		return time.Duration(*s) * time.Second
	}
	return lockSeconds * time.Second
}

// lastChange is the server's time of the last change, where it says so, else the holder's.
func lastChange(lease *coordinationv1.Lease) time.Time {
	var last time.Time
	for _, m := range lease.ManagedFields {
		if m.Time != nil && m.Time.After(last) {
			last = m.Time.Time
		}
	}
	if last.IsZero() && lease.Spec.RenewTime != nil {
		last = lease.Spec.RenewTime.Time
	}
	return last
}

func leaseRef(namespace, name string) object.Ref {
	return object.Ref{Group: "coordination.k8s.io", Kind: "Lease", Namespace: namespace, Name: name}
}
