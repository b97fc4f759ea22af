package release

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"

	"slipway/internal/cluster"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Leader is the replica of an agent that makes a release.
type Leader struct {
	// Agent names the agent, "slipway/slipway-agent", and Lease is the UID of the Lease that its replicas
	// compete for. Both are empty for an agent that runs alone.
	Agent string `json:"agent,omitempty"`
	Lease string `json:"lease,omitempty"`
	// ID names the replica. Term counts the leaders of the Lease from 1.
	ID   string `json:"id"`
	Term int    `json:"term,omitempty"`
}

// outrun fails where a later leader of the same Lease has made a release.
func (l *Leader) outrun(past Past) error {
	if l == nil || l.Lease == "" {
		return nil
	}
	for _, r := range past.Releases {
		if r.Leader != nil && r.Leader.Lease == l.Lease && r.Leader.Term > l.Term {
			return fmt.Errorf("%s (term %d) does not lead agent %s any more: %s (term %d) does",
				l.ID, l.Term, l.Agent, r.Leader.ID, r.Leader.Term)
		}
	}
	return nil
}

// Lead makes this process the leader of an agent, by a Lease in the cluster's namespace. It fails with a
// *LockedError while another replica leads. The lock's context ends when this process leads no longer. The
// other replicas find this one at the address of h.
func Lead(ctx context.Context, c *cluster.Cluster, name string, h Holder) (*Lock, Leader, error) {
	l, err := acquire(ctx, c, name, h)
	if err != nil {
		return nil, Leader{}, err
	}
	host, _ := os.Hostname()
	return l, Leader{
		Agent: c.Namespace() + "/" + name, Lease: string(l.lease.UID), ID: fmt.Sprintf("%s/%d", host, os.Getpid()),
		Term: int(l.term),
	}, nil
}

const (
	// An agent renews its claim on an environment after claimRenewal. Another agent takes the environment over
	// when the claim has not changed for claimTime: far longer than the replicas of one agent need to replace
	// each other.
	claimTime    = 5 * time.Minute
	claimRenewal = 90 * time.Second
)

// KeptError says that another agent keeps an environment.
type KeptError struct {
	Environment string
	Holder      Holder
	Lease       string
	// Former says that the other agent is an earlier installation of this one, whose Lease was deleted.
	Former bool
}

func (e *KeptError) Error() string {
	if e.Former {
		return fmt.Sprintf("%s is claimed by an earlier installation of %s (lease %s): this agent takes it over "+
			"at its first poll after %s", e.Environment, e.Holder, e.Lease, lockTime)
	}
	return fmt.Sprintf("%s is kept by another agent, %s (lease %s): remove the environment from one of the two "+
		"configurations, or stop the other agent and wait for %s", e.Environment, e.Holder, e.Lease, claimTime)
}

// Claim is the right of one agent to keep an environment. The zero value claims nothing yet.
type Claim struct {
	renewed time.Time // zero: not ours
	// version is that of the Lease of another agent, and since when this process has seen it unchanged.
	version string
	since   time.Time
	// home is the UID of the agent's Lease, once it was read in the cluster of the environment.
	home string
	// lease is the claim as it was written last; nil where it may be another one.
	lease *coordinationv1.Lease
	// read: it was there before this process claimed the environment.
	read bool
}

// Hold claims the environment for an agent, or renews its claim when that is due. It fails with a *KeptError
// while another agent claims it. It does not trust the clocks of others, only whether the Lease changes.
func (c *Claim) Hold(ctx context.Context, s Store, agent Leader) error {
	if time.Since(c.renewed) < claimRenewal {
		return nil
	}
	c.renewed = time.Time{}
	known := c.lease
	if known == nil && !c.read { // most environments are not claimed yet
		known = newLease(s.claimName())
	}
	if known != nil {
		if err := c.write(ctx, s, known, agent); !errors.Is(err, cluster.ErrChanged) {
			return err
		}
	}
	c.lease, c.read = nil, true
	lease, err := cluster.ReadLease(ctx, s.Cluster, s.claimName())
	if err != nil {
		return err
	}
	holder, was := identityOf(lease), holderOf(lease)
	if holder != "" && holder != agent.claimant() && !was.vanished() {
		if lease.ResourceVersion != c.version {
			c.version, c.since = lease.ResourceVersion, time.Now()
		}
		wait, isFormer := claimTime, c.isFormer(ctx, s, lease, agent)
		if isFormer {
			wait = lockTime // after which the leader of the deleted Lease writes nothing any more
		}
		if time.Since(c.since) < wait {
			return &KeptError{Environment: s.Environment, Holder: was, Lease: lease.Name, Former: isFormer}
		}
	}
	return c.write(ctx, s, lease, agent)
}

