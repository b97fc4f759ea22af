package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/deploy"
	"slipway/internal/image"
)

func newImageCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "image", Short: "Inspect, copy and verify images in registries"}
	cmd.AddCommand(newImageInspectCommand(a), newImageCopyCommand(a), newImageVerifyCommand(a))
	return cmd
}

func newImageInspectCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "inspect REF", Short: "Show an image's digest, platforms, size, commit and attestations",
		Args: named("REF"),
		Long: `Reads an image's manifests and configuration from its registry, without downloading layers.
The commit is the value of the label org.opencontainers.image.revision. With the --context of a sandbox,
it asks that sandbox's registry.`,
	}
	out := a.outputFlag(cmd, asText, asJSON)
	cmd.RunE = func(c *cobra.Command, args []string) error {
		return runImageInspect(c.Context(), a, args[0], *out)
	}
	return cmd
}

func newImageCopyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "copy SRC DST", Short: "Copy an image to another name or registry, and print it by digest",
		Args: named("SRC", "DST"),
		Long: `Copies an image with all its platforms, attestations and signatures. It sends only missing
content; within one registry it sends no layers. It does not move a tag of DST that names another image.
If DST has no tag, the copy gets the tag of SRC. Credentials come from Docker's configuration and its
credential helpers.`,
	}
	cmd.RunE = func(c *cobra.Command, args []string) error {
		o, err := registryOptions(a)
		if err != nil {
			return err
		}
		pin, sent, err := image.Copy(c.Context(), args[0], args[1], o)
		if err != nil {
			return fmt.Errorf("copy %s: %w", args[0], err)
		}
		if !sent {
			a.warn("%s already exists: nothing was sent", args[1])
		}
		_, err = fmt.Fprintln(a.stdout, pin.Reference())
		return err
	}
	return cmd
}

// registryOptions reach the real registries, or with --context the registry of a sandbox.
func registryOptions(a *app) (image.Options, error) {
	mirror, err := deploy.Mirror(a.connectOptions())
	return image.Options{
		Client: a.registries(), Mirror: mirror, Transfer: a.transfer,
		Notify: func(text string) { a.warn("%s", text) },
	}, err
}

func runImageInspect(ctx context.Context, a *app, ref string, out format) error {
	o, err := registryOptions(a)
	if err != nil {
		return err
	}
	info, err := image.Inspect(ctx, ref, o)
	if err != nil {
		return err
	}
	found := info.FindCommit(ctx, a.dir)
	if out == asJSON {
		return a.json(info)
	}
	return printImage(a.stdout, info, found)
}

func printImage(w io.Writer, i image.Info, found bool) error {
	commit := "unknown (no label)"
	switch {
	case found:
		commit = short(i.Commit) + "  " + brief(i.Subject)
	case i.Commit != "":
		commit = brief(i.Commit) + "  (not in this repository)"
	}
	t := table{}
	t.add("image", i.Reference)
	t.add("size", megabytes(i.Size))
	for n, p := range i.Platforms {
		t.add([]string{"platforms", ""}[min(n, 1)], p.Name+"  "+megabytes(p.Size))
	}
	t.add("commit", commit)
	t.add("source", cmp.Or(brief(i.Labels[image.LabelSource]), "unknown (no label)"))
	t.add("created", cmp.Or(brief(i.Labels[image.LabelCreated]), "unknown (no label)"))
	t.add("attestations", cmp.Or(attestations(i.Attestations), "none"))
	return t.print(w)
}

// attestations prints "provenance, sbom (linux/amd64, linux/arm64), signature".
func attestations(all []image.Attestation) string {
	platforms := map[string][]string{}
	for _, at := range all {
		platforms[at.Kind] = append(platforms[at.Kind], at.Platform)
	}
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(platforms)) {
		if of := slices.DeleteFunc(platforms[kind], func(p string) bool { return p == "" }); len(of) > 0 {
			kind += " (" + strings.Join(slices.Compact(of), ", ") + ")"
		}
		kinds = append(kinds, kind)
	}
	return strings.Join(kinds, ", ")
}

func megabytes(bytes int64) string {
	if bytes < 100_000 {
		return fmt.Sprintf("%.1f kB", float64(bytes)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(bytes)/1e6)
}
