// Command slipway takes a service from a laptop cluster to staging and production, and keeps it there.
//
// Each verb is one file: it parses flags, calls one function, and prints. Errors become hints and exit codes
// in explain.go alone.
package main

import (
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"slipway/internal/agent"
	"slipway/internal/agent/child"
	"slipway/internal/ci"
	_ "slipway/internal/gctune" // fewer collections, none of them at the start
	"slipway/internal/git/credential"
	"slipway/internal/image"
	"slipway/internal/image/builder"
)

func main() {
	if code, is := credential.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr); is {
		os.Exit(code)
	}
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// silenceLibraries keeps Kustomize and Helm from printing: we report the same with file and line.
func silenceLibraries() {
	log.SetOutput(io.Discard)
	slog.SetDefault(slog.New(slog.DiscardHandler))
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		os.Stderr = null
	}
}

// run is main without the process: it returns the exit code.
func run(args []string, stdin *os.File, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	if len(args) > 0 && args[0] == builder.EngineArg {
		return explain(stderr, builder.Engine(ctx, args[1:]))
	}
	silenceLibraries()
	if len(args) > 0 && args[0] == child.Arg {
		return explain(stderr, child.Serve(ctx, args[1:], stdin, stdout, new(agent.Worker).Work))
	}
	stderr = openConsole(stderr, os.Getenv)
	a := &app{cli: &cli{stdin: stdin, stdout: stdout, stderr: stderr}}
	a.ci = ci.Detect(os.Getenv).Output(os.Getenv, stderr, a.projectDir)
	root := newRoot(a)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if failed := a.trace.end(ctx, err); failed != nil {
		a.warn("warning: the trace was not sent: %v", failed)
	}
	if err != nil && !a.started && !errors.Is(err, errSilent) {
		err = &usageError{err}
	}
	if ctx.Err() != nil && err != nil {
		err = &interruptedError{err}
	}
	if err == nil || isSilent(err) {
		return explain(stderr, err, args...)
	}
	a.settle()
	end := a.ci.Fold("") // the platform must not read commands from the text of an error
	code := explain(stderr, err, args...)
	end()
	a.ci.Annotate(notesOf(err)...)
	return code
}

// app is a run: the command line, the flags that all verbs share, and what one run opens once.
type app struct {
	*cli
	client  *image.Client // see registries
	started bool          // flags and arguments are valid; an error from now on is not a usage error

	// planFile is a saved plan, which may be in the working tree.
	planFile string

	dir        string
	kubeconfig string
	context    string
	namespace  string
}

// calledAs is how help shows the command: as a plugin, kubectl runs the program as kubectl-slipway.
func calledAs() string {
	if strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe") == "kubectl-slipway" {
		return "kubectl slipway"
	}
	return "slipway"
}

const about = `Slipway takes a service from a laptop cluster to staging and production, and keeps it there.

It needs one manifest base and an overlay, or a chart and values files, for each environment. One
command builds and pushes the images, pins them by digest, shows the plan, applies it, watches the
rollout and records the release. A release that fails in staging or production is rolled back to the
last healthy one.

To start, run "slipway check" in a repository: it needs no cluster and no configuration.`

const exitCodes = `
Exit codes:
  0    done
  1    error
  2    invalid command line
  3    the plan has changes, or the environment has drifted (only with --exit-code)
  4    check found faults
  5    applied, but not healthy
  6    conflict, or a stale plan
  130  interrupted
`

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use: "slipway", Short: "The bridge from a laptop cluster to production", Long: about,
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRun: func(c *cobra.Command, args []string) {
			a.started = true
			if err := a.trace.start(c, args); err != nil {
				a.warn("warning: no trace is sent: %v", err)
			}
		},
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: calledAs()},
	}
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetUsageTemplate(root.UsageTemplate() + exitCodes)
	f := root.PersistentFlags()
	f.StringVar(&a.dir, "dir", ".", "the project's directory")
	f.StringVar(&a.kubeconfig, "kubeconfig", "", "kubeconfig file (default $KUBECONFIG or ~/.kube/config)")
	f.StringVar(&a.context, "context", "", "kubeconfig context to use instead of the environment's")
	f.StringVarP(&a.namespace, "namespace", "n", "", "namespace to use instead of the environment's")
	f.BoolVarP(&a.quiet, "quiet", "q", false,
		"suppress progress and notes; warnings and errors are still printed")
	if err := root.RegisterFlagCompletionFunc("context", a.completeContexts); err != nil {
		panic(err) // the flag is added above
	}
	root.AddCommand(
		newInitCommand(a), newCheckCommand(a), newGuardCommand(a), newWhyCommand(a), newCompareCommand(a),
		newRenderCommand(a),
		newBuildCommand(a), newImageCommand(a), newTagsCommand(a), newPlanCommand(a), newDeployCommand(a),
		newPromoteCommand(a), newApproveCommand(a), newCICommand(a), newGitOpsCommand(a),
		newAgentCommand(a), newQuarantineCommand(a), newUICommand(a),
		newStatusCommand(a), newDriftCommand(a), newHistoryCommand(a), newRollbackCommand(a), newDeleteCommand(a),
		newSandboxCommand(a), newDocsCommand(a), newCompletionCommand(a), newVersionCommand(a),
	)
	completeArguments(a, root)
	return root
}
