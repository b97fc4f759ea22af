package builder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moby/buildkit/client"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
)

const (
	defaultMaxCache = 10 << 30
	lockPoll        = 100 * time.Millisecond
	stopTime        = 15 * time.Second
)

// engine is the child process that runs BuildKit. It ends when the connection closes, which the kernel does
// however this process ends.
type engine struct {
	cmd       *exec.Cmd
	conn      net.Conn
	log       string // file of the child's output
	noRuntime string
}

func startEngine(ctx context.Context, o Options) (*engine, error) {
	cfg, err := configure(o)
	if err != nil {
		return nil, err
	}
	lock, err := lockState(ctx, cfg.State, o)
	if err != nil {
		return nil, fmt.Errorf("lock build cache: %w", err)
	}
	// From here on the child holds the lock too, and it lasts until both processes have closed it.
	defer lock.Close()
	e, status, err := spawn(cfg, lock, o.notify)
	if err != nil {
		return nil, err
	}
	defer status.Close()
	st, err := e.await(ctx, status)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start embedded BuildKit: %w", err), e.close())
	}
	e.noRuntime = st.NoRuntime
	if st.Snapshotter == "native" {
		o.notify("the file system of %s does not support overlay mounts: the build copies every layer and is slow",
			cfg.State)
	}
	return e, nil
}

func configure(o Options) (engineConfig, error) {
	cfg := engineConfig{State: o.State, MaxCache: o.MaxCache, Mirrors: o.Mirrors, Rootless: os.Geteuid() != 0}
	if cfg.MaxCache == 0 {
		cfg.MaxCache = defaultMaxCache
	}
	if cfg.State == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return cfg, fmt.Errorf("find a directory for the build cache: %w", err)
		}
		cfg.State = filepath.Join(dir, "slipway", "buildkit")
	}
	var err error
	if cfg.State, err = filepath.Abs(cfg.State); err != nil {
		return cfg, err
	}
	return cfg, os.MkdirAll(cfg.State, 0o700)
}

// lockState waits until no other engine uses the directory: BuildKit's databases are for one process.
func lockState(ctx context.Context, dir string, o Options) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for said := false; ; said = true {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(err, f.Close())
		}
		if !said {
			o.notify("waiting for another build that uses %s", dir)
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(lockPoll):
		}
	}
}

// spawn starts the child, with the connection, the lock and the status pipe as file descriptors 3, 4 and 5.
func spawn(cfg engineConfig, lock *os.File, notify func(string, ...any)) (_ *engine,
	status *os.File, err error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, nil, err
	}
	defer theirs.Close()
	conn, err := net.FileConn(ours) // a duplicate
	if err = errors.Join(err, ours.Close()); err != nil {
		return nil, nil, err
	}
	status, statusEnd, err := os.Pipe()
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	defer statusEnd.Close()
	e := &engine{conn: conn, log: filepath.Join(cfg.State, "engine.log")}
	if err := e.run(cfg, []*os.File{theirs, lock, statusEnd}, notify); err != nil {
		return nil, nil, errors.Join(err, conn.Close(), status.Close())
	}
	return e, status, nil
}

