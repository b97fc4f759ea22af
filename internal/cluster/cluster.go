// Package cluster talks to the API server, and is the only package that does: it observes, applies,
// deletes, waits, and keeps locks and records there. It decides nothing: what should change comes
// from package plan, who consents from package deploy.
package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	_ "k8s.io/client-go/plugin/pkg/client/auth/oidc" // kubeconfigs with an OpenID Connect provider
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	clientapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/klog/v2"
)

// Manager is the field manager of everything that we apply.
const Manager = "slipway"

// sandboxExtension is the kubeconfig extension by which a cluster says that it is a sandbox.
const sandboxExtension = "slipway.dev/sandbox"

// quiet keeps client-go from writing to standard error by itself: what it complains about comes
// back as errors too.
var quiet = sync.OnceFunc(func() { klog.SetLogger(logr.Discard()) })

// Options says which cluster to open.
type Options struct {
	// Kubeconfig is a file. Empty: KUBECONFIG and ~/.kube/config, as kubectl reads them.
	Kubeconfig string
	Context    string
	// Namespace replaces the context's own.
	Namespace string
	// Warn receives what the API server warns about, each text once. Nil drops it.
	Warn func(text string)
}

// Cluster is one kubeconfig context: an API server, who we are there, and a namespace.
type Cluster struct {
	context   string
	server    string
	user      string
	namespace string
	sandbox   *Sandbox

	dynamic   dynamic.Interface
	typed     kubernetes.Interface
	discovery discovery.CachedDiscoveryInterface
	mapper    meta.ResettableRESTMapper

	discovered struct {
		sync.Mutex
		at time.Time // when the kinds that the server serves were last asked for
	}
	// answered is set once the server has answered: from then on a lost connection is worth
	// waiting for, before it the address is just wrong.
	answered atomic.Bool
}

// Sandbox is what a sandbox's kubeconfig entry says about the services beside it.
type Sandbox struct {
	// Registry is the host and port that stands for every registry host.
	Registry string `json:"registry"`
	// GitServer is a URL.
	GitServer string `json:"gitserver"`
}

// Open reads the kubeconfig and prepares the clients. It sends nothing over the network.
func Open(o Options) (*Cluster, error) {
	quiet()
	raw, err := load(o.Kubeconfig)
	if err != nil {
		return nil, err
	}
	entry, ok := raw.Contexts[o.Context]
	if !ok {
		return nil, &UnknownContextError{Context: o.Context, Known: known(raw)}
	}
	cfg, err := clientcmd.NewNonInteractiveClientConfig(*raw, o.Context, &clientcmd.ConfigOverrides{}, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig context %q: %w", o.Context, err)
	}
	c := &Cluster{context: o.Context, server: cfg.Host, user: entry.AuthInfo, namespace: o.Namespace}
	if c.namespace == "" {
		c.namespace = entry.Namespace
	}
	if c.namespace == "" {
		c.namespace = "default"
	}
	if c.sandbox, err = sandboxOf(raw.Clusters[entry.Cluster]); err != nil {
		return nil, fmt.Errorf("kubeconfig context %q: %w", o.Context, err)
	}
	return c, c.connect(cfg, o.Warn)
}

// Contexts are the names of the kubeconfig's contexts, sorted.
func Contexts(kubeconfig string) ([]string, error) {
	raw, err := load(kubeconfig)
	if err != nil {
		return nil, err
	}
	return known(raw), nil
}

// Context is the kubeconfig context's name.
func (c *Cluster) Context() string { return c.context }

// Server is the API server's URL.
func (c *Cluster) Server() string { return c.server }

// Namespace is where objects go that name none, and where records and locks are kept.
func (c *Cluster) Namespace() string { return c.namespace }

// Sandbox is what the kubeconfig says about the sandbox that this cluster is part of, if it is one.
func (c *Cluster) Sandbox() (Sandbox, bool) {
	if c.sandbox == nil {
		return Sandbox{}, false
	}
	return *c.sandbox, true
}

func (c *Cluster) connect(cfg *rest.Config, warn func(string)) error {
	cfg.QPS, cfg.Burst = 200, 400 // what is in flight at once is bounded by each
	cfg.UserAgent = Manager
	cfg.Dial = dial
	cfg.WarningHandlerWithContext = &warner{to: warn}
	var err error
	if c.dynamic, err = dynamic.NewForConfig(cfg); err != nil {
		return fmt.Errorf("kubeconfig context %q: %w", c.context, err)
	}
	typed, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return fmt.Errorf("kubeconfig context %q: %w", c.context, err)
	}
	c.typed = typed
	c.discovery = memory.NewMemCacheClient(typed.Discovery())
	c.mapper = restmapper.NewDeferredDiscoveryRESTMapper(c.discovery)
	return nil
}

// dial gives up sooner than the default half minute, and knows that *.localhost is this machine,
// which Go's own resolver does not.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err == nil && strings.HasSuffix(host, ".localhost") {
		address = net.JoinHostPort("localhost", port)
	}
	d := net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return d.DialContext(ctx, network, address)
}

func load(kubeconfig string) (*clientapi.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	rules.WarnIfAllMissing = false
	raw, err := rules.Load()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	return raw, nil
}

func known(raw *clientapi.Config) []string {
	names := make([]string, 0, len(raw.Contexts))
	for name := range raw.Contexts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

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
