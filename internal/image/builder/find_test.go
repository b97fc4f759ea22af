package builder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
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
		"contexts/meta/" + hex.EncodeToString(sum[:]) +
			"/meta.json": `{"Name":"colima","Endpoints":{"docker":{"Host":"unix:///colima.sock"}}}`,
	})
	for name, c := range map[string]struct {
		host, context string
		want          endpoint
		err           string
	}{
		"context": {context: "colima", want: endpoint{"unix", "/colima.sock", "docker context colima"}},
		"unix":    {host: "unix:///run/d.sock", want: endpoint{"unix", "/run/d.sock", "$DOCKER_HOST"}},
		"tcp":     {host: "tcp://10.0.0.1:2375", want: endpoint{"tcp", "10.0.0.1:2375", "$DOCKER_HOST"}},
		"over ssh": {host: "ssh://me@host",
			err: "$DOCKER_HOST is ssh://me@host: only unix sockets and tcp without TLS are supported"},
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

func TestLocalhost(t *testing.T) {
	for repository, want := range map[string]string{
		"k3d-registry.localhost:5000/acme/myapp": "localhost:5000/acme/myapp",
		"registry.localhost/myapp":               "localhost/myapp",
		"ghcr.io/acme/myapp":                     "ghcr.io/acme/myapp",
		"myapp":                                  "myapp",
	} {
		if got := localhost(repository); got != want {
			t.Errorf("%s becomes %s, want %s", repository, got, want)
		}
	}
}
