package main

import (
	"cmp"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/check"
	"slipway/internal/object"
)

// noNamespaceError says that nothing names the namespace in which policies are to hold.
type noNamespaceError struct{ Environment string }

func (e *noNamespaceError) Error() string {
	return fmt.Sprintf("environment %s names no namespace: policies hold in one", e.Environment)
}

func newGuardCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "guard ENV", Short: "Print check's rules as policies for the API server",
		Long: `Prints the rules over one object that hold for an environment as ValidatingAdmissionPolicies with
their bindings to its namespace: the API server then refuses what "slipway check" calls an error, and
warns of what it calls a warning. Exceptions in slipway.yaml that name no object and no field leave
their rule out. It asks no cluster; who may make policies applies them:

  slipway guard prod | kubectl apply -f -`,
	}
	out := outputFlag(cmd, asYAML, asJSON)
	cmd.Args = a.envArgs(1)
	cmd.RunE = func(_ *cobra.Command, args []string) error { return runGuard(a, args[0], *out) }
	return cmd
}

func runGuard(a *app, name string, out format) error {
	p, err := a.project()
	if err != nil {
		return err
	}
	env, err := p.Environment(name)
	if err != nil {
		return err
	}
	namespace := cmp.Or(a.namespace, env.Namespace)
	if namespace == "" {
		return &noNamespaceError{name}
	}
	rules, err := check.LoadRules(p.Dir, p.Rules)
	if err != nil {
		return err
	}
	policies := rules.Policies(namespace, env.Class, p.ExceptedRules(name, time.Now())...)
	if out == asJSON {
		return a.jsonLines(policies)
	}
	return object.WriteYAML(a.stdout, policies)
}
