// Command slipway-sandbox is a Kubernetes control plane with simulated nodes, an OCI registry and a
// Git server: one process, on loopback, with its data in one folder. People start it by
// "slipway sandbox up".
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"slipway/sandbox/access"
)

// version is that of the build.
var version = "dev"

const usage = `slipway-sandbox serve --data FOLDER [flags]

Runs until SIGINT or SIGTERM. FOLDER/sandbox.json is there while it is ready, and says where the
API server, kubeconfig, registry and Git server are.

`

func main() {
	o, err := parseArgs(os.Args[1:])
	if errors.Is(err, pflag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "slipway-sandbox: error:", err)
		os.Exit(2)
	}
	// The first signal stops in order, the second one at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	people, err := ownStderr()
	if err != nil {
		people = os.Stderr
	} else {
		err = serve(ctx, o, people)
	}
	if err != nil {
		fmt.Fprintln(people, "slipway-sandbox: error:", err)
		os.Exit(1)
	}
}

// options of serve. A port of 0 is that of last time, or a free one.
type options struct {
	data                        string
	port, registryPort, gitPort int
	nodes                       int
	registryRule                access.Rule
	verbosity                   int
}

func parseArgs(args []string) (options, error) {
	var o options
	var auth string
	f := pflag.NewFlagSet("slipway-sandbox", pflag.ContinueOnError)
	f.StringVar(&o.data, "data", "", "folder for everything that is kept")
	f.IntVar(&o.port, "port", 0, "of the API server (default: that of last time, or a free one)")
	f.IntVar(&o.registryPort, "registry-port", 0, "of the registry (default: that of last time, or a free one)")
	f.IntVar(&o.gitPort, "git-port", 0, "of the Git server (default: that of last time, or a free one)")
	f.IntVar(&o.nodes, "nodes", 3, "simulated nodes")
	f.StringVar(&auth, "registry-auth", "",
		"USER:PASSWORD that the registry asks for (default: open, except private/…)")
	f.IntVar(&o.verbosity, "verbosity", 0, "of Kubernetes' own log")
	f.Usage = func() { fmt.Fprint(os.Stderr, usage+f.FlagUsages()) }
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() != 1 || f.Arg(0) != "serve" {
		return o, errors.New(`expected "serve"; see --help`)
	}
	if o.data == "" {
		return o, errors.New("--data is needed")
	}
	rule, ok := access.ParseRule(auth)
	if !ok {
		return o, errors.New("--registry-auth: expected USER:PASSWORD")
	}
	o.registryRule = rule
	return o, nil
}
