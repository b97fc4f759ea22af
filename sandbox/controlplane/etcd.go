package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// A lone member waits one election before it leads, so both are short.
const etcdTick, etcdElection = 25, 250

// startEtcd listens on one unix socket only: a loopback port without client certificates would let
// any local user rewrite the cluster.
func (c *ControlPlane) startEtcd(ctx context.Context) error {
	client := url.URL{Scheme: "unix", Path: filepath.Join(c.options.SocketDir, "etcd.sock")}
	if len(client.Path) > 104 {
		return fmt.Errorf("socket path %s is longer than the system allows", client.Path)
	}
	e, err := embed.StartEtcd(etcdConfig(filepath.Join(c.options.Dir, "etcd"), client, c.options.Log))
	if err != nil {
		return err
	}
	c.etcd, c.socket = e, client.String()
	select {
	case <-e.Server.ReadyNotify():
		c.options.Progress("etcd is ready")
		return nil
	case err := <-e.Err():
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(30 * time.Second):
		return errors.New("not ready after 30 s")
	}
}

func etcdConfig(dir string, client url.URL, log *os.File) *embed.Config {
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir = "sandbox", dir
	cfg.ListenClientUrls = []url.URL{client}
	cfg.AdvertiseClientUrls = []url.URL{client}
	// No peers, so no peer listener: etcd takes only the host of a unix peer URL, finds it empty
	// and binds an abstract socket, which every local user may connect to.
	cfg.ListenPeerUrls = nil
	// Only a name to the cluster, so it must be the same at each start.
	peer := url.URL{Scheme: "unix", Path: "/slipway-sandbox/peer.sock"}
	cfg.AdvertisePeerUrls = []url.URL{peer}
	cfg.InitialCluster = cfg.Name + "=" + peer.String()
	// A killed process loses nothing by this, only a machine that crashes does.
	cfg.UnsafeNoFsync = true
	cfg.TickMs, cfg.ElectionMs = etcdTick, etcdElection
	cfg.SnapshotCount, cfg.SnapshotCatchUpEntries = 5000, 500
	cfg.AutoCompactionMode, cfg.AutoCompactionRetention = "revision", "1000"
	cfg.LogLevel = "warn"
	enc := zap.NewProductionEncoderConfig()
	enc.EncodeTime = zapcore.ISO8601TimeEncoder
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(enc),
		zapcore.Lock(log), zapcore.WarnLevel)))
	return cfg
}
