package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/internal/cluster"
)

// pauseLabel marks the Secret with the pauses of an environment, which is beside its records.
const pauseLabel = "slipway.dev/pause"

// Pause keeps an agent from changing an environment.
type Pause struct {
	// Deploys: nothing is deployed nor rolled back either; else drift alone is left as it is.
	Deploys bool      `json:"deploys,omitempty"`
	Who     string    `json:"who,omitempty"`
	Reason  string    `json:"reason"`
	Since   time.Time `json:"since"`
	// Until is when it ends by itself; zero: a person ends it.
	Until time.Time `json:"until,omitzero"`
}

// String says what is paused, until when, by whom and why.
func (p Pause) String() string {
	text := "drift repair is paused"
	if p.Deploys {
		text = "the agent is suspended"
	}
	if !p.Until.IsZero() {
		text += " until " + p.Until.Format(time.RFC3339)
	}
	if p.Who != "" {
		text += " by " + p.Who
	}
	return fmt.Sprintf("%s since %s: %s", text, p.Since.Format(time.RFC3339), p.Reason)
}

// Pauses are those of an environment: at most one of the repair of drift, and one of everything.
type Pauses []Pause

// Active returns the pauses that have not ended.
func (all Pauses) Active(now time.Time) Pauses {
	var active Pauses
	for _, p := range all {
		if p.Until.IsZero() || now.Before(p.Until) {
			active = append(active, p)
		}
	}
	return active
}

// Holding returns a pause that keeps drift from being repaired; nil without one.
func (all Pauses) Holding(now time.Time) *Pause {
	for _, p := range all.Active(now) {
		return &p
	}
	return nil
}

// Suspending returns the pause that keeps commits from being deployed; nil without one.
func (all Pauses) Suspending(now time.Time) *Pause {
	for _, p := range all.Active(now) {
		if p.Deploys {
			return &p
		}
	}
	return nil
}

// Pause begins a pause, in place of one of the same kind.
func (s Store) Pause(ctx context.Context, p Pause) (Pause, error) {
	p.Since = time.Now().UTC().Truncate(time.Second)
	return p, s.changePauses(ctx, func(all Pauses) Pauses { return append(all.without(p.Deploys), p) })
}

// Resume ends the pause of everything, or that of the repair of drift. It reports whether there was one.
func (s Store) Resume(ctx context.Context, deploys bool) (was bool, err error) {
	err = s.changePauses(ctx, func(all Pauses) Pauses {
		rest := all.without(deploys)
		was = len(rest) < len(all)
		return rest
	})
	return was, err
}

func (all Pauses) without(deploys bool) Pauses {
	var rest Pauses
	for _, p := range all.Active(time.Now()) {
		if p.Deploys != deploys {
			rest = append(rest, p)
		}
	}
	return rest
}

// changePauses writes the pauses again when another client was faster.
func (s Store) changePauses(ctx context.Context, change func(Pauses) Pauses) error {
	name := s.lockName() + ".pause"
	for {
		secret, err := cluster.ReadSecret(ctx, s.Cluster, name)
		if err != nil {
			return err
		}
		if secret == nil {
			labels := s.labels(Release{})
			delete(labels, revisionLabel)
			labels[pauseLabel] = "true"
			secret = secretOf(name, labels, map[string][]byte{})
		}
		all, err := pausesOf(secret.Data[summaryKey])
		if err != nil {
			return err
		}
		now := change(all)
		text, err := json.Marshal(now)
		if err != nil {
			return err
		}
		ended, err := withEnded(secret.Data[endedKey], all, now)
		if err != nil {
			return err
		}
		secret.Data = map[string][]byte{summaryKey: text, endedKey: ended}
		if _, err = cluster.WriteSecret(ctx, s.Cluster, secret); !errors.Is(err, cluster.ErrChanged) {
			return err
		}
	}
}

// endedKey has the pauses that have ended, in the Secret of the others: earlier versions do not read it.
const endedKey = "ended"

// maxEnded is how many of them are kept: the newest.
const maxEnded = 50

// withEnded adds to the ended pauses those that have ended since.
func withEnded(data []byte, before, now Pauses) ([]byte, error) {
	ended, err := pausesOf(data)
	if err != nil {
		return nil, err
	}
	at := time.Now().UTC().Truncate(time.Second)
	for _, p := range before {
		if slices.Contains(now, p) {
			continue
		}
		if p.Until.IsZero() || p.Until.After(at) {
			p.Until = at
		}
		ended = append(ended, p)
	}
	return json.Marshal(ended[max(0, len(ended)-maxEnded):])
}

// EndedPauses returns the last pauses that have ended, the oldest first. Until is the time when they did.
func (s Store) EndedPauses(ctx context.Context) (Pauses, error) {
	secret, err := cluster.ReadSecret(ctx, s.Cluster, s.lockName()+".pause")
	if err != nil || secret == nil {
		return nil, err
	}
	all, err := pausesOf(secret.Data[summaryKey])
	if err != nil {
		return nil, err
	}
	ended, err := pausesOf(secret.Data[endedKey])
	for _, p := range all {
		if !p.Until.IsZero() && !time.Now().Before(p.Until) { // by itself
			ended = append(ended, p)
		}
	}
	return ended, err
}

func pausesOf(data []byte) (all Pauses, err error) {
	if len(data) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("read the pauses: %w", err)
	}
	return all, nil
}

// pauses takes the pauses out of a list of records.
func pauses(heads []record) (records []record, all Pauses, err error) {
	for _, h := range heads {
		if h.labels[pauseLabel] == "" {
			records = append(records, h)
			continue
		}
		more, err := pausesOf(h.summary)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, more...)
	}
	return records, all, nil
}

// Lines are the sentences of the pauses that have not ended.
func (all Pauses) Lines(now time.Time) []string {
	var lines []string
	for _, p := range all.Active(now) {
		lines = append(lines, strings.TrimSpace(p.String()))
	}
	return lines
}
