package forge

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"strings"
	"time"
)

// The states of checks.
const (
	Passed  = "passed"
	Failed  = "failed"  // or it was cancelled, or skipped: it has not passed, and does not run any more
	Pending = "pending" // it waits or runs
)

// Check is the newest result of one check of a commit: a commit status, or a check run of GitHub.
type Check struct {
	Name string
	// State is one of the above, Said the forge's own word for it.
	State, Said string
	// Time is when it got this state; zero: the forge does not say so.
	Time time.Time
}

// Checks returns what the forge knows about a commit. It has none of a commit that the forge does not know.
func (f Forge) Checks(ctx context.Context, repository, commit string) ([]Check, error) {
	at, err := f.project(repository)
	if err != nil {
		return nil, err
	}
	doing, of := "list commit statuses", at+"/commits/"+commit
	if f.Kind == GitLab {
		of = at + "/repository/commits/" + commit
	}
	var all []Check
	switch f.Kind {
	case GitLab:
		all, err = checksOf[status](ctx, f, call{doing: doing, at: of + "/statuses"}, "")
	default: // the newest status of each context
		all, err = checksOf[status](ctx, f, call{doing: doing, at: of + "/status"}, "statuses")
	}
	if err == nil && f.Kind == GitHub {
		var runs []Check
		runs, err = checksOf[checkRun](ctx, f, call{
			doing: "list check runs", at: of + "/check-runs", query: url.Values{"filter": {"latest"}},
		}, "check_runs")
		all = append(all, runs...)
	}
	if refused := (*AnswerError)(nil); errors.As(err, &refused) && (strings.HasPrefix(refused.Status, "404") ||
		strings.HasPrefix(refused.Status, "422")) { // GitHub: "No commit found for SHA"
		return nil, nil
	}
	return all, err
}

func checksOf[T interface{ check() Check }](
	ctx context.Context, f Forge, c call, field string,
) ([]Check, error) {
	list, err := pages[T](ctx, f, c, field)
	var all []Check
	for _, item := range list {
		all = append(all, item.check())
	}
	return all, err
}

// status is a commit status as the forges describe it.
type status struct {
	Context string    `json:"context"`
	State   string    `json:"state"`
	Created time.Time `json:"created_at"`
	Updated time.Time `json:"updated_at"`

	// Gitea's and GitLab's names.
	Status   string    `json:"status"`
	Name     string    `json:"name"`
	Started  time.Time `json:"started_at"`
	Finished time.Time `json:"finished_at"`
}

func (s status) check() Check {
	c := Check{
		Name: cmp.Or(s.Context, s.Name), Said: cmp.Or(s.State, s.Status),
		Time: firstTime(s.Finished, s.Updated, s.Started, s.Created),
	}
	c.State = stateOf(c.Said)
	return c
}

// checkRun is one of GitHub's.
type checkRun struct {
	Name       string    `json:"name"`
	Status     string    `json:"status"`
	Conclusion string    `json:"conclusion"`
	Started    time.Time `json:"started_at"`
	Completed  time.Time `json:"completed_at"`
}

func (r checkRun) check() Check {
	said := r.Status
	if r.Status == "completed" {
		said = cmp.Or(r.Conclusion, "completed")
	}
	return Check{Name: r.Name, State: stateOf(said), Said: said, Time: firstTime(r.Completed, r.Started)}
}

// stateOf is the state for a word of a forge. An unknown word is not a pass, and neither is a check that was
// skipped: it has verified nothing.
func stateOf(said string) string {
	switch said {
	case "success":
		return Passed
	case "pending", "queued", "in_progress", "waiting", "requested", "running", "created", "preparing",
		"waiting_for_resource", "scheduled", "manual":
		return Pending
	}
	return Failed
}

func firstTime(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}
