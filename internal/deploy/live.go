package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"slipway/internal/check/contract"
	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/release"
)

// CompareLive compares the live objects of an environment with the result of deploying its source, as the API
// server completes it. Exceptions expire by today, such as "2027-03-31". It writes nothing, and fails where
// the API server would refuse an object.
func CompareLive(ctx context.Context, t Target, today string) (contract.Result, error) {
	past, err := t.Records().Past(ctx)
	if err != nil {
		return contract.Result{}, err
	}
	prepared, err := Prepare(ctx, t, PrepareOptions{Unsigned: true})
	if err != nil {
		return contract.Result{}, err
	}
	prepared.Unstable = nil // nothing is replaced
	proposal, err := propose(ctx, t, prepared, past, look{force: true})
	if err == nil {
		err = proposal.Blocked()
	}
	if err != nil {
		return contract.Result{}, err
	}
	var wanted, live object.Set
	wanted.Conceal(prepared.Set.Concealed())
	for _, o := range proposal.Observed {
		if o.Desired.IsHook() || o.Live.IsHook() {
			continue // it runs, and is not a part of what runs
		}
		if o.Desired.Body != nil {
			merged := withoutMarks(o.Merged, o)
			merged.Origin = o.Desired.Origin
			if err := wanted.Add(plan.Wish(merged)); err != nil {
				return contract.Result{}, err
			}
		}
		if o.Live.Body != nil {
			if err := live.Add(plan.Wish(withoutMarks(o.Live, o))); err != nil {
				return contract.Result{}, err
			}
		}
	}
	changed, err := driftFrom(ctx, t, past)
	if err != nil && !errors.Is(err, release.ErrNone) {
		return contract.Result{}, err
	}
	name := t.Environment.Name
	result := contract.Compare(contract.Input{
		A:          contract.Side{Name: name, Environment: t.Environment, Set: wanted},
		B:          contract.Side{Name: name + " live", Environment: t.Environment, Set: live},
		Exceptions: t.Source.Project.Exceptions, Today: today,
	})
	blameHands(&result, changed)
	result.Notes = append(result.Notes, keeperLines(proposal.Keepers)...)
	return result, nil
}

// toolMarks are the labels and annotations by which tools know their objects, ours among them.
var toolMarks = map[string][]string{
	"labels": {
		fluxName, fluxNamespace, "helm.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/namespace",
	},
	"annotations": {
		trackingID, "meta.helm.sh/release-name", "meta.helm.sh/release-namespace", ownerAnnotation,
		"kubectl.kubernetes.io/last-applied-configuration",
	},
}

// withoutMarks returns an object without the marks that the source does not set: whose an object is makes no
// difference to what runs. Ours stays where the live object has it.
func withoutMarks(o object.Object, seen plan.Observed) object.Object {
	o = o.Clone()
	for kind, keys := range toolMarks {
		m := object.Mapping(o.At("metadata", kind))
		for _, key := range keys {
			isOurs := key == ownerAnnotation
			if isOurs && seen.Live.Annotations()[key] != nil ||
				!isOurs && seen.Desired.At("metadata", kind, key) != nil {
				continue
			}
			delete(m, key)
		}
		if metadata := object.Mapping(o.Body["metadata"]); len(m) == 0 {
			delete(metadata, kind)
		}
	}
	return o
}

// blameHands takes differences that were made in the cluster since the release out of those that are expected
// between environments: no release deployed them.
func blameHands(r *contract.Result, d Drift) {
	for i, diff := range r.Differences {
		for _, o := range d.Changed {
			for _, f := range o.Fields {
				if diff.Class == contract.Expected && o.Ref == diff.Object && diff.Field != "" &&
					(object.IsWithin(diff.Field, f.Path) || object.IsWithin(f.Path, diff.Field)) {
					r.Differences[i].Class = contract.Unexplained
					r.Differences[i].Reason = fmt.Sprintf("changed in the cluster since release %d%s", d.Release,
						byHolder(f.By))
				}
			}
		}
	}
	slices.SortStableFunc(r.Differences, func(a, b contract.Difference) int {
		return slices.Index(contract.Classes, a.Class) - slices.Index(contract.Classes, b.Class)
	})
}
