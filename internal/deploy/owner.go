package deploy

import (
	"fmt"
	"slices"

	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/release"
)

// ownerAnnotation names the project and environment of an object. All share one field manager, so that the
// API server does not see a conflict between two.
const ownerAnnotation = "slipway.dev/owner"

// ForeignError says that an object belongs to another project or environment.
type ForeignError struct {
	Ref   object.Ref
	Owner string // "shop/prod"
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("%s: belongs to %s", e.Ref, e.Owner)
}

func (t Target) owner() string { return t.Source.Project.Name + "/" + t.Environment.Name }

// owners returns the owner, and those of before the environment was renamed: their objects are its own.
func (t Target) owners(latest release.Release) []string {
	all := append([]string{t.owner()}, latest.Former...)
	if was := movedFrom(t, latest); was != "" {
		all = append(all, was)
	}
	return all
}

// owned marks each object with its owner, except the kinds that are never deleted: projects share namespaces
// and definitions.
func owned(set object.Set, owner string) (object.Set, error) {
	alone := map[string]any{ownerAnnotation: owner} // of the objects without annotations
	return set.Map(func(o object.Object) (object.Object, error) {
		if plan.Protected(o.Ref().Kind) || o.Annotations()[ownerAnnotation] == owner {
			return o, nil
		}
		o = o.Detached()
		metadata, _ := o.Body["metadata"].(map[string]any)
		annotations, ok := metadata["annotations"].(map[string]any)
		if ok {
			annotations[ownerAnnotation] = owner
		} else {
			metadata["annotations"] = alone
		}
		return o, nil
	})
}

// markForeign blocks changes to objects that another project or environment owns, unless forced. It leaves
// out of deletion all that is not marked as ours, except what is in added: another object may have taken the
// name, or have existed before a release that never reached it.
func markForeign(observed []plan.Observed, owners []string, added []object.Ref, force bool) {
	for i, seen := range observed {
		other, _ := seen.Live.Annotations()[ownerAnnotation].(string)
		switch {
		case slices.Contains(owners, other), other == "" && slices.Contains(added, seen.Ref):
		case seen.Desired.Body == nil && !plan.Protected(seen.Ref.Kind):
			observed[i].Live = object.Object{} // for us it is gone
		case other != "" && !force:
			observed[i].Err = &ForeignError{Ref: seen.Ref, Owner: other}
		}
	}
}

// owns says that an object is marked as the environment's.
func (p Proposal) owns(o object.Object) bool {
	owner, _ := o.Annotations()[ownerAnnotation].(string)
	return slices.Contains(p.owners, owner)
}

// adopted returns the objects that existed before they became part of the environment.
func adopted(p plan.Plan, latest release.Release) []object.Ref {
	var refs []object.Ref
	if latest.Status != release.Healthy {
		refs = slices.Clone(latest.Adopted)
	}
	for _, c := range p.Changes {
		if (c.Action == plan.Update || c.Action == plan.Keep) && !slices.Contains(latest.Owned, c.Ref) {
			refs = append(refs, c.Ref)
		}
	}
	return refs
}

// deletable returns the objects that a deploy may delete. A rollback leaves the objects that existed before
// the release.
func deletable(latest release.Release, p Prepared) []object.Ref {
	if p.RollbackOf == 0 {
		return latest.Owned
	}
	return slices.DeleteFunc(slices.Clone(latest.Owned), func(r object.Ref) bool {
		_, wanted := p.Set.Get(r)
		return !wanted && slices.Contains(latest.Adopted, r)
	})
}
