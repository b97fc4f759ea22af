package main

import "slipway/internal/ci/gitops"

// gitopsRows explain why an environment cannot be handed to Argo CD or Flux.
var gitopsRows = []row{
	is("no remote", gitops.ErrNoRemote, codeError, "Pass the repository's address as --repo URL."),
	as("other tool cannot", codeError, always[*gitops.CannotError](
		"Change that setting, or deploy the environment with Slipway's agent: `slipway agent run --help`.")),
}
