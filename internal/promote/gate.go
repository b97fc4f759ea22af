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

// proven are images that an environment runs, with the release that proves it.
type proven struct {
	environment string
	release     release.Release
	images      []image.Pin
	since       time.Time // they have been healthy since then
	// by is the tool that deploys the environment in place of a release; empty: there is a release.
	by    string
	notes []string
}

// String is a line for the commit.
func (p proven) String() string {
	if p.by != "" {
		return fmt.Sprintf("Healthy in %s since %s, says %s.", p.environment,
			p.since.UTC().Format(time.RFC3339), p.by)
	}
	return fmt.Sprintf("Healthy in %s since %s (release %d).", p.environment, p.since.UTC().Format(time.RFC3339),
		p.release.Revision)
}

// prove returns the images of the newest release of an environment. It fails with a *GateError unless they
// are healthy now, and have been for long enough.
func prove(ctx context.Context, t deploy.Target, from project.Environment, o Options) (proven, error) {
	shut := func(format string, args ...any) error {
		return &GateError{t.Environment.Name, from.Name, fmt.Sprintf(format, args...)}
	}
	source, err := deploy.Connect(t.Source, from, o.Connect)
	if err != nil {
		return proven{}, err
	}
	past, err := source.Records().Past(ctx)
	if err != nil {
		return proven{}, fmt.Errorf("promote from %s: %w", from.Name, err)
	}
	latest := past.Latest
	if latest.Revision == 0 {
		return proveKept(ctx, t, source, o)
	}
	if latest.Status != release.Healthy {
		return proven{}, shut("release %d of %s is %s", latest.Revision, from.Name, latest.Status)
	}
	if latest.Quarantine != nil {
		return proven{}, shut("release %d of %s is in quarantine: %s", latest.Revision, from.Name,
			latest.Quarantine.Reason)
	}
	if len(latest.NotRun) > 0 {
		return proven{}, shut("release %d of %s is not proven: %s", latest.Revision, from.Name,
			deploy.NotRunText(latest))
	}
	healthy, why, err := deploy.Health(ctx, source, latest)
	switch {
	case err != nil:
		return proven{}, fmt.Errorf("promote from %s: read its health: %w", from.Name, err)
	case !healthy:
		return proven{}, shut("release %d of %s is not healthy any more: %s", latest.Revision, from.Name, why)
	}
	p := proven{
		environment: from.Name, release: latest, images: latest.Images, since: healthySince(past.Releases),
	}
	if len(t.Source.Project.Images) == 0 { // the project deploys what others build
		if p.images, p.notes, err = p.others(ctx, t, from); err != nil {
			return proven{}, err
		}
	}
	for _, pin := range p.images {
		if pin.Digest == "" && len(p.notes) == 0 {
			return proven{}, shut("release %d of %s does not say which digest of %s it runs", latest.Revision,
				from.Name, pin.Name)
		}
	}
	if g := t.Environment.Gates; g != nil {
		if been := time.Since(p.since); been < g.Healthy {
			return proven{}, shut("release %d of %s has been healthy for %s of %s", latest.Revision, from.Name,
				been.Round(time.Second), g.Healthy)
		}
	}
	return p, nil
}

// others are the images that the files of an environment name and that its release runs, with the digests of
// their tags.
func (p proven) others(ctx context.Context, t deploy.Target, from project.Environment) (
	[]image.Pin, []string, error) {
	pins, err := named(ctx, t, from)
	if err != nil {
		return nil, nil, err
	}
	uses := image.Uses(p.release.Objects)
	for _, pin := range pins {
		runs := slices.ContainsFunc(uses, func(u image.Use) bool {
			r := reference.Parse(u.Reference)
			return r.Repository == pin.Repository && r.Tag == pin.Tag && (pin.Digest == "" || r.Digest == pin.Digest)
		})
		if !runs {
			why := fmt.Sprintf("release %d of %s does not run %s, which its files name", p.release.Revision, from.Name,
				pin.Reference())
			return nil, nil, &GateError{t.Environment.Name, from.Name, why}
		}
	}
	return resolved(ctx, t, from, pins)
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
		if o.From != "" {
			is = "what " + o.From + " runs"
		}
		return project.Environment{}, false, &GateError{t.Environment.Name, g.From, fmt.Sprintf("it takes what %s "+
			"runs, and not %s", g.From, is)}
	}
	env, err := t.Source.Project.Environment(o.From)
	return env, true, err
}

// reasons are the lines of the commit that say why the images were promoted.
func reasons(p *proven, o Options) (lines []string) {
	if p != nil {
		lines = append(lines, p.String())
	}
	if o.PastGates != "" {
		lines = append(lines, "Past the gates: "+o.PastGates)
	}
	return lines
}
