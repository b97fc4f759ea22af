package release

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/cluster"
)

// sourceLabel marks the records of one directory of one repository, whatever the name of the project.
const sourceLabel = "slipway.dev/source"

// source is the value of sourceLabel; empty where the repository is not known, or has no origin.
func (r Release) source() string {
	if r.Repository == "" || r.Repository == NoOrigin {
		return ""
	}
	return safe(r.Repository + ":" + r.Path)
}

// Elsewhere returns the newest releases of this environment in other namespaces, and of those that the
// project had once in every namespace, also under another name of the project, except deleted ones and those
// that were made aside. others are the project's further environments; from has the repository and the path
// of the project. Where the user may not list the Secrets of the cluster it looks into the store's namespace
// alone.
func (s Store) Elsewhere(ctx context.Context, others []string, from Release) ([]Release, error) {
	marks, err := s.newest(ctx, others, projectLabel+"="+safe(s.Project))
	if err != nil {
		return nil, err
	}
	if source := from.source(); source != "" {
		former, err := s.newest(ctx, others, fmt.Sprintf("%s=%s,%s!=%s", sourceLabel, source, projectLabel,
			safe(s.Project)))
		if err != nil {
			return nil, err
		}
		marks = append(marks, former...)
	}
	var found []Release
	for _, mark := range marks {
		isOwn := mark.Namespace == s.Cluster.Namespace() && mark.Labels[projectLabel] == safe(s.Project) &&
			mark.Labels[environmentLabel] == safe(s.Environment)
		if isOwn || mark.Labels[asideLabel] != "" {
			continue
		}
		there := s
		there.Cluster = s.Cluster.In(mark.Namespace)
		r, ok, err := there.head(ctx, mark.Name)
		if err != nil {
			return nil, err
		}
		if ok && r.Status != Deleted && !r.isMoved() {
			r.Namespace = mark.Namespace
			found = append(found, r)
		}
	}
	return found, nil
}

// newest returns the labels of the newest record of each environment that a selector selects, except those of
// others.
func (s Store) newest(
	ctx context.Context, others []string, selector string,
) ([]metav1.PartialObjectMetadata, error) {
	selector = fmt.Sprintf("!%s,!%s,%s", partOf, pauseLabel, selector)
	if len(others) > 0 {
		selector += fmt.Sprintf(",%s notin (%s)", environmentLabel, strings.Join(safeAll(others), ","))
	}
	marks, err := cluster.SecretMarks(ctx, s.Cluster, recordType, selector)
	if err != nil {
		return nil, err
	}
	byName := func(a, b metav1.PartialObjectMetadata) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace),
			cmp.Compare(a.Labels[projectLabel], b.Labels[projectLabel]),
			cmp.Compare(a.Labels[environmentLabel], b.Labels[environmentLabel]))
	}
	revision := func(m metav1.PartialObjectMetadata) int { return revisionOf(record{labels: m.Labels}) }
	slices.SortStableFunc(marks, func(a, b metav1.PartialObjectMetadata) int {
		return cmp.Or(byName(a, b), cmp.Compare(revision(b), revision(a)))
	})
	isSame := func(a, b metav1.PartialObjectMetadata) bool { return byName(a, b) == 0 }
	return slices.CompactFunc(marks, isSame), nil
}

// head reads the summary of one record; false when it does not exist any more.
func (s Store) head(ctx context.Context, name string) (Release, bool, error) {
	secret, err := cluster.ReadSecret(ctx, s.Cluster, name)
	if err != nil || secret == nil {
		return Release{}, false, err
	}
	releases, err := summaries([]record{headOf(secret)})
	if err != nil {
		return Release{}, false, err
	}
	r, err := s.of(releases[0]).present(ctx, releases[0])
	return r, true, err
}
