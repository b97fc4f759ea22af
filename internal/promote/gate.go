package promote

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/git/forge"
	"slipway/internal/image"
	"slipway/internal/image/reference"
	"slipway/internal/project"
	"slipway/internal/release"
)

// GateError says that the gates of an environment are shut for what was to be promoted.
type GateError struct {
	Environment string
	// From is the environment that the gates name.
	From string
	Why  string
}

func (e *GateError) Error() string {
	return fmt.Sprintf("promote to %s: its gate is shut: %s", e.Environment, e.Why)
}

// Proof are images that an environment runs, with the release that proves it.
type Proof struct {
	Environment string
	Release     release.Release
	Images      []image.Pin
	// Since: they have been healthy from then on.
	Since time.Time
	// by is the tool that deploys the environment in place of a release; empty: there is a release.
	by    string
	notes []string
}

// String is a line for the commit.
func (p Proof) String() string {
	if p.by != "" {
		return fmt.Sprintf("Healthy in %s since %s, says %s.", p.Environment,
			p.Since.UTC().Format(time.RFC3339), p.by)
	}
	return fmt.Sprintf("Healthy in %s since %s (release %d).", p.Environment, p.Since.UTC().Format(time.RFC3339),
		p.Release.Revision)
}

// subject is what a sentence about the images begins with.
func (p Proof) subject() string {
	if p.by != "" {
		return p.Environment
	}
	return fmt.Sprintf("release %d of %s", p.Release.Revision, p.Environment)
}

// witness ends a sentence about their health, where another tool says so.
func (p Proof) witness() string {
	if p.by == "" {
		return ""
	}
	return ", says " + p.by
}

// proveFor is Decide with the cluster and the clone of the user. It fails with a *GateError.
func proveFor(
	ctx context.Context, t deploy.Target, from project.Environment, held release.Past, o Options,
) (Proof, error) {
	a := Here(t, connectFrom(t, o.Connect))
	a.Held = &held
	a.Itself = func() (deploy.Target, error) { return deploy.Connect(t.Source, t.Environment, o.Connect) }
	if o.Checks != nil {
		a.Checks = checksAt(t.Source.Project.Dir, o.Checks)
	}
	d, err := Decide(ctx, t, from, a)
	if o.Decided == nil {
		o.Decided = Decision.Err
	}
	if err == nil {
		err = o.Decided(d)
	}
	return d.Proof, err
}

func connectFrom(t deploy.Target, o deploy.ConnectOptions) func(project.Environment) (deploy.Target, error) {
	return func(from project.Environment) (deploy.Target, error) { return deploy.Connect(t.Source, from, o) }
}

// Here is the access to the gates of a target from the clone of a user, with the tokens of the user's
// environment.
func Here(t deploy.Target, connect func(project.Environment) (deploy.Target, error)) Access {
	return Access{
		Connect: connect,
		Names: func(ctx context.Context, from project.Environment) ([]image.Pin, error) {
			return named(ctx, t.Source.Project, t.Environment, from, t.Render)
		},
		Kept: func(ctx context.Context, from deploy.Target) (Proof, error) {
			return proveKept(ctx, t.Source.Project, from, t.Render)
		},
		Notes: func(ctx context.Context) (Notes, error) { return fetchNotes(ctx, t.Source.Project.Dir) },
		Checks: checksAt(t.Source.Project.Dir, func(repository string) (forge.Forge, error) {
			return forge.Forge{}.FromEnvironment(repository, os.Getenv)
		}),
	}
}

// fetchNotes fetches the Git notes, and the branch that the one in a directory is pushed to.
func fetchNotes(ctx context.Context, dir string) (Notes, error) {
	r, err := git.Open(ctx, dir)
	if err != nil {
		return Notes{}, err
	}
	up, err := r.Upstream(ctx)
	if err != nil {
		return Notes{}, err
	}
	n := Notes{Repository: r}
	if n.Commit, err = r.Fetch(ctx, up); err != nil {
		return n, err
	}
	return n, r.FetchNotes(ctx, up.Remote)
}

// checksAt reads the checks of a commit at the forge of the clone in a directory.
func checksAt(dir string, at func(repository string) (forge.Forge, error)) func(
	context.Context, string,
) ([]forge.Check, error) {
	return func(ctx context.Context, commit string) ([]forge.Check, error) {
		r, err := git.Open(ctx, dir)
		if err != nil {
			return nil, err
		}
		up, err := r.Upstream(ctx)
		if err != nil {
			return nil, err
		}
		repository, err := r.URL(ctx, up.Remote)
		if err != nil {
			return nil, err
		}
		f, err := at(repository)
		if err != nil {
			return nil, err
		}
		return f.Checks(ctx, repository, commit)
	}
}

