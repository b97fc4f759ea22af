package deploy

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"slipway/internal/project"
	"slipway/internal/release"
)

// A changed namespace, environment name or project name is a move. In another namespace the old objects run
// until they are deleted there, and the history follows; under another name in the same namespace, the next
// deploy takes records and objects over.

// MovedError says that a release is of the namespace that the environment had before. Its objects are of that
// namespace: nothing says which of their fields would have to name the present one.
type MovedError struct {
	Environment string
	Release     release.Release
	// Namespace is the present one.
	Namespace string
}

func (e *MovedError) Error() string {
	return fmt.Sprintf("roll %s back to release %d: it was deployed to namespace %s, and %s is in %s now",
		e.Environment, e.Release.Revision, e.Release.Namespace, e.Environment, e.Namespace)
}

// refuseMoved returns a *MovedError where a release is of another namespace.
func refuseMoved(t Target, past release.Past, revision int) error {
	for _, rel := range past.Releases {
		if rel.Revision == revision && rel.Namespace != "" {
			return &MovedError{Environment: t.Environment.Name, Release: rel, Namespace: t.Cluster.Namespace()}
		}
	}
	return nil
}

// noWayBack returns the error of an environment without a release to go back to: a *MovedError where the last
// healthy one is of another namespace, else a *NoHealthyError.
func noWayBack(t Target, past release.Past) error {
	for _, rel := range past.Releases {
		if rel.Namespace != "" && rel.Proven() {
			return refuseMoved(t, past, rel.Revision)
		}
	}
	return &NoHealthyError{Environment: t.Environment.Name}
}

// movedHere returns the newest release of the former namespace, where none runs in the present one; else the
// zero value.
func movedHere(past release.Past) release.Release {
	if len(past.Releases) == 0 || past.Releases[0].Namespace == "" {
		return release.Release{}
	}
	return past.Releases[0]
}

// movedLine says that the history of the former namespace follows.
func movedLine(t Target, rel release.Release) string {
	return fmt.Sprintf("%s was in namespace %s: its history (release %d, %s, by %s) follows", t.Environment.Name,
		rel.Namespace, rel.Revision, rel.Status, rel.Who)
}

// isFormer says that a release of another name in the namespace is one of this environment's, from before
// it was renamed: its commit is in this repository, and the project does not have its environment any more,
// or is the one in the same directory under another name.
func (t Target) isFormer(ctx context.Context, rel release.Release) bool {
	p := t.Source.Project
	isOther := rel.Environment != t.Environment.Name && hasEnvironment(p, rel.Environment)
	if isOther || rel.Project != p.Name && rel.Path != t.Source.Path {
		return false
	}
	return t.isOurs(ctx, rel)
}

func hasEnvironment(p project.Project, name string) bool {
	return slices.ContainsFunc(p.Environments, func(e project.Environment) bool { return e.Name == name })
}

// isOurs says that a release is of a commit of this repository: other projects of the cluster may have the
// same name, and a fork has the same commits.
func (t Target) isOurs(ctx context.Context, rel release.Release) bool {
	if rel.Commit == "" {
		return false
	}
	if t.Source.Bundled {
		if rel.Commit != t.Source.Commit && !slices.Contains(t.Source.Ancestors, rel.Commit) {
			return false
		}
	} else if repository, err := t.history(ctx); err != nil || !repository.Exists(ctx, rel.Commit) {
		return false
	}
	return rel.Repository == "" || rel.Repository == t.repository()
}

// repository identifies the repository of the source, as a release records it; empty where there is none.
func (t Target) repository() string {
	if t.Source.Repository == "" && !t.Source.Bundled {
		return ""
	}
	return cmp.Or(t.Source.Identity, release.NoOrigin)
}

