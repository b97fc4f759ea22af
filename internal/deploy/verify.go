package deploy

import (
	"context"
	"fmt"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/release"
)

// verify compares the applied objects with the live ones, and notes in the release what does not hold: a
// controller or webhook may have written another value. The server's own answer is in the plan already.
func verify(ctx context.Context, r run, p Proposal, rel *release.Release) {
	var sent []cluster.Sent
	var known []*plan.Change // that sent each of them
	rel.Settled, rel.Seen = settled(p)
	for i := range p.Plan.Changes {
		c := &p.Plan.Changes[i]
		obj, ok := p.objects.Get(c.Ref)
		if !ok || c.Action != plan.Create && c.Action != plan.Update && c.Action != plan.Replace {
			continue
		}
		s := cluster.Sent{Object: obj}
		s.Source, _ = p.Prepared.Set.Get(c.Ref)
		for _, f := range c.Fields {
			if f.After == nil && f.Before != nil {
				s.Removed = append(s.Removed, f)
			}
		}
		sent, known = append(sent, s), append(known, c)
	}
	outcomes, err := cluster.Verify(ctx, r.target.Cluster, p.Prepared.Set, sent)
	secrets := object.SecretValues(p.Prepared.Set)
	for i, o := range outcomes {
		ref := sent[i].Object.Ref()
		if o.Fingerprint != "" {
			rel.Settled[ref], rel.Seen[ref] = o.Fingerprint, o.Version
		}
		for _, f := range o.Lost {
			f.Before, f.After = object.HideIn(f.Before, secrets), object.HideIn(f.After, secrets)
			lost := release.Lost{Ref: ref, Field: f, Mutators: known[i].Mutators}
			if h := holderOf(plan.Observed{Live: o.Object, Holders: o.Holders()}, f.Path); h != nil {
				lost.By, lost.Since, lost.Mutators = h.Manager, h.Time, nil
			}
			rel.Lost = append(rel.Lost, lost)
			if !contains(known[i].Lost, f) {
				r.target.warn(Verify, &ref, "%s", LostText(lost))
			}
		}
	}
	if err != nil {
		r.target.warn(Verify, nil, "the result was not verified: %v", err)
	}
}

// LostText says that a field does not have the value that was applied, and who changed it.
func LostText(l release.Lost) string {
	text := plan.LostText(l.Field, l.Mutators, "")
	if l.By != "" {
		text += fmt.Sprintf(": %s changed it at %s", l.By, l.Since.Format(time.RFC3339))
	}
	return text
}

// settled returns the fingerprints of the objects that the plan keeps because they are as the source wants
// them, and their versions.
func settled(p Proposal) (prints, versions map[object.Ref]string) {
	kept := map[object.Ref]bool{}
	prints, versions = map[object.Ref]string{}, map[object.Ref]string{}
	for _, c := range p.Plan.Changes {
		kept[c.Ref] = c.Action == plan.Keep && c.Reason == "" && len(c.Lost) == 0
	}
	for _, seen := range p.Observed {
		if kept[seen.Ref] && seen.Fingerprint != "" && seen.Unverified == "" {
			prints[seen.Ref] = seen.Fingerprint
			versions[seen.Ref], _ = seen.Live.At("metadata", "resourceVersion").(string)
		}
	}
	return prints, versions
}

func contains(fields []object.Field, f object.Field) bool {
	for _, k := range fields {
		if k.Path == f.Path {
			return true
		}
	}
	return false
}
