package agent

import (
	"context"
	"fmt"
	"slices"

	"slipway/internal/release"
)

// state is what the steps of a pass share: the commit to deploy, the cluster, and who is told about them. The
// goroutine of the environment alone uses it, the reporter excepted.
type state struct {
	*reporter
	candidate
	view
}

// candidate is the commit to deploy, and what was decided about it.
type candidate struct {
	checkout
	looked  bool   // it needs no further look
	holder  int    // the release in quarantine that keeps it back; 0: none
	settled string // the last commit that was deployed, held, or found to run
	// key is that of the files that the commit that runs was rendered from; empty: a later one is rendered
	// anyway.
	key string
}

// settle notes that the commit needs no further look.
func (c *candidate) settle() { c.settled, c.looked = c.commit, true }

// adopt makes a commit the one to deploy.
func (s *state) adopt(c *checkout) {
	s.checkout.close()
	if s.target.Cluster == nil || !c.target.Cluster.Shares(s.target.Cluster) ||
		c.target.Records().Selector() != s.target.Records().Selector() {
		s.stopTracking() // another connection, or other records
	}
	s.candidate = candidate{checkout: *c, settled: s.settled}
	s.turnTo(c.commit, c.target)
}

// recall reads the record where it may have changed since it was read.
func (s *state) recall(ctx context.Context) (ends bool, err error) {
	defer func() { s.update(func(st *Status) { st.Pauses = s.past.Pauses.Active(s.now()) }) }()
	before := s.past.Latest.Revision
	isNew, err := s.read(ctx, s.target.Records())
	if err != nil || !isNew {
		return false, err
	}
	if now := s.past.Latest.Revision; now < before {
		// The cluster was restored from a backup, or somebody has deleted records.
		s.log.Warn(fmt.Sprintf("the record went back from release %d to release %d: the commit is evaluated again",
			before, now))
		s.looked, s.own = false, 0
	}
	isHolding := func(r release.Release) bool { return r.Revision == s.holder && r.Held() }
	if s.holder != 0 && !slices.ContainsFunc(s.past.Releases, isHolding) { // a person has lifted it
		s.looked, s.holder = false, 0
	}
	if s.holder == 0 && isWithdrawn(s.past.Releases, s.Status().Release) { // a person holds it back
		s.looked = false
	}
	isOverridden := s.past.Latest.Override != nil
	if v := s.Status().Verdict; (v == Waiting || v == Unproven || isOverridden) &&
		s.past.Latest.Status != release.Pending {
		// Somebody may have deployed.
		s.looked = false
	}
	return false, nil
}

// isWithdrawn says that a person has quarantined a release that has the objects of another one.
func isWithdrawn(all []release.Release, revision int) bool {
	return slices.ContainsFunc(all, func(r release.Release) bool {
		isSame := func(o release.Release) bool { return o.Revision == revision && o.Digest == r.Digest }
		return r.Held() && r.Quarantine.Who != "" && slices.ContainsFunc(all, isSame)
	})
}
