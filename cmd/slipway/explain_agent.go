package main

import (
	"fmt"

	"slipway/internal/agent"
	"slipway/internal/agent/install"
	"slipway/internal/cluster"
	"slipway/internal/deploy"
	"slipway/internal/release"
)

// agentRows explain errors of the agent, and of what it holds back.
var agentRows = []row{
	as("quarantined", codeError, func(e *deploy.QuarantinedError) string {
		return fmt.Sprintf("Deploy a fix, or run `slipway quarantine lift %s %d --reason TEXT` if the "+
			"release was not the cause of the failure.", e.Environment, e.Release.Revision)
	}),
	as("kept", codeError, func(e *deploy.KeptError) string {
		act := fmt.Sprintf("Run `%s`, and pass", e.Keeper.Stop)
		if e.Keeper.IsSuspended() {
			act = "Pass"
		}
		return act + " --take-over, or set `takeOver: true` in the agent's configuration. Nothing was changed."
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
	as("no agent", codeError, always[*agent.NoAnswerError](
		"Pass the agent's address as --address HOST:PORT: it is \"listen\" in its configuration. For an agent in "+
			"a cluster, pass --context.")),
	as("no agent in the cluster", codeError, func(e *cluster.NoServiceError) string {
		return fmt.Sprintf("Run `kubectl --namespace %s get pods` to see why, or pass the --namespace and the "+
			"--name that the agent was installed with.", e.Service.Namespace)
	}),
	as("agent denied", codeError, func(e *agent.DeniedError) string {
		return fmt.Sprintf("Have an administrator run `kubectl --namespace %s create role ask-agent --verb=get "+
			"--resource=services/proxy --resource-name=%s:http` and bind that role to you.", e.Namespace, e.Name)
	}),
}
