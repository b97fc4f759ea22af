package deploy

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"slipway/internal/git"
	"slipway/internal/release"
)

// elsewhere finds the environment in other namespaces, where the project names its namespace: a release of a
// commit of this repository, because other projects of the cluster may have the same name.
func elsewhere(ctx context.Context, t Target) (map[string]release.Release, error) {
	if t.Aside {
		return nil, nil
	}
	found, err := t.Records().Elsewhere(ctx)
	if err != nil {
		return nil, fmt.Errorf("plan %s: %w", t.Environment.Name, err)
	}
	if len(found) == 0 {
		return nil, nil
	}
	repository, err := git.Open(ctx, t.Source.Project.Dir)
	maps.DeleteFunc(found, func(_ string, rel release.Release) bool {
		return err != nil || rel.Commit == "" || !repository.Exists(ctx, rel.Commit)
	})
	return found, nil
}

// moveLines say what runs at the other end of a move.
func moveLines(t Target, p Proposal) []string {
	var lines []string
	for _, ns := range slices.Sorted(maps.Keys(p.Elsewhere)) {
		rel := p.Elsewhere[ns]
		lines = append(lines, fmt.Sprintf("warning: %s also runs in namespace %s (release %d, %s, by %s) until "+
			"`slipway delete %s --namespace %s`", t.Environment.Name, ns, rel.Revision, rel.Status, rel.Who,
			t.Environment.Name, ns))
	}
	return lines
}
