package deploy

import (
	"fmt"
	"slices"

	"slipway/internal/cluster"
	"slipway/internal/project"
)

// ConnectOptions say how to reach the clusters. The zero value reads KUBECONFIG as kubectl does.
type ConnectOptions struct {
	// Kubeconfig is a file. Empty: KUBECONFIG and ~/.kube/config.
	Kubeconfig string
	// Context and Namespace replace those of the environment.
	Context, Namespace string
	// Warn receives each warning of the API server once. Nil drops them.
	Warn func(text string)
}

// NoContextError says that an environment does not set a kubeconfig context, and no context has its name.
type NoContextError struct {
	Environment string
	Known       []string
}

func (e *NoContextError) Error() string {
	return fmt.Sprintf("environment %s does not set a kubeconfig context, and no context is named %q",
		e.Environment, e.Environment)
}

// Connect returns the target of one environment. It sends nothing over the network. The context is that of
// the options, of the environment, or the one with the environment's name; never the current context of the
// kubeconfig, which is wherever the user worked last.
func Connect(src project.Source, env project.Environment, o ConnectOptions) (Target, error) {
	aside := o.Namespace != "" || env.Namespace == ""
	if o.Namespace != "" {
		env.Namespace = o.Namespace
	}
	if o.Context != "" {
		env.Context = o.Context
	}
	if env.Context == "" {
		known, err := cluster.Contexts(o.Kubeconfig)
		if err != nil {
			return Target{}, err
		}
		if !slices.Contains(known, env.Name) {
			return Target{}, &NoContextError{Environment: env.Name, Known: known}
		}
		env.Context = env.Name
	}
	c, err := cluster.Open(cluster.Options{
		Kubeconfig: o.Kubeconfig, Context: env.Context, Namespace: env.Namespace, Warn: o.Warn,
	})
	if err != nil {
		return Target{}, err
	}
	t := Target{Source: src, Environment: env, Cluster: c, Aside: aside}
	if sandbox, ok := c.Sandbox(); ok {
		t.Mirror = sandbox.Registry
	}
	return t, nil
}
