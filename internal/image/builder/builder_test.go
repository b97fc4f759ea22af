package builder

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"slipway/internal/image/imagetest"
)

// TestMain lets the test binary be the engine, as the slipway binary is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == EngineArg {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if err := Engine(ctx, os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) > 2 && os.Args[1] == holdArg {
		hold(os.Args[2])
	}
	if len(os.Args) > 2 && os.Args[1] == "inside" {
		inside(os.Args[2])
	}
	if len(os.Args) > 2 && slices.Contains([]string{"as-is", "with-ids", "without-namespaces"}, os.Args[1]) {
		become(os.Args[1], os.Args[2:])
	}
	if len(os.Args) > 2 && os.Args[1] == bridgeArg {
		bridge(os.Args[2])
	}
	// what make runtime has fetched
	if bin, err := filepath.Abs(filepath.Join("..", "..", "..", "bin")); err == nil {
		os.Setenv("PATH", os.Getenv("PATH")+":"+bin)
	}
	os.Exit(m.Run())
}

// inside is what the steps of these tests do.
func inside(what string) {
	if what == "fail" {
		fmt.Println("this went wrong")
		os.Exit(3)
	}
	path, text := "/made", []byte(nil)
	switch what {
	case "scan":
		path = filepath.Join(os.Getenv("BUILDKIT_SCAN_DESTINATION"), "spdx.json")
		text = []byte(
			`{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://spdx.dev/Document","predicate":{"spdxVersion":"SPDX-2.3"}}`)
	case "ask":
		c, err := net.Dial("unix", os.Getenv("SSH_AUTH_SOCK"))
		if err == nil {
			_, err = c.Write([]byte{0, 0, 0, 1, 11})
		}
		if text = make([]byte, 9); err == nil {
			_, err = io.ReadFull(c, text)
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// open starts the embedded engine, or says why this machine cannot.
func open(t *testing.T, o Options) *Builder {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the embedded engine needs Linux")
	}
	o.Address = Embedded
	if o.State == "" {
		o.State = t.TempDir()
	}
	if o.Notify == nil {
		o.Notify = func(said string) { t.Log(said) }
	}
	b, err := Find(t.Context(), o)
	if none := (*NoBuilderError)(nil); errors.As(err, &none) {
		t.Skip("no builds on this machine: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func write(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for name, body := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func pull(t *testing.T, repository, digest string) v1.Image {
	t.Helper()
	ref, err := name.NewDigest(repository + "@" + digest)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(ref, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func fileNames(t *testing.T, img v1.Image) []string {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range layers {
		names = append(names, layerFiles(t, l)...)
	}
	return names
}

func TestBuildIsReproducible(t *testing.T) {
	host := imagetest.Start(t)
	files := map[string]string{
		"Dockerfile": "# syntax=docker/dockerfile:1\nFROM scratch\nARG FLAVOUR\nENV FLAVOUR=$FLAVOUR\nCOPY . " +
			"/app/\n",
		".dockerignore": "secret\nDockerfile\n.dockerignore\n",
		"main.txt":      "hello",
		"secret":        "not for shipping",
	}
	req := Request{
		Repository: host + "/acme/myapp",
		Labels:     map[string]string{"org.opencontainers.image.revision": "abc"},
		BuildArgs:  map[string]string{"FLAVOUR": "plain"},
		Epoch:      1_700_000_000,
	}
	var digests []string
	for range 2 { // each with its own engine, cache and files of another age
		req.Context = write(t, t.TempDir(), files)
		b := open(t, Options{})
		res, err := b.Build(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, res.Digest)
	}
	if digests[0] != digests[1] {
		t.Errorf("two builds of one source gave %s and %s", digests[0], digests[1])
	}
	img := pull(t, req.Repository, digests[0])
	cfg, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(req.Labels, cfg.Config.Labels); diff != "" {
		t.Error("labels (-want +got):\n", diff)
	}
	if cfg.Created.Unix() != req.Epoch {
		t.Errorf("created %v, want the epoch", cfg.Created)
	}
	if diff := cmp.Diff([]string{"FLAVOUR=plain"}, cfg.Config.Env[len(cfg.Config.Env)-1:]); diff != "" {
		t.Error("environment (-want +got):\n", diff)
	}
	if diff := cmp.Diff([]string{"app/", "app/main.txt"}, fileNames(t, img)); diff != "" {
		t.Error("files (-want +got):\n", diff)
	}
	if tags, err := remote.List(mustRepository(t, req.Repository),
		remote.WithContext(t.Context())); err == nil && len(tags) > 0 {
		t.Errorf("the build made tags: %v", tags)
	}
}

func TestBuildToLocalhostName(t *testing.T) {
	_, port, _ := net.SplitHostPort(imagetest.Start(t))
	b := open(t, Options{})
	res, err := b.Build(t.Context(), Request{
		Context:    write(t, t.TempDir(), map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}),
		Repository: "k3d-registry.localhost:" + port + "/myapp",
	})
	if err != nil {
		t.Fatal(err)
	}
	pull(t, "127.0.0.1:"+port+"/myapp", res.Digest)
}

func TestBuildErrors(t *testing.T) {
	hideRuntime(t)
	host := imagetest.Start(t)
	base := mustPush(host+"/base:1", "amd64")
	b := open(t, Options{})
	build := func(t *testing.T, dockerfile string, platforms ...string) error {
		_, err := b.Build(t.Context(), Request{
			Context:    write(t, t.TempDir(), map[string]string{"Dockerfile": dockerfile}),
			Repository: host + "/myapp",
			Platforms:  platforms,
		})
		if err == nil {
			t.Fatal("built")
		}
		return err
	}
	t.Run("RUN without a runtime", func(t *testing.T) {
		err := build(t, "FROM "+base+"\nCOPY Dockerfile /\nRUN make\n")
		want := &NoRuntimeError{Step: "[3/3] RUN make", Reason: "runc is not on PATH"}
		got := (*NoRuntimeError)(nil)
		if !errors.As(err, &got) {
			t.Fatalf("%T: %v", err, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error("(-want +got):\n", diff)
		}
		if at := (*BuildError)(nil); !errors.As(err, &at) || at.Line != 3 {
			t.Errorf("no line 3 in %v", err)
		}
	})
	t.Run("base for another platform", func(t *testing.T) {
		err := build(t, "FROM "+base+"\nCOPY Dockerfile /\n", "linux/arm64")
		if got := (*PlatformError)(nil); !errors.As(err, &got) {
			t.Fatalf("%T: %v", err, err)
		}
	})
	t.Run("missing file", func(t *testing.T) {
		err := build(t, "FROM scratch\nCOPY nowhere /\n")
		at := (*BuildError)(nil)
		if !errors.As(err, &at) || at.Line != 2 || at.Step != "[1/1] COPY nowhere /" {
			t.Fatalf("%#v", err)
		}
	})
	t.Run("unknown instruction", func(t *testing.T) {
		err := build(t, "FROM scratch\nCOPPY . /\n")
		if !strings.Contains(err.Error(), "/Dockerfile:2: unknown instruction: COPPY") {
			t.Fatal(err)
		}
	})
	t.Run("missing base", func(t *testing.T) {
		err := build(t, "FROM "+host+"/nowhere:1\n")
		if want := "/Dockerfile:1: base image " + host + "/nowhere:1: not found"; !strings.HasSuffix(
			err.Error(), want) {
			t.Fatal(err)
		}
		if got := (*BaseError)(nil); !errors.As(err, &got) {
			t.Fatalf("%T", err)
		}
	})
	t.Run("no Dockerfile", func(t *testing.T) {
		_, err := b.Build(t.Context(), Request{Context: t.TempDir(), Repository: host + "/myapp"})
		if !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	})
}

// hideRuntime leaves on PATH only what starts the engine.
func hideRuntime(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	for _, tool := range []string{"newuidmap", "newgidmap"} {
		if path, err := exec.LookPath(tool); err == nil {
			if err := os.Symlink(path, filepath.Join(dir, tool)); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Setenv("PATH", dir)
}

func TestMirror(t *testing.T) {
	host := imagetest.Start(t)
	mustPush(host+"/library/base:1", runtime.GOARCH)
	b := open(t, Options{Mirrors: map[string]string{"docker.io": host}})
	_, err := b.Build(t.Context(), Request{
		Context:    write(t, t.TempDir(), map[string]string{"Dockerfile": "FROM base:1\nCOPY Dockerfile /\n"}),
		Repository: host + "/myapp",
	})
	if err != nil {
		t.Fatal(err)
	}
}

func mustRepository(t *testing.T, s string) name.Repository {
	t.Helper()
	r, err := name.NewRepository(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// mustPush pushes an image of random layers for linux and that architecture.
func mustPush(tag, arch string) string {
	imagetest.Push(tag, imagetest.Image(100, arch, nil))
	return tag
}

func layerFiles(t *testing.T, l v1.Layer) []string {
	t.Helper()
	r, err := l.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var names []string
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}
