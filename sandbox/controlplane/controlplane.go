// Package controlplane runs etcd, kube-apiserver, kube-controller-manager and kube-scheduler, as
// they are upstream, in this process. Each can be started once in the life of a process: their
// metrics, feature gates and informer names are global.
package controlplane

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/component-base/version"

	"slipway/sandbox/kubeconfig"
	"slipway/sandbox/pki"
)

// Options are all needed.
type Options struct {
	Listener  net.Listener // of the API server
	Keys      pki.Keys     // with the Leaves
	Dir       string       // for etcd's data and the components' own kubeconfigs
	SocketDir string       // short, for etcd's socket
	Log       *os.File
	Progress  func(string)
}

// Certificates that the control plane and what stands beside it use.
const (
	leafServer      = "apiserver"
	leafToKubelet   = "apiserver-kubelet-client"
	leafToExtension = "front-proxy-client"
	leafControllers = "controllers"
	leafScheduler   = "scheduler"
	leafSandbox     = "sandbox"

	// Admin is the leaf of the person who may do everything.
	Admin = "admin"
	// Kubelet and Metrics are serving certificates for the simulated nodes and their metrics API.
	Kubelet = "kubelet"
	Metrics = "metrics"
)

const masters = "system:masters"

// Leaves are the certificates to have in Options.Keys.
func Leaves() []pki.Leaf {
	return []pki.Leaf{
		{Name: leafServer, CommonName: "kube-apiserver", DNSNames: []string{"kubernetes", "kubernetes.default",
			"kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}},
		{Name: Kubelet, CommonName: "sandbox-kubelet", DNSNames: []string{"sandbox-kubelet"}},
		// The aggregator asks for the name of the Service that an APIService points at.
		{Name: Metrics, CommonName: "sandbox-metrics", DNSNames: []string{"*.kube-system.svc"}},
		{Name: leafToKubelet, CommonName: "kube-apiserver-kubelet-client", Organizations: []string{masters}},
		{Name: leafToExtension, CommonName: "front-proxy-client", FrontProxy: true},
		{Name: Admin, CommonName: "sandbox-admin", Organizations: []string{masters}},
		// Without a service account for each controller, its bootstrap role is not enough.
		{Name: leafControllers, CommonName: "system:kube-controller-manager", Organizations: []string{masters}},
		{Name: leafScheduler, CommonName: "system:kube-scheduler"},
		{Name: leafSandbox, CommonName: "slipway-sandbox", Organizations: []string{masters}},
	}
}

// ControlPlane is one that runs.
type ControlPlane struct {
	// Config is for the simulated nodes. It may do everything.
	Config *rest.Config
	// Failed receives what a component ended with, unasked.
	Failed <-chan error

	options Options
	failed  chan error
	etcd    *embed.Etcd
	socket  string
	clients group // stop first,
	server  group // then the API server, then etcd
}

// group is a set of goroutines that end together.
type group struct {
	sync.WaitGroup
	ctx  context.Context
	stop context.CancelFunc
}

// Start returns when the API server is ready and the others run. The end of ctx ends the API
// server's clients, which go first in any case; Stop, needed after an error too, ends everything.
func Start(ctx context.Context, o Options) (*ControlPlane, error) {
	// Clients take their name from that of the program, when they are made, which for controllers is
	// late. It is what managedFields show: here the same as in any other cluster.
	os.Args[0] = "kube-controller-manager"
	failed := make(chan error, 8)
	c := &ControlPlane{options: o, failed: failed, Failed: failed}
	c.clients.ctx, c.clients.stop = context.WithCancel(ctx)
	c.server.ctx, c.server.stop = context.WithCancel(context.WithoutCancel(ctx))

	for _, leaf := range []string{leafControllers, leafScheduler, leafSandbox} {
		if err := c.writeKubeconfig(leaf); err != nil {
			return c, err
		}
	}
	var err error
	if c.Config, err = c.config(); err != nil {
		return c, err
	}
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"etcd", c.startEtcd},
		{"kube-apiserver", c.startAPIServer},
		{"kube-apiserver", c.until("/readyz")},
		// Not before, since it looks once a second whether the API server is healthy.
		{"kube-controller-manager", c.startControllers},
		{"kube-scheduler", c.startScheduler},
	} {
		if err := step.run(ctx); err != nil {
			return c, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return c, nil
}

// Clients is for what else in this process is a client of the API server, so that it ends before
// the server does.
func (c *ControlPlane) Clients() (context.Context, *sync.WaitGroup) {
	return c.clients.ctx, &c.clients.WaitGroup
}

// Stop ends everything. The API server would wait a minute for other people's watches, and etcd for
// the API server's streams; neither is waited for long, since what was acknowledged is on disk.
func (c *ControlPlane) Stop() {
	c.clients.end(3 * time.Second)
	c.server.end(1500 * time.Millisecond)
	if c.etcd == nil {
		return
	}
	closed := make(chan struct{})
	go func() { c.etcd.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(time.Second):
	}
}

func (g *group) end(patience time.Duration) {
	g.stop()
	done := make(chan struct{})
	go func() { g.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
	}
}

// run keeps a component running until its group is stopped.
func (c *ControlPlane) run(g *group, name string, f func(context.Context) error) {
	g.Go(func() {
		if err := f(g.ctx); g.ctx.Err() == nil {
			c.failed <- fmt.Errorf("%s ended: %v", name, err)
		}
	})
}

func (c *ControlPlane) url() string { return "https://" + c.options.Listener.Addr().String() }

func (c *ControlPlane) kubeconfig(leaf string) string {
	return filepath.Join(c.options.Dir, leaf+".kubeconfig")
}

func (c *ControlPlane) writeKubeconfig(leaf string) error {
	k := c.options.Keys
	return kubeconfig.Write(c.kubeconfig(leaf), kubeconfig.File{
		Server: c.url(), CAFile: k.Cert(pki.CA),
		Contexts: []kubeconfig.Context{{Name: leaf, User: leaf, CertFile: k.Cert(leaf), KeyFile: k.Key(leaf)}},
	})
}

func (c *ControlPlane) config() (*rest.Config, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig(leafSandbox))
	if err != nil {
		return nil, err
	}
	cfg.QPS, cfg.Burst = 200, 400
	cfg.ContentType = "application/vnd.kubernetes.protobuf"
	cfg.UserAgent = "kubelet/" + version.Get().GitVersion
	return cfg, nil
}

// until waits for a health endpoint of the API server.
func (c *ControlPlane) until(path string) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		hc, err := rest.HTTPClientFor(c.Config)
		if err != nil {
			return err
		}
		for {
			last := get(ctx, hc, c.url()+path)
			if last == nil {
				c.options.Progress("kube-apiserver answers " + path)
				return nil
			}
			select {
			case err := <-c.failed:
				return err
			case <-ctx.Done():
				return fmt.Errorf("wait for %s: %w: %w", path, ctx.Err(), last)
			case <-time.After(25 * time.Millisecond):
			}
		}
	}
}

func get(ctx context.Context, hc *http.Client, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := hc.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return err
}

// parse puts command-line flags into a component's options.
func parse(sets map[string]*pflag.FlagSet, args ...string) error {
	all := pflag.NewFlagSet("component", pflag.ContinueOnError)
	all.SetOutput(io.Discard)
	for _, s := range sets {
		all.AddFlagSet(s)
	}
	return all.Parse(args)
}
