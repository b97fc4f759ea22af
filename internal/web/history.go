package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"slipway/internal/deploy"
	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/release"
)

// historyPage lists the releases of an environment, the failed ones among them.
type historyPage struct {
	place
	Releases      []release.Release
	Pauses        release.Pauses
	Query, Status string
	Statuses      []release.Status
	Notes         []string
	// Others are approvals, and pauses that have ended: the newest first.
	Others []occurrence
}

// occurrence is what a person did that is not a release.
type occurrence struct {
	Time              time.Time
	What, Who, Reason string
}

func (s *Site) serveHistory(
	w http.ResponseWriter, r *http.Request, t deploy.Target, past release.Past,
) error {
	page := historyPage{place: placeOf(t), Pauses: past.Pauses.Active(time.Now()),
		Query: strings.TrimSpace(r.FormValue("q")), Status: r.FormValue("status")}
	var err error
	if page.Notes, err = deploy.Elsewhere(r.Context(), t, past.Latest); err != nil {
		page.Notes = append(page.Notes, err.Error())
	}
	for _, rel := range past.Releases {
		if !slices.Contains(page.Statuses, rel.Status) {
			page.Statuses = append(page.Statuses, rel.Status)
		}
		text := strings.Join([]string{rel.Commit, rel.Tag, rel.Who, rel.Failure, rel.Message}, " ")
		if (page.Status == "" || page.Status == string(rel.Status)) &&
			strings.Contains(strings.ToLower(text), strings.ToLower(page.Query)) {
			page.Releases = append(page.Releases, rel)
		}
	}
	others, err := occurrences(r.Context(), t.Records())
	if err != nil {
		page.Notes = append(page.Notes, err.Error())
	}
	for _, o := range others {
		text := strings.ToLower(strings.Join([]string{o.What, o.Who, o.Reason}, " "))
		if page.Status == "" && strings.Contains(text, strings.ToLower(page.Query)) {
			page.Others = append(page.Others, o)
		}
	}
	s.show(w, r, http.StatusOK, "history", viewOf(t.Source, t.Environment.Name, "history", page))
	return nil
}

// occurrences are the approvals of an environment, and the pauses that have ended, the newest first.
func occurrences(ctx context.Context, records release.Store) (all []occurrence, err error) {
	approvals, failed := records.Approvals(ctx)
	for _, a := range approvals {
		all = append(all, occurrence{a.Time, "approved images " + shortDigest(":"+a.Images), a.Who, a.Reason})
	}
	ended, err := records.EndedPauses(ctx)
	for _, p := range ended {
		what := "held drift"
		if p.Deploys {
			what = "suspended the agent"
		}
		what += " until " + p.Until.UTC().Format(time.RFC3339)
		all = append(all, occurrence{p.Since, what, p.Who, p.Reason})
	}
	slices.SortStableFunc(all, func(a, b occurrence) int { return b.Time.Compare(a.Time) })
	return all, errors.Join(failed, err)
}

// releasePage is one release: what it changed, why it failed, and what became of it.
type releasePage struct {
	place
	Release release.Release
	// Before is the revision that Changes compares with; 0: there is none.
	Before  int
	Changes []plan.Change
	// More counts the changes that are not shown.
	More int
	// Newest: it is the one that runs, or should.
	Newest bool
	Events []moment
}

// moment is one entry of the time line of a release.
type moment struct {
	Time time.Time
	Text string
}

// maxChanges is how many changed objects a page of a release or a plan shows.
const maxChanges = 100

func (s *Site) serveRelease(w http.ResponseWriter, r *http.Request, t deploy.Target) error {
	revision, err := strconv.Atoi(r.PathValue("revision"))
	if err != nil {
		return errNoPage
	}
	history, err := t.Records().History(r.Context())
	if err != nil {
		return err
	}
	rel, err := t.Records().Get(r.Context(), revision)
	if err != nil {
		return err
	}
	page := releasePage{place: placeOf(t), Release: rel, Newest: history[0].Revision == revision,
		Events: moments(rel, history)}
	page.Commit = rel.Commit
	if i := slices.IndexFunc(history, func(o release.Release) bool {
		return o.Revision < revision && o.Status == release.Healthy
	}); i >= 0 {
		before, err := t.Records().Get(r.Context(), history[i].Revision)
		if err != nil {
			return err
		}
		page.Before = before.Revision
		page.Changes = plan.Differences(before.Objects, rel.Objects)
		page.More = max(0, len(page.Changes)-maxChanges)
		page.Changes = page.Changes[:len(page.Changes)-page.More]
	}
	v := viewOf(t.Source, t.Environment.Name, "history", page)
	v.Title = "release " + r.PathValue("revision") + " of " + t.Environment.Name
	s.show(w, r, http.StatusOK, "release", v)
	return nil
}

// moments are what happened to a release, the earliest first.
func moments(rel release.Release, history []release.Release) []moment {
	all := []moment{{rel.Started, "started by " + orUnknown(rel.Who)}}
	if !rel.Finished.IsZero() {
		took := rel.Finished.Sub(rel.Started).Round(time.Second)
		all = append(all, moment{rel.Finished, string(rel.Status) + " after " + took.String()})
	}
	for _, o := range history {
		if o.Found != nil && o.Found.Revision == rel.Revision {
			all = append(all, moment{o.Started, "found down by release " + strconv.Itoa(o.Revision) + ": " +
				o.Found.Message})
		}
		if o.RollbackOf == rel.Revision && o.Revision != rel.Revision {
			all = append(all, moment{o.Started, "deployed again as release " + strconv.Itoa(o.Revision)})
		}
	}
	if q := rel.Quarantine; q != nil {
		all = append(all, moment{q.Since, "quarantined: " + q.Reason})
		if q.Lifted != nil {
			all = append(all, moment{q.Lifted.Time, "quarantine lifted by " + q.Lifted.Who + ": " + q.Lifted.Reason})
		}
	}
	slices.SortStableFunc(all, func(a, b moment) int { return a.Time.Compare(b.Time) })
	return all
}

func orUnknown(who string) string {
	if who == "" {
		return "an unknown user"
	}
	return who
}

// FileOf is the address of an object's manifest in the forge.
func (p place) FileOf(o object.Origin) string { return p.File(o.File, o.Line) }
