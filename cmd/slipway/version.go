package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"slipway/internal/ci/pipeline"
)

// version is set by the linker.
var version = "development"

// releases is the URL under which versions are published, set by the linker in published binaries:
// https://HOST/OWNER/REPOSITORY/releases/download.
var releases string

// embedded are the libraries whose version decides behaviour that users see.
var embedded = []struct{ name, module string }{
	{"kustomize", "sigs.k8s.io/kustomize/api"},
	{"buildkit", "github.com/moby/buildkit"},
	{"kubernetes client", "k8s.io/client-go"},
}

func newVersionCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Print the version, and the versions of embedded libraries",
		Args: cobra.NoArgs}
	out := a.outputFlag(cmd, asText, asJSON)
	look := cmd.Flags().Bool("check", false, "also check whether a newer version was published")
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		if *look {
			return checkVersion(c.Context(), a.stdout, releases)
		}
		info, ok := debug.ReadBuildInfo()
		if !ok {
			return fmt.Errorf("the binary has no build information")
		}
		modules := map[string]string{}
		for _, m := range info.Deps {
			modules[m.Path] = m.Version
		}
		if *out == asJSON {
			v := map[string]string{"slipway": version, "go": runtime.Version(), "platform": runtime.GOOS + "/" +
				runtime.GOARCH}
			for _, e := range embedded {
				v[e.name] = modules[e.module]
			}
			return a.json(v)
		}
		fmt.Fprintf(a.stdout, "slipway %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		for _, e := range embedded {
			fmt.Fprintf(a.stdout, "  %s %s\n", e.name, modules[e.module])
		}
		return nil
	}
	return cmd
}

// checkVersion says whether a newer version is published under a URL.
func checkVersion(ctx context.Context, w io.Writer, url string) error {
	if url == "" {
		return errors.New("this binary was not published: build a newer one with `git pull` and `make build`")
	}
	newest, err := pipeline.Newest(ctx, url)
	if err != nil {
		return fmt.Errorf("ask for the newest version: %w", err)
	}
	if newest == version {
		fmt.Fprintf(w, "slipway %s is the newest version\n", version)
		return nil
	}
	fmt.Fprintf(w, "slipway %s is published, this is %s: %s/%[1]s\n", newest, version, url)
	return nil
}
