package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/deploy"
	"slipway/internal/project"
	"slipway/internal/promote"
	"slipway/internal/release"
)

// Promoter promotes images between environments for a person: PersonOf the context. The target is as the
// person reaches it.
type Promoter interface {
	// Offer returns what a promotion of the images that another environment runs would do, by a way of promote.
	// Where it fails, the offer has what is known.
	Offer(ctx context.Context, t deploy.Target, from, way string) (promote.Offer, error)
	// Promote does exactly what an offer says, and returns what it did. It fails with promote.ErrOtherOffer
	// where it would do something else.
	Promote(ctx context.Context, t deploy.Target, o promote.Offer) (string, error)
	// Approve records that the person approves the images of an offer.
	Approve(ctx context.Context, t deploy.Target, o promote.Offer, reason string) error
}

// promotionPage is what a promotion would do, and who must still approve it.
type promotionPage struct {
	place
	promote.Offer
	// Fault is why nothing can be promoted, beside the gates that are shut.
	Fault *fault
	// Gates are those that are shut, then those that are open.
	Gates []gateRow
	// Approvals of Required are given. MayApprove: the person has not approved.
	Required   int
	MayApprove bool
	// Given is the reason that was given with an approval that was refused.
	Given string
}

// Missing counts the approvals that are missing, beside that of the person who promotes.
func (p promotionPage) Missing() int {
	others := slices.DeleteFunc(slices.Clone(p.Decision.Approvals), p.Own)
	return max(0, p.Required-len(others))
}

// Own says that an approval is of the person who reads the page.
func (p promotionPage) Own(a release.Approval) bool { return a.Who == p.Decision.Approver }

// promotedFrom names the environment that one is promoted from: that of its gates, or the one before it.
func promotedFrom(p project.Project, env project.Environment) (string, bool) {
	if env.Gates != nil && env.Gates.From != "" {
		return env.Gates.From, true
	}
	i := slices.IndexFunc(p.Environments, func(e project.Environment) bool { return e.Name == env.Name })
	if i < 1 {
		return "", false
	}
	return p.Environments[i-1].Name, true
}

func (s *Site) servePromotion(w http.ResponseWriter, r *http.Request, t deploy.Target) error {
	t, page, err := s.promotion(r, t)
	if err == nil {
		s.showPromotion(w, r, http.StatusOK, t, page)
	}
	return err
}

func (s *Site) showPromotion(
	w http.ResponseWriter, r *http.Request, status int, t deploy.Target, page promotionPage,
) {
	v := viewOf(t.Source, t.Environment.Name, "promote", page)
	v.Title = "promotion to " + t.Environment.Name
	s.show(w, r, status, "promote", v)
}

// promotion returns the page of a promotion, and the target as the person reaches it.
func (s *Site) promotion(r *http.Request, t deploy.Target) (deploy.Target, promotionPage, error) {
	from, ok := promotedFrom(t.Source.Project, t.Environment)
	if s.options.Promotes == nil {
		return t, promotionPage{}, errNoPage
	}
	if !ok {
		page := promotionPage{place: placeOf(t)}
		page.Offer.Environment = t.Environment.Name
		return t, page, nil
	}
	t, err := s.options.People.As(r.Context(), PersonOf(r.Context()), t)
	if err != nil {
		return t, promotionPage{}, err
	}
	page := promotionPage{place: placeOf(t)}
	way := cmp.Or(r.FormValue("way"), promote.Push)
	page.Offer, err = s.options.Promotes.Offer(r.Context(), t, from, way)
	if err = besideGates(err); err != nil {
		page.Fault = s.fault(err)
	}
	for _, g := range page.Decision.Gates {
		page.Gates = append(page.Gates, rowOf(g))
	}
	slices.SortStableFunc(page.Gates, func(a, b gateRow) int {
		switch {
		case a.Shut == b.Shut:
			return 0
		case a.Shut:
			return -1
		}
		return 1
	})
	if g := t.Environment.Gates; g != nil && g.Approvals > 0 && len(page.Decision.Proof.Images) > 0 {
		page.Required = g.Approvals
		if page.Decision.Approver == "" {
			page.Decision.Approver = cluster.Username(r.Context(), t.Cluster)
		}
		page.MayApprove = !slices.ContainsFunc(page.Decision.Approvals, page.Own)
	}
	return t, page, nil
}

// besideGates is an error without what gates say, which has a place of its own.
func besideGates(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var rest []error
		for _, e := range joined.Unwrap() {
			rest = append(rest, besideGates(e))
		}
		return errors.Join(rest...)
	}
	held, isHeld := errors.AsType[*deploy.QuarantinedError](err)
	if errors.As(err, new(*promote.GateError)) || isHeld && held.Promoting {
		return nil
	}
	return err
}

// Shut counts the gates that are shut.
func (p promotionPage) Shut() int { return len(p.Decision.Shut()) }

// servePromote does what a person consents to: exactly that promotion, or nothing.
func (s *Site) servePromote(w http.ResponseWriter, r *http.Request, t deploy.Target) error {
	t, page, err := s.promotion(r, t)
	if err != nil {
		return err
	}
	isShut := len(page.Decision.Shut()) > 0
	if page.Fault == nil && !isShut && (page.ID == "" || page.ID != r.FormValue("plan")) {
		page.Fault = s.fault(promote.ErrOtherOffer)
	}
	if page.Fault != nil || isShut {
		s.showPromotion(w, r, http.StatusConflict, t, page)
		return nil
	}
	s.begin(w, r, t, "Promote", func(ctx context.Context, t deploy.Target) (release.Release, error) {
		done, err := s.options.Promotes.Promote(ctx, t, page.Offer)
		if err == nil {
			t.Notify(deploy.Event{Step: "promote", Time: time.Now(), Message: done})
		}
		return release.Release{}, err
	})
	return nil
}

// serveApprove records the approval of a person, for exactly the images that the person has seen.
func (s *Site) serveApprove(w http.ResponseWriter, r *http.Request, t deploy.Target) error {
	t, page, err := s.promotion(r, t)
	if err != nil {
		return err
	}
	if page.Given = strings.TrimSpace(r.FormValue("reason")); page.Key() != r.FormValue("images") {
		err = promote.ErrOtherOffer
	} else {
		err = s.options.Promotes.Approve(r.Context(), t, page.Offer, page.Given)
	}
	if err != nil {
		page.Fault = s.fault(err)
		s.showPromotion(w, r, http.StatusConflict, t, page)
		return nil
	}
	s.hub.tell(page.Project + "/" + page.place.Environment)
	http.Redirect(w, r, at("p", page.Project, page.place.Environment, "promote"), http.StatusSeeOther)
	return nil
}
