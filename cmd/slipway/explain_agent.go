package main

import (
	"fmt"

	"slipway/internal/agent/install"
	"slipway/internal/cluster"
	"slipway/internal/deploy"
	"slipway/internal/release"
)

// agentRows explain errors of the agent, and of what it holds back.
var agentRows = []row{
	as("quarantined", codeError, func(e *deploy.QuarantinedError) string {
		return fmt.Sprintf("Deploy others, or run `slipway quarantine lift %s %d --reason TEXT` if these "+
			"are right after all.", e.Environment, e.Release.Revision)
	}),
	as("kept", codeError, func(e *deploy.KeptError) string {
		return fmt.Sprintf("Run `%s`, and pass --take-over, or set `takeOver: true` in the agent's configuration. "+
			"Nothing was changed.", e.Keeper.Stop)
	}),
	as("barrier", codeError, func(e *deploy.BarrierError) string {
		return fmt.Sprintf("Deploy a fix, or run `slipway rollback %s %d --cross-barrier` if the older release "+
			"works with the changed data.", e.Environment, e.To)
	}),
	is("not held", release.ErrNotHeld, codeError,
		"Run `slipway quarantine list ENV` to see the releases in quarantine."),
	as("agent file", codeError, always[*agentFileError](
		"Run `slipway agent run --help` for the keys of the configuration.")),
	as("not in cluster", codeError, always[*cluster.NotInClusterError](
		"Set KUBECONFIG or pass --kubeconfig, or run the agent in a pod: `slipway agent install ENV` prints "+
			"its manifests.")),
	as("install", codeUsage, always[*install.InvalidError](
		"Run `slipway agent install --help` for an example.")),
	as("no git credentials", codeUsage, func(e *install.NoCredentialsError) string {
		return fmt.Sprintf("Run `%s`, and pass --git-credentials git.", e.Create)
	}),
	as("no agent", codeError, always[*noAgentError](
		"Pass the agent's address as --address HOST:PORT: it is \"listen\" in its configuration. For an agent in "+
			"a cluster, run `kubectl --namespace slipway port-forward deployment/slipway-agent 9090` first.")),
}
