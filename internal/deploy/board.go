package deploy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/internal/git"
	"slipway/internal/image"
	"slipway/internal/project"
	"slipway/internal/release"
)

// Standing is the state of one environment: its release, its health, and how far it is behind.
type Standing struct {
	Environment string           `json:"environment"`
	Class       project.Class    `json:"class"`
	Release     *release.Release `json:"release,omitempty"`
	Healthy     bool             `json:"healthy"`
	Health      string           `json:"health"`
	// Running names the commit that each image was built from.
	Running []Running `json:"running,omitempty"`
	// Behind compares it with the nearest deployed environment before it.
	Behind *Lag `json:"behind,omitempty"`
	// Drift is how it differs from its release; nil where it does not, and where that is not known.
	Drift *Drift `json:"drift,omitempty"`
	// Keepers are other tools that deploy its objects.
	Keepers []Keeper `json:"keepers,omitempty"`
	// Pauses keep an agent from changing the environment.
	Pauses release.Pauses `json:"pauses,omitempty"`
	// Notes are remarks about Running and Behind, one sentence each.
	Notes []string `json:"notes,omitempty"`
	// Error is why the environment could not be read. Unread is the same error as a value.
	Error  string `json:"error,omitempty"`
	Unread error  `json:"-"`
}

// Deployed says that the environment runs a release.
func (s Standing) Deployed() bool { return s.Release != nil && s.Release.Status != release.Deleted }

// Running is one image of an environment with the commit that it was built from.
type Running struct {
	Image  string `json:"image"`
	Digest string `json:"digest"`
	// Commit is what the image's label says, or the commit of the release without one.
	Commit string `json:"commit,omitempty"`
	// Labelled: Commit comes from the label of the image.
	Labelled bool   `json:"labelled"`
	Subject  string `json:"subject,omitempty"`
}

// Lag is the distance between an environment and one before it.
type Lag struct {
	Environment string `json:"environment"`
	// Commits counts the commits that this environment lacks, Ahead those that the other one lacks.
	Commits int `json:"commits"`
	Ahead   int `json:"ahead,omitempty"`
	// SameImages: only the manifests differ.
	SameImages bool `json:"sameImages,omitempty"`
	// Waiting are the commits that this environment lacks, newest first: at most maxWaiting.
	Waiting []git.Commit `json:"waiting,omitempty"`
}

// maxWaiting is how many commits are named that an environment lacks.
const maxWaiting = 20

const (
	standingTimeout = 20 * time.Second // for one environment
	registryTimeout = 5 * time.Second  // for the labels of its images
)

// Board reads all environments of a source at once, in the order of the project. An environment that cannot
// be read has its error in Unread. connect opens the cluster of an environment.
func Board(ctx context.Context, src project.Source, connect func(project.Environment) (Target,
	error)) []Standing {
	board := make([]Standing, len(src.Project.Environments))
	var all sync.WaitGroup
	for i, env := range src.Project.Environments {
		all.Go(func() {
			s, err := standing(ctx, env, connect)
			if err != nil {
				s.Health, s.Error = "unknown", err.Error()
				s.Unread = fmt.Errorf("status of %s: %w", env.Name, err)
			}
			board[i] = s
		})
	}
	all.Wait()
	if repository, err := git.Open(ctx, cmp.Or(src.Repository, src.Project.Dir)); err == nil {
		compareCommits(ctx, repository, board)
	}
	return board
}

// standing reads the record of one environment, and the health of its objects.
func standing(ctx context.Context, env project.Environment, connect func(project.Environment) (Target,
	error)) (Standing, error) {
	s := Standing{Environment: env.Name, Class: env.Class}
	t, err := connect(env)
	if err != nil {
		return s, err
	}
	ctx, cancel := context.WithTimeout(ctx, standingTimeout)
	defer cancel()
	past, err := t.Records().Past(ctx)
	if err != nil {
		return s, err
	}
	others, err := Elsewhere(ctx, t, past.Latest)
	if s.Notes = others; err != nil {
		return s, err
	}
	s.Pauses = past.Pauses.Active(time.Now())
	if was := movedHere(past); was.Revision > 0 {
		s.Notes = append(s.Notes, movedLine(t, was))
	}
	rel := past.Latest
	if rel.Revision == 0 {
		s.Health = "not deployed"
		s.Keepers, err = ConfiguredKeepers(ctx, t)
		s.takeReports()
		return s, err
	}
	s.Release = &rel
	if was := movedFrom(t, rel); was != "" {
		s.Notes = append(s.Notes, fmt.Sprintf("recorded as %s: the next deploy moves it to %s", was, t.owner()))
	}
	if s.Deployed() {
		var notes []string
		s.Running, notes = readCommits(ctx, rel, t.Reach(image.Options{}))
		s.Notes = append(s.Notes, notes...)
		switch {
		case rel.Override != nil:
			s.Notes = append(s.Notes, rel.OverrideText())
		case rel.Dirty && rel.Commit != "":
			s.Notes = append(s.Notes, fmt.Sprintf("release %d has uncommitted changes on top of %s", rel.Revision,
				git.Short(rel.Commit)))
		}
	}
	c, err := health(ctx, t, rel, true)
	s.Healthy, s.Health, s.Notes = c.Healthy, c.Text, append(s.Notes, c.Unseen...)
	if err != nil || rel.Status != release.Healthy {
		return s, err
	}
	switch d, err := driftFrom(ctx, t, past); {
	case err != nil:
		s.Notes = append(s.Notes, fmt.Sprintf("drift is unknown: %v", err))
	default:
		s.Keepers = d.Keepers
		s.Notes = append(s.Notes, keeperLines(d.Keepers)...)
		findStrays(ctx, t, rel, &d)
		if d.Count() > 0 {
			s.Drift = &d
		}
		if o, ok := d.Unread(); ok {
			s.Notes = append(s.Notes, fmt.Sprintf("drift is unknown: %s cannot be compared: %s", o.Ref, o.Reason))
		}
	}
	return s, nil
}

// takeReports shows an environment without a release as the tools that deploy it do.
func (s *Standing) takeReports() {
	var states []string
	s.Healthy = len(s.Keepers) > 0
	for _, k := range s.Keepers {
		s.Healthy = s.Healthy && k.Report.Healthy
		if !slices.Contains(states, k.Report.State) {
			states = append(states, k.Report.State)
		}
	}
	if len(states) > 0 {
		s.Health = strings.Join(states, "; ")
		s.Notes = append(s.Notes, keeperLines(s.Keepers)...)
	}
}

// readCommits reads from the registry which commit each image was built from. Where the registry does not
// answer it takes the commit of the release.
func readCommits(ctx context.Context, rel release.Release, o image.Options) ([]Running, []string) {
	ctx, cancel := context.WithTimeout(ctx, registryTimeout)
	defer cancel()
	list, notes := make([]Running, len(rel.Images)), make([]string, len(rel.Images))
	var all sync.WaitGroup
	for i, pin := range rel.Images {
		list[i] = Running{Image: pin.Name, Digest: pin.Digest, Commit: rel.Commit}
		all.Go(func() {
			commit, err := image.Revision(ctx, pin, o)
			switch {
			case err != nil:
				notes[i] = fmt.Sprintf("the commit of %s is unknown: %v", pin.Name, err)
			case commit == "":
				notes[i] = fmt.Sprintf("%s has no label with its commit", pin.Name)
			default:
				list[i].Commit, list[i].Labelled = commit, true
			}
		})
	}
	all.Wait()
	return list, slices.DeleteFunc(notes, func(n string) bool { return n == "" })
}
