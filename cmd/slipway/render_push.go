package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/deploy"
	"slipway/internal/image"
)

// renderPush is the part of render that pushes the objects to a registry.
type renderPush struct {
	to      string
	signing *signing
}

func (p *renderPush) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.to, "push", "",
		"push the objects of ENV at this commit to `oci://REPO[:TAG]`, for an agent that "+
			"reads a registry instead of Git; default tag: ENV")
	p.signing = signFlags(f,
		"with --push: sign the pushed objects, with --key or in CI with the job's identity token")
}

// check refuses flags that do not go with --push.
func (p *renderPush) check(o renderFlags, args []string) error {
	switch {
	case p.to == "" && p.signing.asked():
		return errors.New("--sign, --key and --signing-config require --push")
	case p.to == "":
		return nil
	case len(args) != 1:
		return errors.New("--push takes one environment: an agent reads each from a tag of its own")
	case o.digest || o.out.kind != asYAML || o.show || o.all:
		return errors.New("--push cannot be used with --all, --digest, --output or --show-secrets")
	case !strings.HasPrefix(p.to, image.Scheme):
		return fmt.Errorf("--push %s: want %sREPOSITORY[:TAG]", p.to, image.Scheme)
	}
	return nil
}

func (p *renderPush) run(ctx context.Context, a *app, name string) error {
	by, err := p.signing.signer()
	if err != nil {
		return err
	}
	pin, err := image.ParseArtifact(p.to)
	if err != nil {
		return err
	}
	pin.Tag = cmp.Or(pin.Tag, name)
	t, err := a.buildTarget(ctx, name)
	if err != nil {
		return err
	}
	pin, err = deploy.PushBundle(ctx, t, pin, by, image.Options{
		Client: a.registries(), Notify: func(text string) { a.warn("%s", text) },
	})
	if err != nil {
		return err
	}
	if by == nil {
		a.warn("warning: %s is not signed: an agent refuses it. Pass --sign", pin.Reference())
	}
	_, err = fmt.Fprintf(a.stdout, "%s%s\n", image.Scheme, pin.Reference())
	return err
}