// elsewhere finds what else runs, where the project names its namespace: the environment in other
// namespaces, and those that slipway.yaml does not have any more. It leaves out the former name of the
// environment itself.
func elsewhere(ctx context.Context, t Target, latest release.Release) ([]release.Release, error) {
	if t.Aside {
		return nil, nil
	}
	var others []string
	for _, e := range t.Source.Project.Environments {
		if e.Name != t.Environment.Name {
			others = append(others, e.Name)
		}
	}
	from := release.Release{Repository: t.repository(), Path: t.Source.Path}
	found, err := t.Records().Elsewhere(ctx, others, from)
	if err != nil {
		return nil, fmt.Errorf("look for %s in other namespaces: %w", t.Environment.Name, err)
	}
	return slices.DeleteFunc(found, func(rel release.Release) bool {
		isFormer := rel.Namespace == t.Cluster.Namespace() && rel.Owner() == movedFrom(t, latest)
		return isFormer || !t.isOurs(ctx, rel)
	}), nil
}

// movedFrom returns the former name of the environment, "shop/prod", that its newest release still has; empty
// when it was not renamed since.
func movedFrom(t Target, latest release.Release) string {
	if latest.Revision == 0 || latest.Owner() == t.owner() {
		return ""
	}
	return latest.Owner()
}

// as returns the target with the names of a release: until the next deploy, objects have the former owner.
func (t Target) as(rel release.Release) Target {
	t.Source.Project.Name, t.Environment.Name = rel.Project, rel.Environment
	return t
}

// moveLines say what runs at the other end of a move.
func moveLines(t Target, p Proposal) []string {
	var lines []string
	if was := movedFrom(t, p.Latest); was != "" {
		lines = append(lines, fmt.Sprintf("move: %s becomes %s: its objects and its history (release %d, %s, by "+
			"%s) follow", was, t.owner(), p.Latest.Revision, p.Latest.Status, p.Latest.Who))
	}
	if p.moved.Revision > 0 {
		lines = append(lines, "move: "+movedLine(t, p.moved))
	}
	lines = append(lines, renameLines(p.renamed)...)
	for _, line := range elsewhereLines(t, p.Elsewhere) {
		lines = append(lines, "warning: "+line)
	}
	return lines
}

// Elsewhere says what else runs of the project, a sentence each. latest is the newest release of the
// environment.
func Elsewhere(ctx context.Context, t Target, latest release.Release) ([]string, error) {
	found, err := elsewhere(ctx, t, latest)
	return elsewhereLines(t, found), err
}

// History lists the releases of an environment, newest first, and says what else runs of the project. It
// fails with release.ErrNone where there are none; the sentences are there all the same.
func History(ctx context.Context, t Target) (history []release.Release, others []string, err error) {
	if history, err = t.Records().History(ctx); err != nil {
		return nil, nil, err
	}
	var latest release.Release
	if len(history) > 0 {
		latest = history[0]
	}
	if others, err = Elsewhere(ctx, t, latest); err == nil && len(history) == 0 {
		err = fmt.Errorf("%s has no releases: %w", t.Environment.Name, release.ErrNone)
	}
	return history, others, err
}

// elsewhereLines say what else runs, and how to delete it.
func elsewhereLines(t Target, found []release.Release) []string {
	var lines []string
	for _, rel := range found {
		what := t.Environment.Name + " also runs"
		switch {
		case rel.Project != t.Source.Project.Name:
			what = fmt.Sprintf("environment %s of %s, the former name of this project, runs", rel.Environment,
				rel.Project)
		case rel.Environment != t.Environment.Name:
			what = "environment " + rel.Environment + ", which the project no longer has, runs"
		}
		until := fmt.Sprintf("until `slipway delete %s --namespace %s`", t.Environment.Name, rel.Namespace)
		if rel.Namespace == t.Cluster.Namespace() {
			until = fmt.Sprintf("too: to delete it, add it to slipway.yaml again and run `slipway delete %s`",
				rel.Environment)
		}
		lines = append(lines, fmt.Sprintf("%s in namespace %s (release %d, %s, by %s) %s", what, rel.Namespace,
			rel.Revision, rel.Status, rel.Who, until))
	}
	return lines
}
