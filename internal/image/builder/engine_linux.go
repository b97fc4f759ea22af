package builder

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/defaults"
	"github.com/containerd/containerd/v2/plugins/snapshots/native"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay/overlayutils"
	"github.com/moby/buildkit/cache/remotecache"
	"github.com/moby/buildkit/cache/remotecache/inline"
	localcache "github.com/moby/buildkit/cache/remotecache/local"
	registrycache "github.com/moby/buildkit/cache/remotecache/registry"
	"github.com/moby/buildkit/client"
	bkconfig "github.com/moby/buildkit/cmd/buildkitd/config"
	"github.com/moby/buildkit/control"
	"github.com/moby/buildkit/executor/oci"
	"github.com/moby/buildkit/frontend"
	dockerfile "github.com/moby/buildkit/frontend/dockerfile/builder"
	"github.com/moby/buildkit/frontend/gateway/forwarder"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/bboltcachestorage"
	"github.com/moby/buildkit/util/db/boltutil"
	"github.com/moby/buildkit/util/grpcerrors"
	"github.com/moby/buildkit/util/network/netproviders"
	"github.com/moby/buildkit/worker"
	"github.com/moby/buildkit/worker/base"
	"github.com/moby/buildkit/worker/runc"
	"github.com/sirupsen/logrus"
	bolt "go.etcd.io/bbolt"
	"go.opentelemetry.io/otel/metric/noop"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
)

// The file descriptors of the child, in the order of spawn.
const (
	connFD = 3 + iota
	lockFD
	statusFD
)

// secondExec is the argument after the configuration in the second exec of the child.
const secondExec = "mapped"

// Engine runs BuildKit in this process for the parent process. It serves the one inherited connection, and
// returns when that is closed or ctx is done.
func Engine(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New(EngineArg + " is run only by slipway itself")
	}
	var cfg engineConfig
	if err := json.Unmarshal([]byte(args[0]), &cfg); err != nil {
		return fmt.Errorf("read engine configuration: %w", err)
	}
	if cfg.Rootless && len(args) == 1 {
		return becomeRoot(cfg)
	}
	for _, fd := range []int{connFD, lockFD, statusFD} {
		unix.CloseOnExec(fd) // a RUN step must not inherit them
	}
	status := os.NewFile(statusFD, "status")
	st, err := serve(ctx, cfg, status)
	if err != nil {
		st.Error = err.Error()
		return errors.Join(err, tell(status, st))
	}
	return nil
}

// becomeRoot waits until the parent has mapped our ids, and runs this program again: the first exec in a new
// user namespace has an unmapped id and loses every capability.
func becomeRoot(cfg engineConfig) error {
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	// Without these, runc keeps its state in /run, which we cannot write.
	run := filepath.Join(cfg.State, "run")
	err := errors.Join(os.MkdirAll(run, 0o700), os.Setenv("XDG_RUNTIME_DIR", run), os.Setenv("USER", "slipway"))
	if err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", append(os.Args, secondExec), os.Environ())
}

func tell(status *os.File, st engineStatus) error {
	return errors.Join(json.NewEncoder(status).Encode(st), status.Close())
}

func serve(ctx context.Context, cfg engineConfig, status *os.File) (st engineStatus, err error) {
	logrus.SetOutput(os.Stderr) // the parent made this a file
	logrus.SetLevel(logrus.WarnLevel)
	// Before the first mount, so that none is visible outside.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return st, fmt.Errorf("make mounts private: %w", err)
	}
	listener, err := inherited(connFD)
	if err != nil {
		return st, err
	}
	w, st, err := newWorker(ctx, cfg)
	if err != nil {
		return st, err
	}
	stopping := make(chan struct{})
	ctrl, err := newController(ctx, cfg, w, stopping)
	if err != nil {
		return st, err
	}
	srv := grpc.NewServer(
		grpc.ChainUnaryInterceptor(grpcerrors.UnaryServerInterceptor),
		grpc.StreamInterceptor(grpcerrors.StreamServerInterceptor),
		grpc.MaxRecvMsgSize(defaults.DefaultMaxRecvMsgSize), grpc.MaxSendMsgSize(defaults.DefaultMaxSendMsgSize))
	ctrl.Register(srv)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	if err := tell(status, st); err != nil {
		return st, err
	}
	select {
	case <-ctx.Done():
	case <-listener.gone:
	}
	time.AfterFunc(stopTime, func() { os.Exit(1) })
	close(stopping)
	srv.Stop()
	<-served
	// BuildKit collects garbage a second after each build. Often this process has ended by then.
	err = collect(context.WithoutCancel(ctx), w)
	// The controller closes the workers too. Closing them twice panics.
	return st, errors.Join(err, ctrl.Close())
}

