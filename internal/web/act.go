package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/plan"
	"slipway/internal/promote"
	"slipway/internal/release"
)

// act is something that a person can do to an environment: it makes a plan, which the person approves.
type act struct {
	// Name is the last part of its path, Title the headline, and Verb what the button says.
	Name, Title, Verb string
	// Reason: the person must say why.
	Reason bool
	// Revision is the release to go back to; 0: no release, or the last healthy one.
	Revision int
	propose  func(context.Context, deploy.Target, deploy.PrepareOptions) (deploy.Proposal, error)
}

// actOf reads what a request is about.
func (s *Site) actOf(r *http.Request) (act, error) {
	switch r.PathValue("act") {
	case "override":
		if s.options.Override == nil {
			return act{}, errNoPage
		}
		return act{Name: "override", Title: "Deploy without a commit to", Verb: "Deploy without a commit",
			Reason: true, propose: func(
				ctx context.Context, t deploy.Target, _ deploy.PrepareOptions,
			) (deploy.Proposal, error) {
				from, ok := promotedFrom(t.Source.Project, t.Environment)
				if !ok {
					return deploy.Proposal{}, errNoPage
				}
				return s.options.Override(ctx, t, from)
			}}, nil
	case "plan":
		return act{Name: "plan", Title: "Plan for", Verb: "Deploy", propose: func(
			ctx context.Context, t deploy.Target, o deploy.PrepareOptions,
		) (deploy.Proposal, error) {
			return deploy.Propose(ctx, t, deploy.ProposeOptions{PrepareOptions: o})
		}}, nil
	case "repair":
		return act{Name: "repair", Title: "Repair drift of", Verb: "Repair", propose: func(
			ctx context.Context, t deploy.Target, _ deploy.PrepareOptions,
		) (deploy.Proposal, error) {
			return deploy.ProposeRevert(ctx, t, nil)
		}}, nil
	case "undo":
		revision, err := strconv.Atoi(r.FormValue("to"))
		if r.FormValue("to") != "" && (err != nil || revision < 1) {
			return act{}, errNoPage
		}
		return act{Name: "undo", Title: "Roll back", Verb: "Roll back", Reason: true, Revision: revision,
			propose: func(
				ctx context.Context, t deploy.Target, _ deploy.PrepareOptions,
			) (deploy.Proposal, error) {
				return deploy.ProposeRollback(ctx, t, deploy.RollbackOptions{Revision: revision})
			}}, nil
	}
	return act{}, errNoPage
}

// planPage is what an act would change.
type planPage struct {
	place
	Act     act
	Fault   *fault
	Summary deploy.Summary
	deploy.Proposal
	Stages []planStage
	Same   int // objects that stay as they are
	More   int // changes that are not shown
	// Approvable: the person may consent to the plan. Unbuilt are images that must be built before.
	Approvable bool
	Unbuilt    []string
	// Drifted: fields that others changed block the plan, and a repair sets them back.
	Drifted bool
	// Given is the reason that was given with a plan that has changed since.
	Given string
	// Holds is the release that an undo can quarantine; 0: none. After is what the keeper of the environment
	// does then; empty: nothing.
	Holds int
	After string
	// Upstream is the branch that an undo can revert the commit on; empty: it cannot.
	Upstream string
	// Builds: the page can build images.
	Builds bool
}

type planStage struct {
	Name    string
	Changes []plan.Change
}

func (s *Site) servePlan(w http.ResponseWriter, r *http.Request, t deploy.Target) error {
	a, err := s.actOf(r)
	if err != nil {
		return err
	}
	if t, err = s.options.People.As(r.Context(), PersonOf(r.Context()), t); err != nil {
		return err
	}
	page := s.propose(r.Context(), t, a)
	s.show(w, r, http.StatusOK, "plan", viewOf(t.Source, t.Environment.Name, a.Name, page))
	return nil
}

