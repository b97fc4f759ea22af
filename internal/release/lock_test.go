package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"slipway/internal/cluster"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestLock(t *testing.T) {
	t.Parallel()
	c := newPlace(t).editor
	ada, err := acquire(t.Context(), c, "deploy", Holder{Who: "ada", Doing: "deploy sha-3f9c2e1"})
	if err != nil {
		t.Fatal(err)
	}
	if ada.TookOver != nil {
		t.Errorf("a free lock was taken over from %v", ada.TookOver)
	}
	began := time.Now()
	_, err = acquire(t.Context(), c, "deploy", Holder{Who: "bob"})
	var locked *LockedError
	if !errors.As(err, &locked) || locked.Holder.Who != "ada" || locked.Holder.Doing != "deploy sha-3f9c2e1" ||
		locked.Holder.Since.IsZero() {
		t.Fatalf("a second lock: %v", err)
	}
	if d := time.Since(began); d > 4*time.Second {
		t.Errorf("it took %s to say so", d)
	}
	if h, held, err := currentHolder(t.Context(), c, "deploy"); err != nil || !held || h.Who != "ada" {
		t.Errorf("locked: %v, %v, %v", h, held, err)
	}
	if err := ada.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ada.Context().Err() == nil {
		t.Error("the context outlives the lock")
	}
	if _, held, err := currentHolder(t.Context(), c, "deploy"); err != nil || held {
		t.Errorf("after unlocking: held %v, %v", held, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	bob, err := acquire(ctx, c, "deploy", Holder{Who: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	cancel() // an interrupt must not keep the lock
	if err := bob.Unlock(ctx); err != nil {
		t.Error(err)
	}
	if _, held, err := currentHolder(t.Context(), c, "deploy"); err != nil || held {
		t.Errorf("after an interrupt: held %v, %v", held, err)
	}
}

func TestOneOfManyLocks(t *testing.T) {
	t.Parallel()
	c := newPlace(t).editor
	var (
		wg  sync.WaitGroup
		won atomic.Int32
	)
	for range 8 {
		wg.Go(func() {
			_, err := acquire(t.Context(), c, "deploy", Holder{Who: "racer"})
			var locked *LockedError
			switch {
			case err == nil:
				won.Add(1)
			case !errors.As(err, &locked):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d have the lock", won.Load())
	}
}

func TestLockTakeover(t *testing.T) {
	t.Parallel()
	c := newPlace(t).editor
	for i, test := range []struct {
		name    string
		holder  Holder
		seconds int32
	}{
		{"process is gone", Holder{Who: "ada", Machine: machine(), PID: 1<<22 + 7}, 3600},
		{"another machine, never renewed", Holder{Who: "ada", Machine: "another", PID: os.Getpid()}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			name := fmt.Sprintf("lock-%d", i)
			writeLease(t, c, name, test.holder, test.seconds)
			l, err := acquire(t.Context(), c, name, Holder{Who: "bob"})
			if err != nil {
				t.Fatal(err)
			}
			if l.TookOver == nil || l.TookOver.Who != "ada" {
				t.Errorf("took over from %v", l.TookOver)
			}
			if err := l.Unlock(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A holder on another machine is alive as long as it renews, whatever its clock says.
func TestLockOfOtherMachineIsRenewed(t *testing.T) {
	t.Parallel()
	c := newPlace(t).editor
	lease := writeLease(t, c, "deploy", Holder{Who: "ada", Machine: "another"}, 60)
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer func() { cancel(); wg.Wait() }()
	wg.Go(func() {
		for tick := time.NewTicker(200 * time.Millisecond); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			long := metav1.NewMicroTime(time.Now().Add(-24 * time.Hour).Truncate(time.Microsecond))
			lease.Spec.RenewTime = &long
			var err error
			if lease, err = c.Typed().CoordinationV1().Leases(c.Namespace()).Update(ctx, lease,
				metav1.UpdateOptions{}); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	})
	_, err := acquire(t.Context(), c, "deploy", Holder{Who: "bob"})
	var locked *LockedError
	if !errors.As(err, &locked) {
		t.Error(err)
	}
}

// For display too, only the clock of the API server counts: a holder's may be ten minutes off.
func TestHolderWithAnotherClock(t *testing.T) {
	t.Parallel()
	c := newPlace(t).editor
	for i, off := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		t.Run(off.String(), func(t *testing.T) {
			t.Parallel()
			lease := writeLease(t, c, fmt.Sprintf("lock-%d", i), Holder{Who: "ada", Machine: "another"}, 2)
			renewed := metav1.NewMicroTime(time.Now().Add(off))
			lease.Spec.RenewTime = &renewed
			lease, err := cluster.WriteLease(t.Context(), c, lease)
			if err != nil {
				t.Fatal(err)
			}
			if _, held, err := currentHolder(t.Context(), c, lease.Name); err != nil || !held {
				t.Errorf("just renewed: held %v, %v", held, err)
			}
			bob, err := acquire(t.Context(), c, lease.Name, Holder{Who: "bob"})
			if err != nil {
				t.Fatalf("not renewed any more: %v", err)
			}
			if err := bob.Unlock(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A holder that cannot renew stops.
func TestLockIsLost(t *testing.T) {
	t.Parallel()
	c := newPlace(t).editor
	l, err := acquire(t.Context(), c, "deploy", Holder{Who: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	writeLease(t, c, "deploy", Holder{Who: "bob", Machine: "another"}, 60)
	<-l.Context().Done()
	if !errors.Is(context.Cause(l.Context()), ErrLockLost) {
		t.Errorf("the context ended with %v", context.Cause(l.Context()))
	}
	if err := l.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
	if h, held, err := currentHolder(t.Context(), c, "deploy"); err != nil || !held || h.Who != "bob" {
		t.Errorf("unlocking a lost lock took it from the other: %v, %v, %v", h, held, err)
	}
}

// The answer to taking the lock is lost, or does not come: the lock is ours all the same.
func TestLockWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, verb string
		silent     bool
	}{
		{"created, connection lost", http.MethodPost, false},
		{"updated, connection lost", http.MethodPut, false},
		{"created, silence", http.MethodPost, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var passing atomic.Bool
			c := through(t, newPlace(t).Namespace, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					next.ServeHTTP(rw, r)
					if r.Method != test.verb || passing.Load() {
						return
					}
					if test.silent {
						<-r.Context().Done()
					}
					passing.Store(true)
					panic(http.ErrAbortHandler)
				})
			})
			for range 2 { // the first creates the Lease
				l, err := acquire(t.Context(), c, "deploy", Holder{Who: "ada"})
				if err != nil {
					t.Fatal(err)
				}
				if l.TookOver != nil {
					t.Errorf("taken over from %v", l.TookOver)
				}
				if err := l.Unlock(t.Context()); err != nil {
					t.Error(err)
				}
				if h, held, err := currentHolder(t.Context(), c, "deploy"); err != nil || held {
					t.Errorf("after unlocking: %v, %v, %v", h, held, err)
				}
			}
			if !passing.Load() {
				t.Error("each answer came back")
			}
		})
	}
}

// An interrupted deploy keeps its lock until it has recorded its outcome.
func TestLockOutlastsAnInterrupt(t *testing.T) {
	t.Parallel()
	c := newPlace(t).editor
	ctx, cancel := context.WithCancel(t.Context())
	l, err := acquire(ctx, c, "deploy", Holder{Who: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	before := l.renewed.Load()
	for l.renewed.Load() == before {
		select {
		case <-time.After(lookEvery):
		case <-l.done:
			t.Fatal("it is not renewed after an interrupt")
		}
	}
	if err := l.Unlock(ctx); err != nil {
		t.Error(err)
	}
}

// The lock survives an API server that is away: nothing is changed meanwhile, and the deploy continues when
// it is back.
func TestLockOutlastsTheServer(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	c := through(t, newPlace(t).Namespace, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if away.Load() {
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(rw, r)
		})
	})
	l, err := acquire(t.Context(), c, "deploy", Holder{Who: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Held(t.Context()); err != nil {
		t.Error(err)
	}
	away.Store(true)
	<-time.After(doubtAfter + 3*time.Second)
	unsure, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := l.Held(unsure); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("held without an answer of the server: %v", err)
	}
	away.Store(false)
	if err := l.Held(t.Context()); err != nil {
		t.Errorf("the server is back: %v", err)
	}
	if err := l.Context().Err(); err != nil {
		t.Errorf("the lock's context ended: %v", context.Cause(l.Context()))
	}
	if err := l.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestLockWithoutNamespace(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	nowhere := open(t, cluster.Options{Kubeconfig: p.Kubeconfig, Context: "admin",
		Namespace: p.Namespace + "-never"})
	_, err := acquire(t.Context(), nowhere, "deploy", Holder{})
	var missing *cluster.NoNamespaceError
	if !errors.As(err, &missing) || missing.Namespace != nowhere.Namespace() {
		t.Errorf("lock: %v", err)
	}
	if _, err := writeRecord(t.Context(), nowhere, record{name: "r"}); !errors.As(err, &missing) {
		t.Errorf("record: %v", err)
	}
}

// writeLease makes or replaces a lease, as another holder would have left it.
func writeLease(t *testing.T, c *cluster.Cluster, name string, h Holder,
	seconds int32) *coordinationv1.Lease {
	t.Helper()
	leases := c.Typed().CoordinationV1().Leases(c.Namespace())
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	identity, now := h.Who+"/other", metav1.NowMicro()
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{holderAnnotation: string(text)}},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &identity, LeaseDurationSeconds: &seconds,
			RenewTime: &now, AcquireTime: &now},
	}
	current, err := cluster.ReadLease(t.Context(), c, name)
	if err != nil {
		t.Fatal(err)
	}
	if current.ResourceVersion == "" {
		lease, err = leases.Create(t.Context(), lease, metav1.CreateOptions{})
	} else {
		lease.ResourceVersion = current.ResourceVersion
		lease, err = leases.Update(t.Context(), lease, metav1.UpdateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return lease
}
