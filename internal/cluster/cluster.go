// Package cluster is the access to the API server: it discovers, observes, applies and deletes objects, asks
// for permissions, and reads and writes Leases and Secrets. It does not decide what changes (package plan)
// and does not wait for health (package rollout).
package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	_ "k8s.io/client-go/plugin/pkg/client/auth/oidc" // kubeconfigs with an OpenID Connect provider
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/klog/v2"
)

// Manager is the field manager of every apply.
const Manager = "slipway"

// sandboxExtension is the kubeconfig extension that marks a cluster as a sandbox.
const sandboxExtension = "slipway.dev/sandbox"

// quiet keeps client-go from logging to stderr. It returns the same facts as errors.
var quiet = sync.OnceFunc(func() { klog.SetLogger(logr.Discard()) })

// Options says which cluster to open.
type Options struct {
	// Kubeconfig is a file. Empty: KUBECONFIG and ~/.kube/config, as kubectl reads them.
	Kubeconfig string
	Context    string
	// Namespace replaces the context's own.
	Namespace string
	// Account is a ServiceAccount of the namespace to act as; empty: act as the user.
	Account string
	// Count is called with the method and the status of each try of a request; 0: no answer came. It may be
	// nil.
	Count func(method string, status int)
	// Warn receives each warning of the API server once. Nil drops them.
	Warn func(text string)
	// Shared are the connections of other clusters. Those who share also have the same Count and Warn. Nil: the
	// cluster has connections of its own.
	Shared *Connections
}

// Cluster is one kubeconfig context, or the cluster of the pod: an API server, a user and a namespace.
type Cluster struct {
	*link
	context, user, namespace string
	sandbox                  *Sandbox
	account                  *account // nil: the user acts
	// impersonate makes the link of somebody else, by the user's own right to act as others.
	impersonate func(rest.ImpersonationConfig) (*link, error)
	opened      time.Time
}

// Sandbox describes the services beside a sandbox, from its kubeconfig entry.
type Sandbox struct {
	// Registry is a host and port that stands for every registry.
	Registry string `json:"registry"`
	// GitServer is a URL.
	GitServer string `json:"gitserver"`
}

// Open reads the kubeconfig and prepares the clients. It sends nothing over the network.
func Open(o Options) (*Cluster, error) {
	raw, err := load(o.Kubeconfig)
	if err != nil {
		return nil, err
	}
	entry, ok := raw.Contexts[o.Context]
	if !ok {
		return nil, &UnknownContextError{Context: o.Context, Known: known(raw)}
	}
	c := &Cluster{context: o.Context, user: entry.AuthInfo, namespace: cmp.Or(o.Namespace,
		entry.Namespace, "default"), opened: time.Now()}
	cfg, err := clientcmd.NewNonInteractiveClientConfig(*raw, o.Context, &clientcmd.ConfigOverrides{},
		nil).ClientConfig()
	if err == nil {
		c.sandbox, err = sandboxOf(raw.Clusters[entry.Cluster])
	}
	var credentials any
	if err == nil {
		credentials, err = credentialsOf(raw.Clusters[entry.Cluster], raw.AuthInfos[entry.AuthInfo])
	}
	if err == nil {
		err = connect(c, cfg, o, credentials)
	}
	if err != nil {
		return nil, fmt.Errorf("kubeconfig context %q: %w", o.Context, err)
	}
	return c, nil
}

// Contexts returns the names of the contexts in the kubeconfig, sorted.
func Contexts(kubeconfig string) ([]string, error) {
	raw, err := load(kubeconfig)
	if err != nil {
		return nil, err
	}
	return known(raw), nil
}

// CurrentContext returns the current context of the kubeconfig; empty: it has none.
func CurrentContext(kubeconfig string) (string, error) {
	raw, err := load(kubeconfig)
	if err != nil {
		return "", err
	}
	return raw.CurrentContext, nil
}

// Namespace returns the namespace of objects that name none, and of records and locks.
func (c *Cluster) Namespace() string { return c.namespace }

// Server returns the address of the API server.
func (c *Cluster) Server() string { return c.server }

// Typed returns the typed client, for pods, events and logs.
func (c *Cluster) Typed() kubernetes.Interface { return c.typed }

// Sandbox returns the services of the sandbox that this cluster belongs to; false for any other cluster.
func (c *Cluster) Sandbox() (Sandbox, bool) {
	if c.sandbox == nil {
		return Sandbox{}, false
	}
	return *c.sandbox, true
}

// connect gives a cluster its link: that of the user, or that of the ServiceAccount which the user acts as.
func connect(c *Cluster, cfg *rest.Config, o Options, credentials any) (err error) {
	c.impersonate = func(as rest.ImpersonationConfig) (*link, error) {
		cfg := rest.CopyConfig(cfg)
		cfg.Impersonate = as
		return o.Shared.reach(cfg, o, credentials)
	}
	if c.link, err = o.Shared.reach(cfg, o, credentials); err != nil || o.Account == "" {
		return err
	}
	c.account = &account{namespace: c.namespace, name: o.Account, self: c.link}
	c.user = c.account.username()
	c.link, err = c.impersonate(rest.ImpersonationConfig{UserName: c.user})
	return err
}

// dial has a shorter timeout than the default of 30 seconds, and resolves *.localhost, which Go does not.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err == nil && strings.HasSuffix(host, ".localhost") {
		address = net.JoinHostPort("localhost", port)
	}
	d := net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return d.DialContext(ctx, network, address)
}

func load(kubeconfig string) (*clientapi.Config, error) {
	quiet()
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	raw, err := rules.Load()
	if err != nil {
		return nil, &KubeconfigError{Err: err}
	}
	return raw, nil
}

func known(raw *clientapi.Config) []string { return slices.Sorted(maps.Keys(raw.Contexts)) }

func sandboxOf(entry *clientapi.Cluster) (*Sandbox, error) {
	if entry == nil {
		return nil, nil
	}
	ext, ok := entry.Extensions[sandboxExtension].(*runtime.Unknown)
	if !ok {
		return nil, nil
	}
	var s Sandbox
	if err := json.Unmarshal(ext.Raw, &s); err != nil {
		return nil, fmt.Errorf("extension %s: %w", sandboxExtension, err)
	}
	return &s, nil
}

// warner passes on each warning of the API server once.
type warner struct {
	to   func(string)
	mu   sync.Mutex
	seen map[string]bool
}

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext. 299 is the only code
// that the API server uses.
func (w *warner) HandleWarningHeaderWithContext(_ context.Context, code int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.to == nil || code != 299 || text == "" || w.seen[text] {
		return
	}
	if w.seen == nil {
		w.seen = map[string]bool{}
	}
	w.seen[text] = true
	w.to(text)
}
