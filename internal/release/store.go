package release

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"slipway/internal/cluster"
)

const (
	projectLabel     = "slipway.dev/project"
	environmentLabel = "slipway.dev/environment"
	// keep is how many records stay. The two newest healthy ones stay whatever their age: what
	// runs, and what to go back to.
	keep = 10
)

// Store is the records of one environment.
type Store struct {
	Cluster              *cluster.Cluster
	Project, Environment string
}

// LockName is the name of the Lease that whoever deploys holds.
func (s Store) LockName() string { return "slipway." + word(s.Project) + "." + word(s.Environment) }

func (s Store) recordName(revision int) string { return fmt.Sprintf("%s.v%d", s.LockName(), revision) }

func (s Store) labels() map[string]string {
	return map[string]string{projectLabel: word(s.Project), environmentLabel: word(s.Environment)}
}

var unfit = regexp.MustCompile(`[^a-z0-9]+`)

// word makes a name fit for labels and object names. What it has to change it tells apart by a hash.
func word(name string) string {
	w := strings.Trim(unfit.ReplaceAllString(strings.ToLower(name), "-"), "-")
	if w == name && len(w) <= 40 {
		return w
	}
	sum := sha256.Sum256([]byte(name))
	return strings.Trim(fmt.Sprintf("%s-%x", w[:min(40, len(w))], sum[:4]), "-")
}

// Begin records that a release is about to be applied, before anything is, and gives it its
// revision.
func (s Store) Begin(ctx context.Context, r Release) (Release, error) {
	history, err := s.History(ctx)
	if err != nil {
		return r, err
	}
	r.Revision, r.Status = 1, Pending
	if len(history) > 0 {
		r.Revision = history[0].Revision + 1
	}
	return s.put(ctx, r)
}

// Finish records the outcome, and lets go of the records that are too old.
func (s Store) Finish(ctx context.Context, r Release) error {
	if _, err := s.put(ctx, r); err != nil {
		return err
	}
	return s.forget(ctx)
}

// Update records how far a pending release has come.
func (s Store) Update(ctx context.Context, r Release) (Release, error) { return s.put(ctx, r) }

func (s Store) put(ctx context.Context, r Release) (Release, error) {
	data, err := r.encode()
	if err != nil {
		return r, fmt.Errorf("write release %d: %w", r.Revision, err)
	}
	summary, err := json.Marshal(r.Summary)
	if err != nil {
		return r, fmt.Errorf("write release %d: %w", r.Revision, err)
	}
	written, err := s.Cluster.PutRecord(ctx, cluster.Record{
		Name: s.recordName(r.Revision), Labels: s.labels(), Summary: summary, Data: data, Version: r.version,
	})
	r.version = written.Version
	return r, err
}

// forget deletes old records.
func (s Store) forget(ctx context.Context) error {
	history, err := s.History(ctx)
	if err != nil {
		return err
	}
	healthy := 0
	for i, r := range history {
		if r.Status == Healthy {
			healthy++
		}
		if i < keep || r.Status == Healthy && healthy <= 2 {
			continue
		}
		if err := s.Cluster.DeleteRecord(ctx, s.recordName(r.Revision)); err != nil {
			return err
		}
	}
	return nil
}

// History is the summaries of all releases, newest first; empty where there are none.
func (s Store) History(ctx context.Context) ([]Summary, error) {
	records, err := s.Cluster.Records(ctx, s.labels())
	if err != nil {
		return nil, err
	}
	history := make([]Summary, 0, len(records))
	for _, r := range records {
		var sum Summary
		if err := json.Unmarshal(r.Summary, &sum); err != nil {
			return nil, fmt.Errorf("read record %s: %w", r.Name, err)
		}
		history = append(history, sum)
	}
	slices.SortFunc(history, func(a, b Summary) int { return cmp.Compare(b.Revision, a.Revision) })
	for i := range history {
		if err := s.orphaned(ctx, &history[i]); err != nil {
			return nil, err
		}
	}
	return history, nil
}

// orphaned marks a release that was never finished and that nobody works on any more.
func (s Store) orphaned(ctx context.Context, r *Summary) error {
	if r.Status != Pending {
		return nil
	}
	_, alive, err := s.Cluster.Locked(ctx, s.LockName())
	if err != nil {
		return err
	}
	if !alive {
		r.Status, r.Failure = Interrupted, "the deploy ended without writing down its outcome"
	}
	return nil
}

// Latest is the newest release; ErrNone where there is none.
func (s Store) Latest(ctx context.Context) (Release, error) {
	history, err := s.History(ctx)
	if err != nil {
		return Release{}, err
	}
	if len(history) == 0 {
		return Release{}, fmt.Errorf("%s: %w", s.Environment, ErrNone)
	}
	return s.Get(ctx, history[0].Revision)
}

// Get is one release; ErrNone where there is none of that number.
func (s Store) Get(ctx context.Context, revision int) (Release, error) {
	record, found, err := s.Cluster.Record(ctx, s.recordName(revision))
	if err != nil {
		return Release{}, err
	}
	if !found {
		return Release{}, fmt.Errorf("release %d of %s: %w", revision, s.Environment, ErrNone)
	}
	r, err := decode(record.Data)
	if err != nil {
		return Release{}, fmt.Errorf("read release %d of %s: %w", revision, s.Environment, err)
	}
	r.version = record.Version
	return r, s.orphaned(ctx, &r.Summary)
}