// write claims the environment in a Lease. It fails with cluster.ErrChanged where another agent was faster.
func (c *Claim) write(ctx context.Context, s Store, lease *coordinationv1.Lease, agent Leader) error {
	began := time.Now()
	written, err := s.writeClaim(ctx, lease, agent, c.isHome(ctx, s, agent))
	if err != nil {
		return fmt.Errorf("claim %s: %w", s.Environment, err)
	}
	c.renewed, c.lease = began, written
	return nil
}

// isFormer says that a claim is of an earlier installation of the agent: its Lease had the same name in this
// cluster, and does not exist any more, as another one has that name now. It is false for an agent of the
// same name in another cluster.
func (c *Claim) isFormer(ctx context.Context, s Store, claim *coordinationv1.Lease, agent Leader) bool {
	return agent.Lease != "" && holderOf(claim).Home &&
		strings.HasPrefix(identityOf(claim), agent.Agent+" ") && c.isHome(ctx, s, agent)
}

// isHome says that the Lease of the agent is in the cluster of the environment. Where the agent may not read
// it there, it is taken to be in another one.
func (c *Claim) isHome(ctx context.Context, s Store, agent Leader) bool {
	namespace, name, ok := strings.Cut(agent.Agent, "/")
	if !ok || agent.Lease == "" {
		return false
	}
	if c.home != agent.Lease {
		lease, err := cluster.ReadLease(ctx, s.Cluster.AsUser().In(namespace), name)
		if err != nil {
			return false
		}
		c.home = string(lease.UID)
	}
	return c.home == agent.Lease
}

// Release ends the claim of an agent that runs alone. The replicas of an agent keep theirs: another replica
// goes on.
func (c *Claim) Release(ctx context.Context, s Store, agent Leader) error {
	if c.renewed.IsZero() || agent.Lease != "" {
		return nil
	}
	lease, err := cluster.ReadLease(ctx, s.Cluster, s.claimName())
	if err != nil || identityOf(lease) != agent.claimant() {
		return err
	}
	lease.Spec.HolderIdentity = nil
	_, err = cluster.WriteLease(ctx, s.Cluster, lease)
	if errors.Is(err, cluster.ErrChanged) {
		return nil // another agent took it
	}
	return err
}

// claimant is the same for all replicas of an agent.
func (l Leader) claimant() string {
	if l.Lease == "" {
		return l.ID
	}
	return l.Agent + " " + l.Lease
}

func (s Store) claimName() string { return s.lockName() + ".agent" }

func (s Store) writeClaim(
	ctx context.Context, lease *coordinationv1.Lease, agent Leader, isHome bool,
) (*coordinationv1.Lease, error) {
	h := Holder{Who: agent.Agent, Home: isHome, Since: time.Now().UTC().Truncate(time.Second)}
	if agent.Lease == "" {
		h.Who, h.PID, h.Machine = "slipway agent", os.Getpid(), machine()
		h.Host, _ = os.Hostname()
	}
	text, err := h.encode()
	if err != nil {
		return nil, err
	}
	now, seconds, identity := metav1.NowMicro(), int32(claimTime/time.Second), agent.claimant()
	metav1.SetMetaDataAnnotation(&lease.ObjectMeta, holderAnnotation, text)
	lease.Spec = coordinationv1.LeaseSpec{
		HolderIdentity: &identity, LeaseDurationSeconds: &seconds, AcquireTime: &now, RenewTime: &now,
	}
	return cluster.WriteLease(ctx, s.Cluster, lease)
}
