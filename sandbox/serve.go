package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
	kubernetesversion "k8s.io/component-base/version"

	"slipway/sandbox/access"
	"slipway/sandbox/controlplane"
	"slipway/sandbox/datadir"
	"slipway/sandbox/gitserver"
	"slipway/sandbox/kubeconfig"
	"slipway/sandbox/node"
	"slipway/sandbox/pki"
	"slipway/sandbox/registry"
	"slipway/sandbox/tenant"
	"slipway/sandbox/volume"
)

const logLimit = 16 << 20

// sandbox is one in the making, and then one that runs.
type sandbox struct {
	options
	started       time.Time
	dir           *datadir.Dir
	log           *os.File
	people        *os.File
	api, reg, git net.Listener
	keys          pki.Keys
}

// serve runs until ctx ends or a component does. What people should know goes to people.
func serve(ctx context.Context, o options, people *os.File) error {
	// Nearly everything that a start allocates stays: collecting less often makes it faster.
	gc := debug.SetGCPercent(400)
	dir, err := datadir.Open(o.data)
	if err != nil {
		return err
	}
	defer dir.Close()
	log, err := dir.OpenLog("sandbox.log", logLimit)
	if err != nil {
		return err
	}
	defer log.Close()
	if err := divertStderr(log, people); err != nil {
		return err
	}
	if err := controlplane.RedirectLogs(ctx, log, o.verbosity); err != nil {
		return err
	}
	s := &sandbox{options: o, started: time.Now(), dir: dir, log: log, people: people}
	if err := s.listen(); err != nil {
		return err
	}
	if err := s.identities(); err != nil {
		return fmt.Errorf("keys and certificates: %w", err)
	}
	s.progress("keys and certificates are there")
	stopWeb, err := s.serveWeb(ctx)
	defer stopWeb()
	if err != nil {
		return err
	}
	return s.serveCluster(ctx, func() { debug.SetGCPercent(gc) })
}

func (s *sandbox) progress(line string) {
	fmt.Fprintf(s.people, "slipway-sandbox: %6.2fs %s\n", time.Since(s.started).Seconds(), line)
}

// listen opens the three ports, so that they are known before anything is written down.
func (s *sandbox) listen() error {
	last, err := s.dir.Ports()
	if err != nil {
		return err
	}
	for _, p := range []struct {
		name   string
		wanted int
		port   *int
		ln     *net.Listener
	}{
		{"API server", s.port, &last.API, &s.api},
		{"registry", s.registryPort, &last.Registry, &s.reg},
		{"Git server", s.gitPort, &last.Git, &s.git},
	} {
		ln, moved, err := datadir.Listen(p.wanted, *p.port)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		*p.ln = ln
		if moved {
			s.progress(fmt.Sprintf("port %d of the %s is taken by another program: it moves to %d, and the "+
				"kubeconfig is written anew",
				*p.port, p.name, datadir.Port(ln)))
		}
		*p.port = datadir.Port(ln)
	}
	return s.dir.SavePorts(last)
}

// identities makes the keys, and the kubeconfig for people.
func (s *sandbox) identities() error {
	leaves := controlplane.Leaves()
	for _, n := range tenant.Names {
		leaves = append(leaves, pki.Leaf{Name: tenant.User(n), CommonName: tenant.User(n)})
	}
	var err error
	if s.keys, err = pki.Ensure(s.dir.Join("pki"), leaves); err != nil {
		return err
	}
	f := kubeconfig.File{
		Server: s.state().Server,
		CAFile: s.keys.Cert(pki.CA),
		Sandbox: &kubeconfig.Sandbox{Registry: s.state().Registry, GitServer: s.state().GitServer,
			Data: s.dir.Join()},
	}
	for _, n := range tenant.Names {
		f.Contexts = append(f.Contexts, s.context(n, n, tenant.User(n)))
	}
	f.Contexts = append(f.Contexts, s.context("admin", "default", controlplane.Admin))
	return kubeconfig.Write(s.state().Kubeconfig, f)
}

func (s *sandbox) context(name, namespace, user string) kubeconfig.Context {
	return kubeconfig.Context{Name: name, Namespace: namespace, User: user, CertFile: s.keys.Cert(user),
		KeyFile: s.keys.Key(user)}
}

