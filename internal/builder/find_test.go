package builder

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/cli/cli/config"
	"github.com/google/go-cmp/cmp"
)

func TestNamedBuildKitThatDoesNotAnswerIsAnError(t *testing.T) {
	addr := "unix://" + filepath.Join(t.TempDir(), "none.sock")
	t.Setenv("BUILDKIT_HOST", addr)
	_, err := Find(t.Context(), Options{State: t.TempDir()})
	got := (*UnreachableError)(nil)
	if !errors.As(err, &got) || got.Address != addr || got.From != "$BUILDKIT_HOST" {
		t.Fatalf("%T: %v", err, err)
	}
}

// The user's own BuildKit: an engine behind a unix socket, so that all but the embedding is real.
func TestBuildWithNamedBuildKit(t *testing.T) {
	addr := exposeEngine(t)
	t.Setenv("BUILDKIT_HOST", addr)
	b, err := Find(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if want := "BuildKit at " + addr + " ($BUILDKIT_HOST)"; b.Describe() != want {
		t.Errorf("%q, want %q", b.Describe(), want)
	}
	repository := startRegistry(t) + "/myapp"
	res, err := b.Build(t.Context(), Request{
		Context:    write(t, t.TempDir(), map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}),
		Repository: repository,
	})
	if err != nil {
		t.Fatal(err)
	}
	pull(t, repository, res.Digest)
}

func TestFindFallsBackToTheEmbeddedEngine(t *testing.T) {
	t.Setenv("BUILDKIT_HOST", "")
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(t.TempDir(), "docker.sock"))
	open(t, Options{}) // skips where the engine cannot run
	var said []string
	b, err := Find(t.Context(), Options{State: t.TempDir(), Notify: func(s string) { said = append(said, s) }})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if !b.Embedded() {
		t.Skip("this machine has a BuildKit: ", b.Describe())
	}
	if len(said) != 1 || !strings.Contains(said[0], "$DOCKER_HOST) does not answer") {
		t.Errorf("said %q", said)
	}
}

func TestDockerEndpoint(t *testing.T) {
	dir, old := t.TempDir(), config.Dir()
	t.Cleanup(func() { config.SetDir(old) })
	config.SetDir(dir)
	sum := sha256.Sum256([]byte("colima"))
	write(t, dir, map[string]string{
		"contexts/meta/" + hex.EncodeToString(sum[:]) + "/meta.json": `{"Name":"colima","Endpoints":{"docker":{"Host":"unix:///colima.sock"}}}`,
	})
	for name, c := range map[string]struct {
		host, context string
		want          endpoint
		err           string
	}{
		"context":  {context: "colima", want: endpoint{"unix", "/colima.sock", "docker context colima"}},
		"unix":     {host: "unix:///run/d.sock", want: endpoint{"unix", "/run/d.sock", "$DOCKER_HOST"}},
		"tcp":      {host: "tcp://10.0.0.1:2375", want: endpoint{"tcp", "10.0.0.1:2375", "$DOCKER_HOST"}},
		"over ssh": {host: "ssh://me@host", err: "$DOCKER_HOST is ssh://me@host: only unix sockets and tcp without TLS are used"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DOCKER_HOST", c.host)
			t.Setenv("DOCKER_CONTEXT", c.context)
			got, err := dockerEndpoint()
			if err != nil && err.Error() != c.err || err == nil && c.err != "" {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(endpoint{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSecondBuildWaits(t *testing.T) {
	state := t.TempDir()
	open(t, Options{State: state})
	ctx, cancel := context.WithCancel(t.Context())
	var said []string
	_, err := Find(ctx, Options{Address: Embedded, State: state, Notify: func(s string) {
		said = append(said, s)
		cancel()
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"another build uses " + state + ", waiting for it"}, said); diff != "" {
		t.Error(diff)
	}
}

// holdArg makes the test binary a parent that waits with a running engine.
const holdArg = "hold-engine"

func hold(state string) {
	b, err := Find(context.Background(), Options{Address: Embedded, State: state})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("up")
	_, _ = io.Copy(io.Discard, os.Stdin)
	b.Close()
	os.Exit(0)
}

func TestEngineEndsWithItsParent(t *testing.T) {
	state := t.TempDir()
	open(t, Options{}) // skips where the engine cannot run
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", holdArg, state)
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "up\n" {
		t.Fatal(line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	lock, err := lockState(t.Context(), state, Options{}) // returns when nobody holds it any more
	if err != nil {
		t.Fatal(err)
	}
	lock.Close()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), state) {
		t.Error("mounts were left on the machine")
	}
}

// exposeEngine gives the address of a BuildKit that serves one client.
func exposeEngine(t *testing.T) string {
	t.Helper()
	open(t, Options{}) // skips where the engine cannot run
	e, err := startEngine(t.Context(), Options{State: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "b.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() { _, _ = io.Copy(e.conn, c) }()
		_, _ = io.Copy(c, e.conn)
	}()
	t.Cleanup(func() {
		l.Close()
		if err := e.close(); err != nil {
			t.Error(err)
		}
	})
	return "unix://" + path
}

func TestPlainHTTP(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:5000": true, "127.0.0.1:5000": true, "[::1]:5000": true, "::1": true,
		"k3d-registry.localhost:5000": true, "REGISTRY.LOCALHOST": true,
		"ghcr.io": false, "10.0.0.1:5000": false, "notlocalhost": false, "localhost.example.com": false,
	} {
		if got := PlainHTTP(host); got != want {
			t.Errorf("PlainHTTP(%q) = %v", host, got)
		}
	}
}
