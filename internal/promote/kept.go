package promote

import (
	"context"
	"fmt"
	"slices"
	"time"

	"slipway/internal/deploy"
	"slipway/internal/project"
	"slipway/internal/render"
)

// proveKept returns the images of an environment that Argo CD or Flux deploys: those that its files name by
// digest, if they run and the tool calls the environment synced and healthy. It fails with a *shutError
// otherwise.
func proveKept(
	ctx context.Context, of project.Project, from deploy.Target, o render.Options,
) (Proof, error) {
	name := from.Environment.Name
	keepers, err := deploy.ConfiguredKeepers(ctx, from)
	if err != nil {
		return Proof{}, fmt.Errorf("promote from %s: %w", name, err)
	}
	if len(keepers) == 0 {
		return Proof{}, shut(time.Time{}, "%s has no release", name)
	}
	p := Proof{Environment: name}
	for _, k := range keepers {
		if !k.Report.Synced || !k.Report.Healthy {
			return Proof{}, shut(k.Report.Since, "%s is not healthy: %s", name, k)
		}
		if k.Report.Since.After(p.Since) {
			p.Since, p.by = k.Report.Since, k.Tool+" ("+k.Name+")"
		}
	}
	if p.Since.IsZero() {
		return Proof{}, shut(time.Time{}, "%s does not say since when %s is healthy", keepers[0].Tool, name)
	}
	images, missing, err := Stated(ctx, of, from.Environment, o)
	if err != nil {
		return Proof{}, err
	}
	if len(missing) > 0 {
		return Proof{}, shut(time.Time{}, "the files of %s do not say which digest of %s it runs", name, missing[0])
	}
	rendered, err := render.Render(ctx, of, from.Environment, o)
	if err != nil {
		return Proof{}, err
	}
	ran, err := deploy.RunningAmong(ctx, from, images, rendered.Set)
	if err != nil {
		return Proof{}, fmt.Errorf("promote from %s: read which images run: %w", name, err)
	}
	for _, pin := range images {
		if !slices.Contains(ran, pin.Digest) {
			return Proof{}, shut(time.Time{}, "%s does not run %s, which its files name", name, pin.Reference())
		}
	}
	p.Images = images
	return p, nil
}
