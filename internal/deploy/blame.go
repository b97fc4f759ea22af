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
	ctx, cancel := context.WithTimeout(ctx, blameTime)
	defer cancel()
	options := t.Render
	options.Remotes = t.Source.Project.Remotes
	r, err := render.Open(t.Source.Project.Dir, options)
	if err != nil {
		return
	}
	defer r.Close()
	for i := range list {
		if at, ok := placeOf(ctx, t, r, list[i]); ok {
			list[i].Origin = at
		}
	}
}

// locateRefusals gives the changes that the API server refuses the file and line of the refused field. Where
// that is not found, they keep the place of their object.
func locateRefusals(ctx context.Context, t Target, r *render.Renderer, p *Proposal) {
	ctx, cancel := context.WithTimeout(ctx, blameTime)
	defer cancel()
	for i, c := range p.Plan.Changes {
		o, ok := p.objects.Get(c.Ref)
		text, whole := strings.CutSuffix(c.Reason, "("+o.Origin.String()+")")
		if c.Action != plan.Blocked || !ok || !whole {
			continue
		}
		e := rollout.Evidence{Ref: c.Ref, Field: rollout.Mentioned(o, text)}
		if at, ok := placeOf(ctx, t, r, e); ok {
			p.Plan.Changes[i].Reason = text + "(" + at.String() + ")"
		}
	}
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
