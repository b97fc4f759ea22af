package deploy

import (
	"context"
	"fmt"
	"slices"

	"slipway/internal/git"
	"slipway/internal/project"
	"slipway/internal/release"
)

// Direction is where a deploy goes in the history of Git.
type Direction struct {
	// Back is set when the release has commits that the source does not have.
	Back *OlderError
	// Unknown says why that cannot be told; empty when it can.
	Unknown string
	// Allowed: the caller wants to go back.
	Allowed bool
}

// OlderError says that a deploy would take commits back which the environment runs.
type OlderError struct {
	Environment string
	Release     int
	// From is the commit of the release, To that of the source.
	From, To string
	// Lost counts the commits that only the release has, New those that only the source has.
	Lost, New int
	Shallow   bool
	// Listed: the source lists the commits that it contains, and From is not among them.
	Listed bool
}

func (e *OlderError) Error() string {
	if e.Listed {
		return fmt.Sprintf("commit %s does not contain commit %s of release %d in %s: it is older, or the history "+
			"was rewritten", git.Short(e.To), git.Short(e.From), e.Release, e.Environment)
	}
	what := fmt.Sprintf("commit %s is older than", git.Short(e.To))
	if e.New > 0 {
		what = fmt.Sprintf("commit %s does not contain", git.Short(e.To))
	}
	text := fmt.Sprintf("%s %s of release %d in %s: the deploy would revert %s", what, git.Short(e.From),
		e.Release, e.Environment, commits(e.Lost))
	if e.Shallow {
		text += " (as far as a shallow clone can tell)"
	}
	return text
}

// directionOf compares the commit of the source with that of the newest release. On a laptop people switch
// branches all the time, so there every direction is forward.
func directionOf(ctx context.Context, t Target, latest release.Release, allow bool) Direction {
	from, to := latest.Commit, t.Source.Commit
	if t.Environment.Class == project.Local || latest.Status == release.Deleted || from == "" || to == "" ||
		from == to {
		return Direction{}
	}
	if t.Source.Bundled {
		if slices.Contains(t.Source.Ancestors, from) {
			return Direction{}
		}
		return Direction{Allowed: allow, Back: &OlderError{Environment: t.Environment.Name,
			Release: latest.Revision, From: from, To: to, Listed: true}}
	}
	repository, err := t.history(ctx)
	if err != nil {
		return Direction{Unknown: err.Error()}
	}
	shallow := repository.IsShallow(ctx)
	if !repository.Exists(ctx, from) {
		why := "it is from another repository, was rewritten, or is not fetched yet"
		if shallow {
			why = "this is a shallow clone: `git fetch --unshallow`"
		}
		return Direction{Unknown: fmt.Sprintf("commit %s of release %d is not in this repository (%s)",
			git.Short(from), latest.Revision, why)}
	}
	added, lost, err := repository.Between(ctx, from, to)
	switch {
	case err != nil:
		return Direction{Unknown: err.Error()}
	case lost == 0:
		return Direction{}
	}
	return Direction{Allowed: allow, Back: &OlderError{Environment: t.Environment.Name, Release: latest.Revision,
		From: from, To: to, Lost: lost, New: added, Shallow: shallow}}
}

// refusal returns why a deploy must not go on; nil when it may.
func (d Direction) refusal() error {
	if d.Back == nil || d.Allowed {
		return nil
	}
	return d.Back
}

// remarks are what to know about the direction before consenting.
func (d Direction) remarks() []string {
	switch {
	case d.Unknown != "":
		return []string{"cannot tell whether this goes back in Git's history: " + d.Unknown}
	case d.Back != nil && d.Allowed:
		return []string{"goes back, as requested: " + d.Back.Error()}
	case d.Back != nil:
		return []string{"deploy refuses this without --allow-older: " + d.Back.Error()}
	}
	return nil
}
