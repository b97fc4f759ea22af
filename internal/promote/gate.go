package promote

import (
	"context"
	"fmt"
	"slices"
	"time"

	"slipway/internal/deploy"
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

// prove is Prove with the cluster and the record of another environment, and with its files.
func prove(ctx context.Context, t deploy.Target, from project.Environment, o Options) (Proof, error) {
	source, err := deploy.Connect(t.Source, from, o.Connect)
	if err != nil {
		return Proof{}, err
	}
	past, err := source.Records().Past(ctx)
	if err != nil {
		return Proof{}, fmt.Errorf("promote from %s: %w", from.Name, err)
	}
	if past.Latest.Revision == 0 {
		return proveKept(ctx, t, source)
	}
	return Prove(ctx, t, source, past, func(ctx context.Context) ([]image.Pin, error) {
		return named(ctx, t.Source.Project, t.Environment, from, t.Render)
	})
}

// proveFor is prove by the record or by the published verdict, as the gates say, with the approvals that they
// ask for.
func proveFor(
	ctx context.Context, t deploy.Target, from project.Environment, o Options,
) (p Proof, err error) {
	g := t.Environment.Gates
	if g != nil && g.Verdict != "" {
		p, err = proveHere(ctx, t)
	} else {
		p, err = prove(ctx, t, from, o)
	}
	if err != nil || g == nil || g.Approvals == 0 {
		return p, err
	}
	if t, err = deploy.Connect(t.Source, t.Environment, o.Connect); err != nil {
		return p, err
	}
	return p, CheckApprovals(ctx, t, p)
}

// NameFunc returns the images that the files of two environments have in common, where the project deploys
// what others build.
type NameFunc = func(context.Context) ([]image.Pin, error)

// Prove returns the images of the newest release of an environment, the source, whose record is past. It
// fails with a *GateError unless they are healthy now, and have been for as long as the gates of t say.
func Prove(ctx context.Context, t, source deploy.Target, past release.Past, name NameFunc) (Proof, error) {
	from, latest := source.Environment, past.Latest
	shut := func(format string, args ...any) error {
		return &GateError{t.Environment.Name, from.Name, fmt.Sprintf(format, args...)}
	}
	if latest.Revision == 0 {
		return Proof{}, shut("%s has no release", from.Name)
	}
	if latest.Status != release.Healthy {
		return Proof{}, shut("release %d of %s is %s", latest.Revision, from.Name, latest.Status)
	}
	if latest.Quarantine != nil {
		return Proof{}, shut("release %d of %s is in quarantine: %s", latest.Revision, from.Name,
			latest.Quarantine.Reason)
	}
	if len(latest.NotRun) > 0 {
		return Proof{}, shut("release %d of %s is not proven: %s", latest.Revision, from.Name,
			deploy.NotRunText(latest))
	}
	condition, err := deploy.Health(ctx, source, latest)
	switch {
	case err != nil:
		return Proof{}, fmt.Errorf("promote from %s: read its health: %w", from.Name, err)
	case !condition.Healthy:
		return Proof{}, shut("release %d of %s is not healthy any more: %s", latest.Revision, from.Name,
			condition.Text)
	}
	p := Proof{
		Environment: from.Name, Release: latest, Images: latest.Images, Since: healthySince(past.Releases),
	}
	if len(t.Source.Project.Images) == 0 { // the project deploys what others build
		pins, err := name(ctx)
		if err == nil {
			p.Images, p.notes, err = p.others(ctx, t, from, pins)
		}
		if err != nil {
			return Proof{}, err
		}
	}
	for _, pin := range p.Images {
		if pin.Digest == "" && len(p.notes) == 0 {
			return Proof{}, shut("release %d of %s does not say which digest of %s it runs", latest.Revision,
				from.Name, pin.Name)
		}
	}
	if g := t.Environment.Gates; g != nil {
		if been := time.Since(p.Since); been < g.Healthy {
			return Proof{}, shut("release %d of %s has been healthy for %s of %s", latest.Revision, from.Name,
				been.Truncate(time.Second), g.Healthy)
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
			why := fmt.Sprintf("release %d of %s does not run %s, which its files name", p.Release.Revision, from.Name,
				pin.Reference())
			return nil, nil, &GateError{t.Environment.Name, from.Name, why}
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
		return project.Environment{}, false, &GateError{t.Environment.Name, g.From, fmt.Sprintf("it takes what %s "+
			"runs, and not %s", g.From, is)}
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
