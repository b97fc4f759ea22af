package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "development"

// embedded are the libraries whose behaviour a user may need to know the version of.
var embedded = []struct{ name, module string }{
	{"kustomize", "sigs.k8s.io/kustomize/api"},
	{"buildkit", "github.com/moby/buildkit"},
	{"kubernetes client", "k8s.io/client-go"},
}

func newVersionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version, and those of what is embedded", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprintf(a.stdout, "slipway %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			info, ok := debug.ReadBuildInfo()
			if !ok {
				return fmt.Errorf("the binary carries no build information")
			}
			for _, e := range embedded {
				for _, m := range info.Deps {
					if m.Path == e.module {
						fmt.Fprintf(a.stdout, "  %s %s\n", e.name, m.Version)
					}
				}
			}
			return nil
		},
	}
}
