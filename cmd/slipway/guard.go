package main

import (
	"cmp"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/check"
	"slipway/internal/object"
)

func newGuardCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "guard ENV", Short: "Print check rules as admission policies",
		Long: `Prints the check rules that concern a single object as ValidatingAdmissionPolicies, bound to
the environment's namespace. The API server then rejects objects with errors of "slipway check", and
warns about its warnings. A rule is left out if slipway.yaml has an exception from it that names neither
an object nor a field. guard contacts no cluster; apply the policies as a user who may create them:

  slipway guard prod | kubectl apply -f -`,
	}
	out := a.outputFlag(cmd, asYAML, asJSON)
	cmd.Args = a.envArgs(1)
	cmd.RunE = func(_ *cobra.Command, args []string) error { return runGuard(a, args[0], *out) }
	return cmd
}

func runGuard(a *app, name string, out format) error {
	p, err := a.projectOf(name)
	if err != nil {
		return err
	}
	env, err := p.Environment(name)
	if err != nil {
		return err
	}
	env.Namespace = cmp.Or(a.namespace, env.Namespace)
	policies, err := check.Policies(p, env, time.Now())
	if err != nil {
		return err
	}
	if out == asJSON {
		return jsonLines(a.stdout, policies)
	}
	return object.WriteYAML(a.stdout, policies)
}
