package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"slipway/internal/image/builder"
	"slipway/internal/image/imagetest"
	"slipway/internal/project"
)

// TestMain lets the test binary be the embedded engine, as the slipway binary is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == builder.EngineArg {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if err := builder.Engine(ctx, os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// push puts a random image there and gives its digest.
func push(tag string) string {
	return imagetest.Push(tag, imagetest.Must(random.Image(200, 2)))
}

// digestOf is what a tag names, empty where there is none.
func digestOf(t *testing.T, tag string) string {
	t.Helper()
	desc, err := remote.Head(imagetest.Must(name.NewTag(tag)), remote.WithContext(t.Context()))
	if err != nil {
		return ""
	}
	return desc.Digest.String()
}

var source = project.Source{
	Commit: "3f9c2e1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	Tag:    "sha-3f9c2e1",
	Remote: "https://github.com/acme/myapp",
	Time:   1_700_000_000,
}

func matched(repository, tag, digest string) Matched {
	return Matched{Image: project.Image{Name: "myapp", Context: "."}, Repository: repository, Tag: tag,
		Digest: digest}
}

func TestEnsureFinds(t *testing.T) {
	host := imagetest.Start(t)
	have := push(host + "/acme/myapp:sha-3f9c2e1")
	stated := push(host + "/acme/myapp:v1.2.3")
	for name, c := range map[string]struct {
		tag, digest string
		want        Pin
	}{
		"a moving tag means this commit": {tag: "dev", want: Pin{Tag: "sha-3f9c2e1", Digest: have}},
		"no tag means this commit":       {want: Pin{Tag: "sha-3f9c2e1", Digest: have}},
		"a version is what Git states":   {tag: "v1.2.3", want: Pin{Tag: "v1.2.3", Digest: stated}},
		"a digest is what Git states":    {digest: stated, want: Pin{Digest: stated}},
	} {
		t.Run(name, func(t *testing.T) {
			m := matched("ghcr.io/acme/myapp", c.tag, c.digest)
			got, err := Ensure(t.Context(), source, project.Environment{}, m, nil, true, Options{Mirror: host})
			if err != nil {
				t.Fatal(err)
			}
			c.want.Name, c.want.Repository = "myapp", "ghcr.io/acme/myapp"
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error("(-want +got):\n", diff)
			}
		})
	}
}

func TestEnsureFindsNothing(t *testing.T) {
	o := Options{Mirror: imagetest.Start(t)}
	got, err := Ensure(t.Context(), source, project.Environment{Registry: "ghcr.io/acme"},
		matched("myapp", "", ""), nil, false, o)
	if want := (Pin{Name: "myapp", Repository: "ghcr.io/acme/myapp", Tag: "sha-3f9c2e1"}); err != nil ||
		got != want {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = Ensure(t.Context(), source, project.Environment{}, matched("ghcr.io/acme/myapp", "v9.9.9", ""),
		[]string{"k3d.localhost:5000/myapp"}, true, o)
	missing := (*MissingError)(nil)
	if !errors.As(err, &missing) {
		t.Errorf("%T: %v", err, err)
	}
	_, err = Ensure(t.Context(), project.Source{}, project.Environment{}, matched("ghcr.io/acme/myapp", "dev",
		""), nil, true, o)
	if !errors.Is(err, ErrNoTag) {
		t.Errorf("%T: %v", err, err)
	}
}

func TestEnsureCopiesWhatWasTested(t *testing.T) {
	for name, mirror := range map[string]string{"within a registry": imagetest.Start(t),
		"between registries": ""} {
		t.Run(name, func(t *testing.T) {
			from, to := "k3d.localhost:5000", "ghcr.io"
			reachFrom, reachTo := mirror, mirror
			if mirror == "" {
				from, to = imagetest.Start(t), imagetest.Start(t)
				reachFrom, reachTo = from, to
			}
			tested := push(reachFrom + "/myapp:sha-3f9c2e1")
			var said []string
			o := Options{Mirror: mirror, Notify: func(s string) { said = append(said, s) }}
			ensure := func(build bool) Pin {
				p, err := Ensure(t.Context(), source, project.Environment{}, matched(to+"/acme/myapp", "", ""),
					[]string{from + "/none", from + "/myapp"}, build, o)
				if err != nil {
					t.Fatal(err)
				}
				return p
			}
			if p := ensure(false); p.Digest != tested {
				t.Errorf("a plan says %s, want %s", p.Digest, tested)
			}
			if got := digestOf(t, reachTo+"/acme/myapp:sha-3f9c2e1"); got != "" {
				t.Error("a plan wrote to the registry")
			}
			p := ensure(true)
			if got := digestOf(t, reachTo+"/acme/myapp:sha-3f9c2e1"); p.Digest != tested || got != tested {
				t.Errorf("copied %s, there is %s, want %s", p.Digest, got, tested)
			}
			want := []string{
				fmt.Sprintf("found %s in %s/myapp", tested, from),
				fmt.Sprintf("copied %s from %s/myapp", p.Reference(), from),
			}
			if diff := cmp.Diff(want, said); diff != "" {
				t.Error("(-want +got):\n", diff)
			}
		})
	}
}

func TestTagsNeverMove(t *testing.T) {
	host := imagetest.Start(t)
	old, other := push(host+"/myapp:v1.0.0"), push(host+"/myapp:v1.1.0")
	s := Options{}.store()
	_, err := s.mayTag(t.Context(), Pin{Repository: host + "/myapp", Tag: "v1.0.0", Digest: other})
	want := &TagTakenError{Repository: host + "/myapp", Tag: "v1.0.0", Existing: old, Digest: other}
	got := (*TagTakenError)(nil)
	if !errors.As(err, &got) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got):\n", diff)
	}
	if there, err := s.mayTag(t.Context(), Pin{Repository: host + "/myapp", Tag: "v1.0.0",
		Digest: old}); err != nil || !there {
		t.Error("the same content under its tag: ", err)
	}
}

