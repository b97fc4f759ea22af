package deploy

import (
	"context"
	"errors"
	"strings"
	"time"

	"slipway/internal/check/origin"
	"slipway/internal/cluster"
	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/render"
	"slipway/internal/rollout"
)

// blameTime bounds the search for the lines to blame: a failed release must be rolled back soon.
const blameTime = 3 * time.Second

// evidenceOf returns why objects are not healthy, or why a webhook or a policy denied one, with the lines to
// blame.
func evidenceOf(ctx context.Context, t Target, p Proposal, err error) []rollout.Evidence {
	var list []rollout.Evidence
	if sick, ok := errors.AsType[*rollout.NotHealthyError](err); ok {
		list = sick.Failures
		for i, e := range list {
			if e.Reason != string(object.Terminating) {
				continue
			}
			if held := heldBy(ctx, t, p, e.Ref); held != "" {
				list[i].Cause += ", and held by " + held
			}
		}
	} else if denied, ok := errors.AsType[*cluster.DeniedError](err); ok {
		o, _ := p.objects.Get(denied.Ref)
		text := object.Mask(denied.Error(), object.SecretValues(p.Prepared.Set))
		list = []rollout.Evidence{{
			Ref: denied.Ref, Reason: "Denied", Cause: strings.TrimPrefix(text, denied.Ref.String()+": "),
			Field: rollout.Mentioned(o, denied.Message), Origin: o.Origin,
		}}
	}
	blame(ctx, t, p.Prepared, list)
	return list
}

// blame gives each piece of evidence the file and line of the field that is to blame, as `why` explains it.
// Where that is not found, evidence keeps the place of its object; so does all evidence of a rollback, whose
// source is not at hand.
func blame(ctx context.Context, t Target, p Prepared, list []rollout.Evidence) {
	if p.RollbackOf > 0 || p.Delete || len(list) == 0 {
		return
	}
	for i, at := range places(ctx, t, list) {
		if at != nil {
			list[i].Origin = *at
		}
	}
}

// locateRefusals gives the changes that the API server refuses the file and line of the refused field. Where
// that is not found, they keep the place of their object.
func locateRefusals(ctx context.Context, t Target, p *Proposal) {
	var refused []int
	var list []rollout.Evidence
	for i, c := range p.Plan.Changes {
		o, ok := p.objects.Get(c.Ref)
		text, whole := strings.CutSuffix(c.Reason, "("+o.Origin.String()+")")
		if c.Action != plan.Blocked || !ok || !whole {
			continue
		}
		refused = append(refused, i)
		list = append(list, rollout.Evidence{Ref: c.Ref, Field: rollout.Mentioned(o, text)})
	}
	for i, at := range places(ctx, t, list) {
		if at == nil {
			continue
		}
		c := &p.Plan.Changes[refused[i]]
		o, _ := p.objects.Get(c.Ref)
		c.Reason = strings.TrimSuffix(c.Reason, "("+o.Origin.String()+")") + "(" + at.String() + ")"
	}
}

// places returns the places that decide the fields of some evidence, nil where one is not found.
func places(ctx context.Context, t Target, list []rollout.Evidence) []*object.Origin {
	if len(list) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, blameTime)
	defer cancel()
	if t.Isolate != nil {
		job := Job{Source: t.Source, Environment: t.Environment, Render: t.Render, Blame: list}
		if a, err := t.Isolate(ctx, job, nil); err == nil && len(a.Places) == len(list) {
			return a.Places
		}
		return nil
	}
	return findPlaces(ctx, t, list)
}

// findPlaces is places in this process.
func findPlaces(ctx context.Context, t Target, list []rollout.Evidence) []*object.Origin {
	r, err := render.OpenProject(t.Source.Project, t.Render)
	if err != nil {
		return nil
	}
	defer r.Close()
	all := make([]*object.Origin, len(list))
	for i, e := range list {
		if at, ok := placeOf(ctx, t, r, e); ok {
			all[i] = &at
		}
	}
	return all
}

// placeOf returns the place that decides a field, or the deepest field above it that exists.
func placeOf(ctx context.Context, t Target, r *render.Renderer, e rollout.Evidence) (object.Origin, bool) {
	for field := e.Field; field != ""; field = parent(field) {
		q := origin.Question{Object: e.Ref.Kind + "/" + e.Ref.Name, Field: field}
		chain, err := origin.Why(ctx, r, t.Environment, q, origin.Options{Budget: blameTime})
		if ctx.Err() != nil || err == nil && len(chain.Links) == 0 {
			return object.Origin{}, false
		}
		if err == nil {
			winner := chain.Links[len(chain.Links)-1]
			return object.Origin{File: winner.File, Line: winner.Line}, winner.Line > 0
		}
	}
	return object.Origin{}, false
}

// parent returns the path of the field above, "" for a field of the object itself.
func parent(field string) string {
	return field[:max(0, strings.LastIndexAny(field, ".["))]
}
