package release

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"slipway/internal/cluster"
)

// A renamed project or environment keeps its history: its records have the former name until the next deploy,
// which moves them.

// named says that a release has the store's project and environment.
func (s Store) named(r Release) bool { return r.Project == s.Project && r.Environment == s.Environment }

// of returns the store of the environment that a release names, in the same namespace.
func (s Store) of(r Release) Store {
	s.Project, s.Environment, s.IsFormer = r.Project, r.Environment, nil
	return s
}

// former returns the releases, newest first, that have the environment's former name; none where it has not
// been renamed, or where two environments may be what it was. own are those of its present name.
func (s Store) former(ctx context.Context, own []Release, listed shelf) ([]Release, error) {
	if s.IsFormer == nil || len(own) > 0 && len(own[0].Former) == 0 {
		return nil, nil
	}
	heads := listed.others
	if !listed.whole {
		var err error
		if heads, err = listRecords(ctx, s.Cluster, nil); err != nil {
			return nil, err
		}
	}
	heads, _, err := pauses(heads)
	if err != nil {
		return nil, err
	}
	others, err := summaries(heads)
	if err != nil {
		return nil, err
	}
	groups := map[string][]Release{}
	for _, r := range others {
		if !s.named(r) {
			groups[r.Owner()] = append(groups[r.Owner()], r)
		}
	}
	var found []Release
	for _, group := range groups {
		switch {
		case group[0].Status == Deleted || !s.IsFormer(ctx, group[0]):
		case found != nil:
			return nil, nil
		default:
			found = group
		}
	}
	for i := range found {
		if found[i], err = s.of(found[i]).present(ctx, found[i]); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// withFormer adds the releases of the former name, newest first.
func (s Store) withFormer(ctx context.Context, own []Release, listed shelf) ([]Release, error) {
	former, err := s.former(ctx, own, listed)
	for _, r := range former {
		if !slices.ContainsFunc(own, func(o Release) bool { return o.Revision == r.Revision }) {
			own = append(own, r)
		}
	}
	slices.SortFunc(own, func(a, b Release) int { return cmp.Compare(b.Revision, a.Revision) })
	return own, err
}

// formerly reads a release of the former name; false where it has none of that revision.
func (s Store) formerly(ctx context.Context, revision int) (Release, bool, error) {
	if s.IsFormer == nil {
		return Release{}, false, nil
	}
	own, _, listed, err := s.list(ctx)
	if err != nil {
		return Release{}, false, err
	}
	former, err := s.former(ctx, own, listed)
	i := slices.IndexFunc(former, func(r Release) bool { return r.Revision == revision })
	if i < 0 {
		return Release{}, false, err
	}
	r, err := s.of(former[i]).Get(ctx, revision)
	return r, err == nil, err
}

// inherit moves the records of the former name. It copies all before it deletes one: an interrupted move is
// continued by the next. The caller holds both locks.
func (s Store) inherit(ctx context.Context) error {
	own, _, listed, err := s.list(ctx)
	if err != nil {
		return err
	}
	former, err := s.former(ctx, own, listed)
	if err != nil {
		return err
	}
	for _, head := range slices.Backward(former) {
		r, err := s.of(head).Get(ctx, head.Revision)
		if err != nil {
			return err
		}
		r.Former = append(r.Former, r.Owner())
		r.Project, r.Environment, r.version, r.chunks = s.Project, s.Environment, "", 0
		if _, err := s.write(ctx, r); err != nil && !errors.Is(err, cluster.ErrChanged) {
			return fmt.Errorf("move the record of release %d: %w", r.Revision, err)
		}
	}
	for _, head := range former {
		if err := deleteRecord(ctx, s.Cluster, s.of(head).name(head.Revision)); err != nil {
			return err
		}
	}
	return nil
}