func newWorker(ctx context.Context, cfg engineConfig) (*base.Worker, engineStatus, error) {
	st := engineStatus{Snapshotter: "native"}
	if overlayutils.Supported(cfg.State) == nil {
		st.Snapshotter = "overlayfs"
	}
	factory := runc.SnapshotterFactory{Name: st.Snapshotter,
		New: func(root string) (snapshots.Snapshotter, error) {
			if st.Snapshotter == "native" {
				return native.NewSnapshotter(root)
			}
			return overlay.NewSnapshotter(root, overlay.AsynchronousRemove)
		}}
	binary, reason := findRuntime(ctx)
	reason = cmp.Or(reason, cfg.OneID)
	st.NoRuntime = reason
	if binary == "" {
		binary = "/proc/self/exe" // some binary must be named, though none is run
	}
	opt, err := runc.NewWorkerOpt(cfg.State, factory, cfg.Rootless, oci.ProcessSandbox, nil, nil,
		netproviders.Opt{Mode: "host"}, nil, binary, "", false, nil, "", "", nil)
	if err != nil {
		return nil, st, err
	}
	if reason != "" {
		opt.Executor = refuse{}
	}
	opt.RegistryHosts = registryHosts(cfg.Mirrors)
	opt.GCPolicy = []client.PruneInfo{{All: true, MaxUsedSpace: cfg.MaxCache, ReservedSpace: cfg.MaxCache / 10}}
	w, err := base.NewWorker(ctx, opt)
	return w, st, err
}

func newController(ctx context.Context, cfg engineConfig, w *base.Worker, stopping <-chan struct{}) (
	*control.Controller, error) {
	sessions, err := session.NewManager()
	if err != nil {
		return nil, err
	}
	workers := &worker.Controller{}
	if err := workers.Add(w); err != nil {
		return nil, err
	}
	cache, err := bboltcachestorage.NewStore(filepath.Join(cfg.State, "cache.db"))
	if err != nil {
		return nil, err
	}
	history, err := boltutil.SafeOpen(filepath.Join(cfg.State, "history.db"), 0o600,
		&bolt.Options{FreelistType: bolt.FreelistMapType, NoFreelistSync: true})
	if err != nil {
		return nil, err
	}
	keep := int64(20)
	hosts := registryHosts(cfg.Mirrors)
	return control.NewController(control.Opt{
		SessionManager:   sessions,
		WorkerController: workers,
		Frontends: map[string]frontend.Frontend{
			// Without gateway.v0, which pulls and runs an image as the front end.
			"dockerfile.v0": forwarder.NewGatewayForwarder(workers.Infos(), dockerfile.Build),
		},
		ResolveCacheExporterFuncs: map[string]remotecache.ResolveCacheExporterFunc{
			"registry": registrycache.ResolveCacheExporterFunc(sessions, hosts),
			"local":    localcache.ResolveCacheExporterFunc(sessions),
			"inline":   inline.ResolveCacheExporterFunc(),
		},
		ResolveCacheImporterFuncs: map[string]remotecache.ResolveCacheImporterFunc{
			"registry": registrycache.ResolveCacheImporterFunc(sessions, w.ContentStore(), hosts),
			"local":    localcache.ResolveCacheImporterFunc(sessions),
		},
		CacheManager:   solver.NewCacheManager(ctx, "local", cache, worker.NewCacheResultStorage(workers)),
		MeterProvider:  noop.NewMeterProvider(),
		HistoryDB:      history,
		HistoryConfig:  &bkconfig.HistoryConfig{MaxEntries: &keep},
		CacheStore:     cache,
		LeaseManager:   w.LeaseManager(),
		ContentStore:   w.ContentStore(),
		GarbageCollect: w.GarbageCollect,
		GracefulStop:   stopping,
	})
}

func collect(ctx context.Context, w *base.Worker) error {
	ch := make(chan client.UsageInfo)
	drained := make(chan struct{})
	go func() {
		for range ch {
		}
		close(drained)
	}()
	err := w.Prune(ctx, ch, w.GCPolicy()...)
	close(ch)
	<-drained
	return err
}

// registryHosts returns the mirror of a host first, then the host. All share one client, because BuildKit's
// authorizer uses the client of the first for all.
func registryHosts(mirrors map[string]string) docker.RegistryHosts {
	hc := &http.Client{Transport: Transport()}
	entry := func(host string, can docker.HostCapabilities) docker.RegistryHost {
		scheme := "https"
		if PlainHTTP(host) {
			scheme = "http"
		}
		return docker.RegistryHost{Client: hc, Scheme: scheme, Host: host, Path: "/v2", Capabilities: can}
	}
	const pull = docker.HostCapabilityPull | docker.HostCapabilityResolve
	return func(host string) ([]docker.RegistryHost, error) {
		var hosts []docker.RegistryHost
		mirror, ok := mirrors[host]
		if !ok {
			mirror = mirrors["*"]
		}
		if mirror != "" && mirror != host {
			hosts = append(hosts, entry(mirror, pull))
		}
		if host == "docker.io" {
			host = "registry-1.docker.io"
		}
		return append(hosts, entry(host, pull|docker.HostCapabilityPush)), nil
	}
}

// inherited is a listener for the one inherited connection.
func inherited(fd uintptr) (*oneConn, error) {
	f := os.NewFile(fd, "connection")
	c, err := net.FileConn(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("take over the connection: %w", err)
	}
	l := &oneConn{conns: make(chan net.Conn, 1), gone: make(chan struct{})}
	l.conns <- &watched{Conn: c, closed: l.end}
	return l, nil
}

type oneConn struct {
	conns chan net.Conn
	gone  chan struct{}
	once  sync.Once
}

func (l *oneConn) end() { l.once.Do(func() { close(l.gone) }) }

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.gone:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error { l.end(); return nil }

func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// watched signals when the server closes the connection, which it does after the other side has ended.
type watched struct {
	net.Conn
	closed func()
}

func (w *watched) Close() error {
	defer w.closed()
	return w.Conn.Close()
}