func (e *engine) run(cfg engineConfig, files []*os.File, notify func(string, ...any)) error {
	var maps []idMap
	if cfg.Rootless {
		var err error
		if maps, err = subordinates(); err != nil {
			// One id is enough to copy files, which then belong to root. runc needs those of devices too.
			notify("all files in the image belong to root, and RUN steps cannot run: %v", err)
			cfg.OneID = "runc needs subordinate ids for an ordinary user: " + err.Error()
		}
	}
	arg, err := json.Marshal(cfg)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(e.log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	e.cmd = exec.Command("/proc/self/exe", EngineArg, string(arg))
	e.cmd.Args[0] = os.Args[0]
	e.cmd.Stdout, e.cmd.Stderr = log, log
	e.cmd.ExtraFiles = files
	// Its own process group, so that Ctrl-C reaches this process only, which ends the build in order. Its own
	// mount namespace, so that no mount is ever left on the machine.
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Cloneflags: unix.CLONE_NEWNS}
	if !cfg.Rootless {
		if err := e.cmd.Start(); err != nil {
			return &cannotRunError{fmt.Sprintf(
				"the embedded engine cannot create a mount namespace (%v): start Docker or a buildkitd", err)}
		}
		return nil
	}
	e.cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
	if maps == nil {
		e.cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		e.cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	mapped, err := e.cmd.StdinPipe() // closing it tells the child that its ids are mapped
	if err != nil {
		return err
	}
	if err := e.cmd.Start(); err != nil {
		return &cannotRunError{fmt.Sprintf("the embedded engine cannot create a user namespace (%v): allow "+
			"unprivileged user namespaces, or start Docker or a buildkitd", err)}
	}
	if err := mapIDs(e.cmd.Process.Pid, maps); err != nil {
		return errors.Join(err, e.cmd.Process.Kill(), mapped.Close(), ignoreExit(e.cmd.Wait()))
	}
	return mapped.Close()
}

// await reads the status of the child.
func (e *engine) await(ctx context.Context, status *os.File) (engineStatus, error) {
	stop := context.AfterFunc(ctx, func() { status.Close() })
	defer stop()
	var st engineStatus
	raw, err := io.ReadAll(status)
	switch {
	case ctx.Err() != nil:
		return st, ctx.Err()
	case err != nil:
		return st, err
	case len(raw) == 0:
		return st, fmt.Errorf("it ended immediately: %s", e.tail())
	}
	if err := json.Unmarshal(raw, &st); err != nil {
		return st, err
	}
	if st.Error != "" {
		return st, errors.New(st.Error)
	}
	return st, nil
}

func (e *engine) client(ctx context.Context) (*client.Client, error) {
	conns := make(chan net.Conn, 1)
	conns <- e.conn
	return client.New(ctx, "passthrough:///embedded",
		client.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			select {
			case c := <-conns:
				return c, nil
			default:
				return nil, fmt.Errorf("the embedded engine has ended: %s", e.tail())
			}
		}),
		// The only connection must not be closed after half an hour without a call.
		client.WithGRPCDialOption(grpc.WithIdleTimeout(0)))
}

// close ends the child, which first cleans up its cache.
func (e *engine) close() error {
	_ = e.conn.Close() // the client may have closed it already
	kill := time.AfterFunc(stopTime, func() { _ = e.cmd.Process.Kill() })
	defer kill.Stop()
	return ignoreExit(e.cmd.Wait())
}

// tail is the end of the child's output.
func (e *engine) tail() string {
	raw, err := os.ReadFile(e.log)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(raw), []byte("\n"))
	if last := string(lines[len(lines)-1]); last != "" {
		return last
	}
	return "see " + e.log
}

// ignoreExit drops errors that only say how the child ended.
func ignoreExit(err error) error {
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return nil
	}
	return err
}

func socketPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a socket pair: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "engine"), os.NewFile(uintptr(fds[1]), "client"), nil
}

// idMap is a call of newuidmap or newgidmap, which map subordinate ids.
type idMap struct{ tool, id, start, count string }

// subordinates are the subordinate ids of this user.
func subordinates() ([]idMap, error) {
	u, err := user.Current()
	if err != nil {
		return nil, err
	}
	maps := []idMap{{tool: "newuidmap", id: u.Uid}, {tool: "newgidmap", id: u.Gid}}
	for i, file := range []string{"/etc/subuid", "/etc/subgid"} {
		m := &maps[i]
		if m.start, m.count, err = subordinate(file, u); err != nil {
			return nil, fmt.Errorf("%w (usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s)",
				err, u.Username)
		}
		if m.tool, err = exec.LookPath(m.tool); err != nil {
			return nil, fmt.Errorf("%w (Debian: apt-get install uidmap)", err)
		}
	}
	return maps, nil
}

// mapIDs makes the child root in its user namespace, with the subordinate ids for the rest.
func mapIDs(pid int, maps []idMap) error {
	for _, m := range maps {
		out, err := exec.Command(m.tool, strconv.Itoa(pid), "0", m.id, "1", "1", m.start, m.count).CombinedOutput()
		if err != nil {
			return &cannotRunError{fmt.Sprintf("%s: %v: %s", m.tool, err, bytes.TrimSpace(out))}
		}
	}
	return nil
}

func subordinate(file string, u *user.User) (start, count string, err error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", "", err
	}
	for line := range strings.Lines(string(raw)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) == 3 && (f[0] == u.Username || f[0] == u.Uid) {
			return f[1], f[2], nil
		}
	}
	return "", "", fmt.Errorf("%s has no line for %s", file, u.Username)
}