func TestRegistryErrors(t *testing.T) {
	refusing := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
	}))
	gone := httptest.NewServer(nil)
	gone.Close()
	find := func(host string) error {
		_, err := Ensure(t.Context(), source, project.Environment{}, matched("ghcr.io/acme/myapp", "", ""), nil,
			false, Options{Mirror: host})
		return err
	}
	if e := (*UnauthorizedError)(nil); !errors.As(find(refusing), &e) || e.Repository != "ghcr.io/acme/myapp" ||
		e.Registry != refusing {
		t.Errorf("refused: %+v", e)
	}
	away := strings.TrimPrefix(gone.URL, "http://")
	if e := (*UnreachableError)(nil); !errors.As(find(away), &e) || e.Repository != "ghcr.io/acme/myapp" ||
		e.Registry != away {
		t.Errorf("unreachable: %+v", e)
	}
}

func TestReadersMayNotBuild(t *testing.T) {
	all := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	host := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		all.ServeHTTP(w, r)
	}))
	src := source
	src.Project.Dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(src.Project.Dir, "Dockerfile"),
		[]byte("FROM scratch\nCOPY Dockerfile /\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Ensure(t.Context(), src, project.Environment{}, matched("ghcr.io/acme/myapp", "", ""),
		nil, true, Options{
			Mirror:  host,
			Builder: builder.Options{Address: "unix:///nowhere"}, // not reached
		})
	if e := (*UnauthorizedError)(nil); !errors.As(err, &e) {
		t.Errorf("%T: %v", err, err)
	}
}

func TestLocate(t *testing.T) {
	for _, c := range []struct{ repository, mirror, want, scheme string }{
		{"ghcr.io/acme/myapp", "", "ghcr.io/acme/myapp", "https"},
		{"ghcr.io/acme/myapp", "127.0.0.1:5000", "127.0.0.1:5000/acme/myapp", "http"},
		{"myapp", "", "index.docker.io/library/myapp", "https"},
		{"myapp", "127.0.0.1:5000", "127.0.0.1:5000/library/myapp", "http"},
		{"k3d-registry.localhost:5000/myapp", "", "k3d-registry.localhost:5000/myapp", "http"},
		{"[::1]:5000/myapp", "", "[::1]:5000/myapp", "http"},
	} {
		got, err := locate(c.repository, c.mirror)
		if err != nil {
			t.Error(err)
			continue
		}
		if got.Name() != c.want || got.Scheme() != c.scheme {
			t.Errorf("%s at %q: %s %s, want %s %s", c.repository, c.mirror, got.Scheme(), got.Name(), c.scheme, c.want)
		}
	}
}

func TestEnsureBuilds(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the embedded engine needs Linux")
	}
	host := imagetest.Start(t)
	src := source
	src.Project.Dir = t.TempDir()
	write := func(file, body string) {
		if err := os.WriteFile(filepath.Join(src.Project.Dir, file), []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("Dockerfile", "FROM scratch\nCOPY app.txt /\n")
	write("app.txt", "hello")
	var said []string
	ensure := func(repository string) Pin {
		t.Helper()
		said = nil
		p, err := Ensure(t.Context(), src, project.Environment{}, matched(repository, "dev", ""),
			nil, true, Options{
				Mirror:  host,
				Builder: builder.Options{Address: builder.Embedded, State: t.TempDir()},
				Notify:  func(s string) { said = append(said, s) },
			})
		if none := (*builder.NoBuilderError)(nil); errors.As(err, &none) {
			t.Skip("no builds on this machine: ", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := ensure("ghcr.io/acme/myapp")
	if got := digestOf(t, host+"/acme/myapp:sha-3f9c2e1"); got != first.Digest {
		t.Errorf("the tag names %q, want %s", got, first.Digest)
	}
	if len(said) != 2 || !strings.HasPrefix(said[0],
		"building ghcr.io/acme/myapp:sha-3f9c2e1 with embedded BuildKit") || said[1] != "built "+first.Reference() {
		t.Errorf("said %q", said)
	}
	if diff := cmp.Diff(map[string]string{
		"org.opencontainers.image.title":    "myapp",
		"org.opencontainers.image.version":  "sha-3f9c2e1",
		"org.opencontainers.image.created":  "2023-11-14T22:13:20Z",
		"org.opencontainers.image.revision": source.Commit,
		"org.opencontainers.image.source":   source.Remote,
	}, labelsOf(t, host+"/acme/myapp@"+first.Digest)); diff != "" {
		t.Error("labels (-want +got):\n", diff)
	}
	if again := ensure("ghcr.io/acme/myapp"); again != first || len(said) != 1 ||
		said[0] != "found "+first.Reference() {
		t.Errorf("%+v, said %q", again, said)
	}
	if elsewhere := ensure("quay.io/other/myapp"); elsewhere.Digest != first.Digest {
		t.Errorf("the same source built twice gives %s and %s", first.Digest, elsewhere.Digest)
	}
}

func labelsOf(t *testing.T, s string) map[string]string {
	t.Helper()
	ref, err := name.NewDigest(s)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(ref, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return cfg.Config.Labels
}
