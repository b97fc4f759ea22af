package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "development"

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
	cmd.RunE = func(*cobra.Command, []string) error {
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