// propose makes the page of a plan.
func (s *Site) propose(ctx context.Context, t deploy.Target, a act) planPage {
	page := planPage{place: placeOf(t), Act: a, Builds: s.options.Build != nil}
	proposal, err := a.propose(ctx, t, deploy.PrepareOptions{})
	if err != nil {
		page.Fault = s.fault(err)
		return page
	}
	page.fill(proposal)
	page.Summary = deploy.Summarize(ctx, t, proposal)
	for _, pin := range proposal.Prepared.Images {
		if pin.Digest == "" {
			page.Unbuilt = append(page.Unbuilt, pin.Reference())
		}
	}
	if err := proposal.Blocked(); err != nil {
		page.Fault = s.fault(err)
		page.Drifted = a.Name != "repair" && proposal.Latest.Status != "" &&
			errors.As(err, new(*cluster.ConflictError))
		return page
	}
	page.Approvable = !proposal.Done() && len(page.Unbuilt) == 0
	latest := proposal.Latest
	if a.Name == "undo" && !latest.Held() && (latest.RollbackOf == 0 || latest.Revert) {
		page.Holds = latest.Revision
		if latest.Revert { // a repair: its content is another one's
			page.Holds = latest.RollbackOf
		}
		if s.options.AfterUndo != nil {
			page.After = s.options.AfterUndo(t.Source, t.Environment)
		}
		if s.options.Upstream != nil && latest.Commit != "" && !latest.Dirty {
			page.Upstream = s.options.Upstream(ctx, t.Source)
		}
	}
	return page
}

// fill puts the changes of a proposal into their stages.
func (p *planPage) fill(proposal deploy.Proposal) {
	p.Proposal = proposal
	stages := proposal.Plan.Stages
	shown := 0
	for i := range len(stages) + 1 {
		number := (i + 1) % (len(stages) + 1) // what belongs to no stage comes last
		var part planStage
		if number > 0 && proposal.Plan.IsStaged() {
			part.Name = stages[number-1].Name
		}
		for _, c := range proposal.Plan.In(number) {
			switch {
			case c.Action == plan.Keep && c.Reason == "" && len(c.Lost) == 0:
				p.Same++
			case shown == maxChanges:
				p.More++
			default:
				part.Changes = append(part.Changes, c)
				shown++
			}
		}
		if len(part.Changes) > 0 {
			p.Stages = append(p.Stages, part)
		}
	}
}

// errChanged says that a plan is not the one that was approved.
var errChanged = errors.New("the plan has changed since you read it: nothing was done. Read it again")

// errNoReason says that an act needs one.
var errNoReason = errors.New("write the reason: the record keeps it")

// serveAct carries out a plan that somebody approves: exactly that one, or nothing.
func (s *Site) serveAct(w http.ResponseWriter, r *http.Request, t deploy.Target) error {
	a, err := s.actOf(r)
	if err != nil {
		return err
	}
	if t, err = s.options.People.As(r.Context(), PersonOf(r.Context()), t); err != nil {
		return err
	}
	if r.FormValue("build") != "" && s.options.Build != nil {
		s.begin(w, r, t, "build", func(ctx context.Context, t deploy.Target) (release.Release, error) {
			_, err := a.propose(ctx, t, deploy.PrepareOptions{Build: true, Image: *s.options.Build})
			return release.Release{}, err
		})
		return nil
	}
	page, reason := s.propose(r.Context(), t, a), strings.TrimSpace(r.FormValue("reason"))
	who := s.who(r)
	page.Given = reason
	switch {
	case page.ID() == "" || page.ID() != r.FormValue("plan"):
		page.Fault = s.fault(errChanged)
	case page.Fault != nil:
	case a.Reason && reason == "":
		page.Fault = s.fault(errNoReason)
	}
	if page.Fault != nil {
		s.show(w, r, http.StatusConflict, "plan", viewOf(t.Source, t.Environment.Name, a.Name, page))
		return nil
	}
	hold := 0
	if r.FormValue("quarantine") != "" || page.After != "" {
		hold = page.Holds
	}
	reverts := r.FormValue("revert") != "" && page.Upstream != ""
	s.begin(w, r, t, a.Verb, func(ctx context.Context, t deploy.Target) (release.Release, error) {
		if hold > 0 {
			if err := quarantine(ctx, t, hold, reason, who); err != nil {
				return release.Release{}, err
			}
		}
		rel, err := deploy.Apply(ctx, t, page.Proposal, deploy.Options{Who: who, Reason: reason})
		if err == nil && reverts {
			err = s.revert(ctx, t, page, rel, reason)
		}
		return rel, err
	})
	return nil
}