func (s *sandbox) state() datadir.State {
	return datadir.State{
		PID: os.Getpid(), StartedAt: s.started, Ready: true,
		Version: version, Kubernetes: kubernetesversion.Get().GitVersion,
		Server: "https://" + s.api.Addr().String(), Kubeconfig: s.dir.Join("kubeconfig"),
		Registry: s.reg.Addr().String(), RegistryUser: s.registryRule.User,
		GitServer: "http://" + s.git.Addr().String(),
		Nodes:     s.nodes, Log: s.dir.Join("sandbox.log"),
	}
}

// serveWeb starts the registry and the Git server. stop can be called in any case.
func (s *sandbox) serveWeb(ctx context.Context) (stop func(), err error) {
	logger := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	reg := registry.New(s.dir.Join("registry"), s.registryRule, logger)
	git, err := gitserver.New(ctx, s.dir.Join("git"), s.log)
	if errors.Is(err, gitserver.ErrNoGit) {
		s.progress(err.Error())
		err = nil
	}
	regServer := &http.Server{Handler: reg, ReadHeaderTimeout: 10 * time.Second}
	gitServer := &http.Server{Handler: git, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = regServer.Serve(s.reg) }()
	go func() { _ = gitServer.Serve(s.git) }()
	s.progress("registry at " + s.state().Registry + openness(s.registryRule) + ", Git server at " +
		s.state().GitServer)
	return func() {
		shutdown(ctx, regServer)
		shutdown(ctx, gitServer)
		if err := reg.Close(); err != nil {
			logger.Error("close the registry", "error", err)
		}
	}, err
}

func openness(r access.Rule) string {
	if r.User == "" {
		return ""
	}
	return " for " + r.User
}

// shutdown lets requests end, but no push of an hour hold up the stop.
func shutdown(ctx context.Context, s *http.Server) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if s.Shutdown(ctx) != nil {
		s.Close()
	}
}

// serveCluster runs the cluster. ready is called once, when everything is.
func (s *sandbox) serveCluster(ctx context.Context, ready func()) error {
	sockets, remove, err := datadir.SocketDir()
	if err != nil {
		return err
	}
	defer remove()
	cp, err := controlplane.Start(ctx, controlplane.Options{
		Listener: s.api, Keys: s.keys, Dir: s.dir.Join(), SocketDir: sockets, Log: s.log, Progress: s.progress,
	})
	defer cp.Stop()
	if err != nil {
		return s.interrupted(ctx, err)
	}
	if err := s.populate(ctx, cp); err != nil {
		return s.interrupted(ctx, err)
	}
	if err := s.dir.WriteState(s.state()); err != nil {
		return err
	}
	defer s.stopping()
	ready()
	s.progress("READY export KUBECONFIG=" + s.state().Kubeconfig)
	go returnMemory(ctx)
	select {
	case <-ctx.Done():
		return nil
	case err := <-cp.Failed:
		return err
	}
}

// interrupted: a start that a person broke off is no error of the sandbox.
func (s *sandbox) interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		s.progress("interrupted while starting")
		return nil
	}
	return fmt.Errorf("%w; see %s", err, s.state().Log)
}

func (s *sandbox) stopping() {
	if err := s.dir.RemoveState(); err != nil {
		s.progress(err.Error())
	}
	s.progress("stopping")
}

// populate adds what a cluster is used through: namespaces with users, and nodes.
func (s *sandbox) populate(ctx context.Context, cp *controlplane.ControlPlane) error {
	client, err := kubernetes.NewForConfig(cp.Config)
	if err != nil {
		return err
	}
	life, wg := cp.Clients()
	if err := volume.Start(life, wg, client); err != nil {
		return fmt.Errorf("volumes: %w", err)
	}
	var g errgroup.Group
	g.Go(func() error {
		if err := tenant.Ensure(ctx, client); err != nil {
			return err
		}
		s.progress("namespaces dev, staging and prod are there")
		return nil
	})
	g.Go(func() error {
		err := node.Start(life, wg, node.Options{
			Config: cp.Config, Count: s.nodes, Registry: s.state().Registry,
			CertFile: s.keys.Cert(controlplane.Kubelet), KeyFile: s.keys.Key(controlplane.Kubelet),
			ClientCAFile: s.keys.Cert(pki.CA), CAFile: s.keys.Cert(pki.CA),
			MetricsCertFile: s.keys.Cert(controlplane.Metrics), MetricsKeyFile: s.keys.Key(controlplane.Metrics),
			FrontProxyCAFile: s.keys.Cert(pki.FrontProxyCA),
		})
		if err != nil {
			return fmt.Errorf("simulated nodes: %w", err)
		}
		s.progress(fmt.Sprintf("%d simulated nodes are Ready", s.nodes))
		return nil
	})
	return g.Wait()
}
