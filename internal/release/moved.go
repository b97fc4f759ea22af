package release

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"slipway/internal/cluster"
)

// An environment that gets another namespace keeps its history: until its first deploy there, the records of
// the former namespace are read where they are, and that deploy copies them. They stay there too: what runs
// in the former namespace is deleted by them.

// Here returns the releases that were deployed to the present namespace, newest first.
func (p Past) Here() []Release {
	return slices.DeleteFunc(slices.Clone(p.Releases), Release.isMoved)
}

// isMoved says that a release was deployed to another namespace.
func (r Release) isMoved() bool { return r.Namespace != "" }

// newestHere returns the newest release that was deployed to the present namespace, without objects; the zero
// value when there is none.
func newestHere(all []Release) Release {
	i := slices.IndexFunc(all, func(r Release) bool { return !r.isMoved() })
	if i < 0 {
		return Release{}
	}
	return all[i]
}

// mayMove says that the project names the namespace: another one is a move.
func (s Store) mayMove() bool { return !s.Aside && !s.Unmoved && s.IsFormer != nil }

// Unmoved returns when the environment was found to have no records in other namespaces; the zero time where
// it has some, or that is not known.
func (p Past) Unmoved() time.Time { return p.unmoved }

// HasMoved says that some releases were deployed to another namespace.
func (p Past) HasMoved() bool { return slices.ContainsFunc(p.Releases, Release.isMoved) }

// withMoved adds the releases of the namespace that the environment had before, where none runs in the
// present one.
func (s Store) withMoved(ctx context.Context, own []Release) ([]Release, error) {
	_, moved, err := s.moved(ctx, own)
	own = append(own, moved...)
	slices.SortFunc(own, func(a, b Release) int { return cmp.Compare(b.Revision, a.Revision) })
	return own, err
}

// moved returns the releases of the namespace that the environment had before, and the store that has them;
// none where a release of own runs in the present namespace. Those that own has are left out.
func (s Store) moved(ctx context.Context, own []Release) (there Store, all []Release, err error) {
	last := newestHere(own)
	if !s.mayMove() || last.Revision > 0 && last.Status != Deleted {
		return s, nil, nil
	}
	marks, err := s.newest(ctx, nil, fmt.Sprintf("!%s,%s=%s,%s=%s", asideLabel, projectLabel, safe(s.Project),
		environmentLabel, safe(s.Environment)))
	if err != nil {
		return s, nil, err
	}
	for _, mark := range marks {
		if mark.Namespace == s.Cluster.Namespace() {
			continue
		}
		in := s
		in.Cluster = s.Cluster.In(mark.Namespace)
		found, _, _, err := in.list(ctx)
		if err != nil {
			return s, nil, err
		}
		if newest := newestHere(found); newest.Started.After(last.Started) && s.isSame(ctx, found) {
			there, all, last = in, found, newest
		}
	}
	for i, r := range all {
		all[i].Namespace = cmp.Or(r.Namespace, there.Cluster.Namespace())
	}
	return there, slices.DeleteFunc(all, func(r Release) bool {
		return slices.ContainsFunc(own, func(o Release) bool { return o.Revision == r.Revision })
	}), nil
}

// isSame says that releases of another namespace are of this environment: their newest commit tells, because
// other projects may have its names.
func (s Store) isSame(ctx context.Context, all []Release) bool {
	i := slices.IndexFunc(all, func(r Release) bool { return r.Commit != "" })
	return i >= 0 && s.named(all[i]) && s.IsFormer(ctx, all[i])
}

// getMoved reads a release of the former namespace with all its fields; false where it has none of that
// revision. To write it creates a record in the present namespace.
func (s Store) getMoved(ctx context.Context, revision int) (Release, bool, error) {
	if !s.mayMove() {
		return Release{}, false, nil
	}
	own, _, _, err := s.list(ctx)
	if err != nil {
		return Release{}, false, err
	}
	there, all, err := s.moved(ctx, own)
	i := slices.IndexFunc(all, func(r Release) bool { return r.Revision == revision })
	if i < 0 || err != nil {
		return Release{}, false, err
	}
	r, err := there.whole(ctx, all[i])
	return r, err == nil, err
}

// whole reads a moved release with all its fields.
func (s Store) whole(ctx context.Context, moved Release) (Release, error) {
	s.IsFormer = nil
	r, err := s.Get(ctx, moved.Revision)
	r.Namespace, r.version, r.chunks = moved.Namespace, "", 0
	return r, err
}

// copyMoved copies the records of the former namespace. The caller holds the lock.
func (s Store) copyMoved(ctx context.Context) error {
	if !s.mayMove() {
		return nil
	}
	own, _, _, err := s.list(ctx)
	if err != nil {
		return err
	}
	there, all, err := s.moved(ctx, own)
	if err != nil {
		return err
	}
	for _, head := range all {
		r, err := there.whole(ctx, head)
		if err == nil {
			_, err = s.write(ctx, r)
		}
		if err != nil && !errors.Is(err, cluster.ErrChanged) && !errors.Is(err, ErrNone) {
			return fmt.Errorf("copy the record of release %d of namespace %s: %w", head.Revision, head.Namespace, err)
		}
	}
	return nil
}