// revert takes the commit of an undone release back, and says so.
func (s *Site) revert(
	ctx context.Context, t deploy.Target, page planPage, rel release.Release, reason string,
) error {
	undone, err := t.Records().Get(ctx, page.Holds)
	if err != nil {
		return err
	}
	commit, err := s.options.Revert(ctx, t, promote.Undone{Release: undone, Good: rel.Commit, Reason: reason})
	if err == nil {
		t.Notify(deploy.Event{Step: deploy.Rollback, Time: time.Now(), Message: fmt.Sprintf(
			"reverted commit %s on %s: %s", git.Short(undone.Commit), page.Upstream, git.Short(commit))})
	}
	return err
}

// who is the person behind a request, for records.
func (s *Site) who(r *http.Request) string {
	return cmp.Or(PersonOf(r.Context()).String(), s.options.Who)
}

// quarantine holds the content of a release back, before it is rolled back: an agent must not bring it again.
func quarantine(ctx context.Context, t deploy.Target, revision int, reason, who string) error {
	rel, err := t.Records().Get(ctx, revision)
	var ran []string
	if err == nil {
		ran, err = deploy.Ran(ctx, t, rel)
	}
	if err == nil {
		_, err = t.Records().Quarantine(ctx, revision, release.Quarantine{Reason: reason, Who: who}, ran)
	}
	if err != nil {
		return fmt.Errorf("quarantine release %d: %w", revision, err)
	}
	return nil
}

// serveHold keeps an agent from setting drift back for some time, or ends that.
func (s *Site) serveHold(w http.ResponseWriter, r *http.Request, t deploy.Target) error {
	t, err := s.options.People.As(r.Context(), PersonOf(r.Context()), t)
	if err != nil {
		return err
	}
	reason := strings.TrimSpace(r.FormValue("reason"))
	hours, err := strconv.Atoi(r.FormValue("hours"))
	switch {
	case r.FormValue("end") != "":
		_, err = t.Records().Resume(r.Context(), false)
	case reason == "":
		err = errNoReason
	case err == nil && hours > 0 && hours <= maxHours:
		until := time.Now().UTC().Add(time.Duration(hours) * time.Hour).Truncate(time.Second)
		_, err = t.Records().Pause(r.Context(), release.Pause{Reason: reason, Until: until, Who: s.who(r)})
	default:
		err = fmt.Errorf("hours: want a number from 1 to %d", maxHours)
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, at("p", t.Source.Project.Name, t.Environment.Name)+"#drift", http.StatusSeeOther)
	return nil
}

// maxHours is how long drift can be held on a page.
const maxHours = 7 * 24

// adoptPage has the patches that make the source agree with the cluster.
type adoptPage struct {
	place
	Fault   *fault
	Patches []adopted
}

type adopted struct {
	deploy.Patch
	Text string
}

func (s *Site) serveAdopt(w http.ResponseWriter, r *http.Request, t deploy.Target) error {
	page := adoptPage{place: placeOf(t)}
	drift, err := deploy.FindDrift(r.Context(), t)
	if err != nil {
		page.Fault = s.fault(err)
	}
	for _, p := range deploy.Adopt(drift) {
		text, err := p.YAML()
		if err != nil {
			page.Fault = s.fault(err)
			break
		}
		page.Patches = append(page.Patches, adopted{p, string(text)})
	}
	s.show(w, r, http.StatusOK, "adopt", viewOf(t.Source, t.Environment.Name, "adopt", page))
	return nil
}