// proveByRecord returns the images of the newest release of an environment, the source, whose record is past.
// It fails with a *shutError unless they are healthy now.
func proveByRecord(
	ctx context.Context, t, source deploy.Target, past release.Past,
	name func(context.Context, project.Environment) ([]image.Pin, error),
) (Proof, error) {
	from, latest := source.Environment, past.Latest
	if latest.Revision == 0 {
		return Proof{}, shut(time.Time{}, "%s has no release", from.Name)
	}
	if latest.Status != release.Healthy {
		since := latest.Finished
		if since.IsZero() {
			since = latest.Started
		}
		return Proof{}, shut(since, "release %d of %s is %s", latest.Revision, from.Name, latest.Status)
	}
	if latest.Quarantine != nil {
		return Proof{}, shut(latest.Quarantine.Since, "release %d of %s is in quarantine: %s", latest.Revision,
			from.Name, latest.Quarantine.Reason)
	}
	if len(latest.NotRun) > 0 {
		return Proof{}, shut(latest.Finished, "release %d of %s is not proven: %s", latest.Revision, from.Name,
			deploy.NotRunText(latest))
	}
	condition, err := deploy.Health(ctx, source, latest)
	switch {
	case err != nil:
		return Proof{}, fmt.Errorf("promote from %s: read its health: %w", from.Name, err)
	case !condition.Healthy:
		return Proof{}, shut(condition.Since, "release %d of %s is not healthy any more: %s", latest.Revision,
			from.Name, condition.Text)
	}
	p := Proof{
		Environment: from.Name, Release: latest, Images: latest.Images, Since: healthySince(past.Releases),
	}
	if len(t.Source.Project.Images) == 0 && name != nil { // the project deploys what others build
		pins, err := name(ctx, from)
		if err == nil {
			p.Images, p.notes, err = p.others(ctx, t, from, pins)
		}
		if err != nil {
			return Proof{}, err
		}
	}
	for _, pin := range p.Images {
		if pin.Digest == "" && len(p.notes) == 0 {
			return Proof{}, shut(latest.Finished, "release %d of %s does not say which digest of %s it runs",
				latest.Revision, from.Name, pin.Name)
		}
	}
	p.notes = append(p.notes, condition.Unseen...)
	return p, nil
}

// others are images that the files of an environment name and that its release runs, with the digests of
// their tags.
func (p Proof) others(ctx context.Context, t deploy.Target, from project.Environment, pins []image.Pin) (
	[]image.Pin, []string, error) {
	uses := image.Uses(p.Release.Objects)
	for _, pin := range pins {
		runs := slices.ContainsFunc(uses, func(u image.Use) bool {
			r := reference.Parse(u.Reference)
			return r.Repository == pin.Repository && r.Tag == pin.Tag && (pin.Digest == "" || r.Digest == pin.Digest)
		})
		if !runs {
			return nil, nil, shut(p.Release.Finished, "release %d of %s does not run %s, which its files name",
				p.Release.Revision, from.Name, pin.Reference())
		}
	}
	return resolvedFrom(ctx, t, from, pins)
}

// healthySince is when the images of the newest release became healthy, without another outcome since. The
// releases are the newest first.
func healthySince(history []release.Release) time.Time {
	since := history[0].Finished
	for _, r := range history {
		if !r.Proven() || !slices.EqualFunc(r.Images, history[0].Images, sameDigest) {
			break
		}
		since = r.Finished
	}
	return since
}

func sameDigest(a, b image.Pin) bool { return a.Name == b.Name && a.Digest == b.Digest }

// gated returns the environment whose health must prove the images, and whether one must. It fails with a
// *GateError where the images come from elsewhere.
func gated(t deploy.Target, o Options) (project.Environment, bool, error) {
	g := t.Environment.Gates
	if o.PastGates != "" || g == nil && !o.Proven {
		return project.Environment{}, false, nil
	}
	if g != nil && o.From != g.From {
		is := "what this commit builds"
		switch {
		case len(o.Images) > 0:
			is = "other images"
		case o.From != "":
			is = "what " + o.From + " runs"
		}
		return project.Environment{}, false, &GateError{t.Environment.Name, g.From, fmt.Sprintf("it accepts "+
			"only what "+
			"%s runs, not %s", g.From, is)}
	}
	env, err := t.Source.Project.Environment(o.From)
	return env, true, err
}

// reasons are the lines of the commit that say why the images were promoted.
func reasons(p *Proof, o Options) (lines []string) {
	if p != nil {
		lines = append(lines, p.String())
	}
	if o.PastGates != "" {
		lines = append(lines, "Past the gates: "+o.PastGates)
	}
	return append(lines, o.reasons...)
}
