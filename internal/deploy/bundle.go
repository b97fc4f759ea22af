package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"slipway/internal/image"
	"slipway/internal/image/signature"
	"slipway/internal/project"
	"slipway/internal/render/bundle"
)

// NotBundledError says why an environment cannot be rendered here and deployed elsewhere.
type NotBundledError struct{ Environment, Reason, Do string }

func (e *NotBundledError) Error() string {
	return fmt.Sprintf("bundle %s: %s", e.Environment, e.Reason)
}

// maxAncestors is how many commits a bundle names: a release of an older one is not known to be older.
const maxAncestors = 50_000

// Bundle renders and checks an environment, resolves its images, and returns what another machine needs to
// deploy it. It writes nothing. It fails with a *CheckError as a deploy does, and with a *NotBundledError
// where the objects depend on more than the commit, or have what must not leave this machine.
func Bundle(ctx context.Context, t Target) (bundle.Bundle, error) {
	refuse := func(do, format string, args ...any) error {
		return &NotBundledError{t.Environment.Name, fmt.Sprintf(format, args...), do}
	}
	switch {
	case t.Source.Commit == "":
		return bundle.Bundle{}, ErrNoCommit
	case t.Source.Dirty:
		return bundle.Bundle{}, fmt.Errorf("%w: %s", ErrDirty, changedFiles(t))
	}
	for _, c := range t.Environment.Charts {
		if c.Lookup {
			return bundle.Bundle{}, refuse("Remove `lookup` from the chart, or have the agent read Git.",
				"chart %s asks the cluster, and a bundle is rendered without one", c.Path)
		}
	}
	repository, err := t.history(ctx)
	if err != nil {
		return bundle.Bundle{}, err
	}
	if repository.IsShallow(ctx) {
		return bundle.Bundle{}, refuse("Run `git fetch --unshallow`, or set `fetch-depth: 0` in the workflow.",
			"this is a shallow clone, and a bundle names the commits that it contains")
	}
	t.Cluster = nil // the same commit gives the same bundle
	r, _, err := renderReviewed(ctx, t, ProposeOptions{PrepareOptions: PrepareOptions{ordered: true}})
	if err != nil {
		return bundle.Bundle{}, err
	}
	if hidden := r.result.Set.Concealed(); len(hidden) > 0 {
		return bundle.Bundle{}, errors.Join(refuse("Have a controller of the cluster make these Secrets, such as "+
			"External Secrets, or have the agent read Git.",
			"its objects have values that SOPS decrypted, and a registry would keep them in plain text"), r.close())
	}
	if len(r.result.Unstable) > 0 {
		err := refuse("Set the value in the chart's values, or have the agent read Git.",
			"differs on each render: %s", r.result.Unstable[0])
		return bundle.Bundle{}, errors.Join(err, r.close())
	}
	files, err := r.files(ctx, t)
	prepared, perr := pinTarget(ctx, t, r, PrepareOptions{})
	if err := errors.Join(err, perr, r.close()); err != nil {
		return bundle.Bundle{}, err
	}
	var images []project.Image
	missing := gone(ctx, t, prepared) // or in the repository of another environment alone
	for _, pin := range prepared.Images {
		if pin.Digest == "" || slices.Contains(missing, pin) {
			return bundle.Bundle{}, refuse(fmt.Sprintf("Run `slipway build %s` first.", t.Environment.Name),
				"image %s does not exist", pin.Reference())
		}
		images = append(images, project.Image{Name: pin.Name})
	}
	src := t.Source
	if src.Ancestors, err = repository.Ancestors(ctx, src.Commit, maxAncestors); err != nil {
		return bundle.Bundle{}, err
	}
	return bundle.Make(src, t.Environment, prepared.Set.Objects(), images, files)
}

// PushBundle makes the bundle of an environment and pushes it to the repository of a pin, signed where there
// is a signer. It returns the pin with the digest. It fails as Bundle does.
func PushBundle(
	ctx context.Context, t Target, to image.Pin, by *signature.Signer, o image.Options,
) (image.Pin, error) {
	b, err := Bundle(ctx, t)
	if err != nil {
		return to, err
	}
	layer, err := bundle.Pack(b)
	if err != nil {
		return to, fmt.Errorf("bundle %s: %w", t.Environment.Name, err)
	}
	pin, err := image.PushArtifact(ctx, to, image.Artifact{
		Type: bundle.ArtifactType, LayerType: bundle.LayerType, Layer: layer, Annotations: annotations(b),
	}, by, o)
	if err != nil {
		return to, fmt.Errorf("push %s: %w", t.Environment.Name, err)
	}
	return pin, nil
}

// annotations tell other programs what was pushed. They are the same for the same commit.
func annotations(b bundle.Bundle) map[string]string {
	return map[string]string{
		"org.opencontainers.image.created":  time.Unix(b.Source.Time, 0).UTC().Format(time.RFC3339),
		"org.opencontainers.image.revision": b.Source.Commit,
		"dev.slipway.project":               b.Project.Name,
		"dev.slipway.environment":           b.Environment().Name,
	}
}

// files are those of the project that a deploy reads beside the objects: rules, keys and trusted roots.
func (r rendering) files(ctx context.Context, t Target) (map[string][]byte, error) {
	names := slices.Clone(t.Source.Project.Rules)
	for _, s := range t.Environment.Signatures {
		names = append(names, s.Key, s.TrustedRoot)
	}
	files, view := map[string][]byte{}, r.renderer.View(ctx)
	for _, name := range names {
		if name == "" {
			continue
		}
		text, err := view.File(name)
		if err != nil {
			return nil, err
		}
		files[name] = text
	}
	return files, nil
}
