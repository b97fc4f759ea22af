package deploy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"slipway/internal/release"
)

// MoveError says that the environment runs in another namespace, where nothing would look after it.
type MoveError struct {
	Environment, Namespace string
	// From are the namespaces that have a record of the environment.
	From []string
}

func (e *MoveError) Error() string {
	return fmt.Sprintf("%s moves to namespace %s and would still run in %s", e.Environment, e.Namespace,
		strings.Join(e.From, " and "))
}

// elsewhere finds the environment in other namespaces, where the project names its namespace.
func elsewhere(ctx context.Context, t Target) (map[string]release.Release, error) {
	if t.Aside {
		return nil, nil
	}
	found, err := t.Records().Elsewhere(ctx)
	if err != nil {
		return nil, fmt.Errorf("plan %s: %w", t.Environment.Name, err)
	}
	return found, nil
}

// moves returns a *MoveError for the first deploy to a namespace while the environment runs in another.
func (p Proposal) moves(t Target) error {
	if p.Latest.Revision > 0 || len(p.Elsewhere) == 0 || p.Prepared.Delete {
		return nil
	}
	return &MoveError{Environment: t.Environment.Name, Namespace: t.Cluster.Namespace(),
		From: slices.Sorted(maps.Keys(p.Elsewhere))}
}

// moveLines say what runs at the other end.
func moveLines(t Target, p Proposal) []string {
	var lines []string
	for _, ns := range slices.Sorted(maps.Keys(p.Elsewhere)) {
		rel := p.Elsewhere[ns]
		lines = append(lines, fmt.Sprintf("%s also runs in namespace %s (release %d, %s, by %s) until "+
			"`slipway delete %s --namespace %s`", t.Environment.Name, ns, rel.Revision, rel.Status, rel.Who,
			t.Environment.Name, ns))
	}
	return lines
}
