package deploy

import (
	"errors"
	"fmt"
	"slices"

	"slipway/internal/cluster"
	"slipway/internal/project"
	"slipway/internal/rollout"
)

// ConnectOptions say how to reach the clusters. The zero value reads KUBECONFIG as kubectl does.
type ConnectOptions struct {
	// Kubeconfig is a file. Empty: KUBECONFIG and ~/.kube/config.
	Kubeconfig string
	// Context and Namespace replace those of the environment.
	Context, Namespace string
	// Account is a ServiceAccount of the namespace to act as; empty: act as the user.
	Account string
	// InCluster is where the ServiceAccount of a pod is mounted. Where there is neither a Context nor a
	// kubeconfig, the target is the cluster of the pod. Empty: never, because a CI job may run in a pod of
	// another cluster.
	InCluster string
	// Warn receives each warning of the API server once. Nil drops them.
	Warn func(text string)
	// Count is called with the method and the status of each try of a request; 0: no answer came. It may be
	// nil.
	Count func(method string, status int)
	// Shared are the connections of other targets with the same Warn and Count; nil: the target has its own.
	Shared *cluster.Connections
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

// NoNamespaceError says that nothing states the namespace of an environment in the cluster of the pod.
type NoNamespaceError struct{ Environment string }

func (e *NoNamespaceError) Error() string {
	return fmt.Sprintf("environment %s has no namespace: without a kubeconfig, set `namespace` in the agent's "+
		"configuration or under environments.%s in slipway.yaml", e.Environment, e.Environment)
}

// Connect returns the target of one environment. It sends nothing over the network. The context is that of
// the options, of the environment, or the one with the environment's name; never the current context of the
// kubeconfig, which is wherever the user worked last.
func Connect(src project.Source, env project.Environment, o ConnectOptions) (Target, error) {
	judge, err := rollout.NewJudge(src.Project)
	if err != nil {
		return Target{}, err
	}
	t, err := reach(src, env, o)
	t.Judge = judge
	return t, err
}

// ConnectToBuild returns a target to build for. Its cluster may be missing: a build needs the kubeconfig only
// to recognise a sandbox, whose registry stands for all others. A context that the options name must exist.
func ConnectToBuild(src project.Source, env project.Environment, o ConnectOptions) (Target, error) {
	t, err := Connect(src, env, o)
	var (
		unnamed *NoContextError
		unknown *cluster.UnknownContextError
	)
	if o.Context == "" && (errors.As(err, &unnamed) || errors.As(err, &unknown)) {
		return Target{Source: src, Environment: env}, nil
	}
	return t, err
}

// Mirror is the registry that stands for all others in the cluster of a context; empty where the cluster is
// not a sandbox, or no context is named.
func Mirror(o ConnectOptions) (string, error) {
	if o.Context == "" {
		return "", nil
	}
	c, err := cluster.Open(cluster.Options{Kubeconfig: o.Kubeconfig, Context: o.Context})
	if err != nil {
		return "", err
	}
	sandbox, _ := c.Sandbox()
	return sandbox.Registry, nil
}

func reach(src project.Source, env project.Environment, o ConnectOptions) (Target, error) {
	aside := o.Namespace != "" || env.Namespace == ""
	if o.Namespace != "" {
		env.Namespace = o.Namespace
	}
	if o.Context != "" {
		env.Context = o.Context
	}
	if o.InCluster != "" && o.Context == "" && !cluster.HasKubeconfig(o.Kubeconfig) {
		return connectInCluster(src, env, aside, o)
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
		Kubeconfig: o.Kubeconfig, Context: env.Context, Namespace: env.Namespace, Account: o.Account,
		Warn: o.Warn, Count: o.Count, Shared: o.Shared,
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

// connectInCluster returns a target in the cluster of the pod. The context of the project is a name in the
// kubeconfigs of its developers: the configuration of the agent chooses the environments of its cluster.
func connectInCluster(
	src project.Source, env project.Environment, aside bool, o ConnectOptions,
) (Target, error) {
	c, err := cluster.OpenInCluster(o.InCluster, cluster.Options{
		Namespace: env.Namespace, Account: o.Account, Warn: o.Warn, Count: o.Count, Shared: o.Shared,
	})
	if err != nil {
		return Target{}, err
	}
	if env.Namespace == "" { // that of the agent is another one's
		return Target{}, &NoNamespaceError{Environment: env.Name}
	}
	return Target{Source: src, Environment: env, Cluster: c, Aside: aside}, nil
}

// ConnectLease returns the cluster and namespace of an agent's Lease: those of a kubeconfig context, or of
// the pod where there is neither a context nor a kubeconfig. It sends nothing over the network.
func ConnectLease(context, namespace string, o ConnectOptions) (*cluster.Cluster, error) {
	if context == "" && !cluster.HasKubeconfig(o.Kubeconfig) {
		return cluster.OpenInCluster(o.InCluster, cluster.Options{
			Namespace: namespace, Warn: o.Warn, Count: o.Count,
		})
	}
	return cluster.Open(cluster.Options{
		Kubeconfig: o.Kubeconfig, Context: context, Namespace: namespace, Warn: o.Warn, Count: o.Count,
	})
}
