package builder

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"slipway/internal/image/imagetest"
)

const twoStages = "FROM scratch AS one\nCOPY src /src\nRUN --mount=type=bind,source=tool,target=/tool " +
	"--mount=type=cache,target=/c make\n" +
	"FROM scratch\nCOPY --from=one /src /\nADD https://example.com/x /x\nCOPY conf.yaml <<EOF /\nhi\nEOF\n"

func inputs(t *testing.T, r Request) string {
	t.Helper()
	digest, err := Inputs(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func TestInputs(t *testing.T) {
	base := func(t *testing.T) Request {
		return Request{
			Context: write(t, t.TempDir(), map[string]string{
				"Dockerfile": twoStages, ".dockerignore": "src/*.log\n",
				"src/main.go": "package main", "src/old.log": "noise", "tool/make": "run", "conf.yaml": "a: 1",
				"README.md": "read me",
			}),
			BuildArgs: map[string]string{"A": "1"},
		}
	}
	want := inputs(t, base(t))
	for name, c := range map[string]struct {
		change func(t *testing.T, r *Request)
		same   bool
	}{
		"nothing": {func(*testing.T, *Request) {}, true},
		"not copied": {func(t *testing.T, r *Request) {
			write(t, r.Context, map[string]string{"README.md": "other"})
		}, true},
		"ignored": {func(t *testing.T, r *Request) {
			write(t, r.Context, map[string]string{"src/new.log": "more"})
		}, true},
		"times": {func(t *testing.T, r *Request) { touch(t, r, "src/main.go") }, true},
		"labels": {func(_ *testing.T, r *Request) {
			r.Labels, r.Epoch = map[string]string{"revision": "b"}, 7
		}, true},
		"content": {func(t *testing.T, r *Request) {
			write(t, r.Context, map[string]string{"src/main.go": "package mine"})
		}, false},
		"new file": {func(t *testing.T, r *Request) {
			write(t, r.Context, map[string]string{"src/b/c": ""})
		}, false},
		"mounted": {func(t *testing.T, r *Request) {
			write(t, r.Context, map[string]string{"tool/make": "walk"})
		}, false},
		"mode": {func(t *testing.T, r *Request) {
			must(t, os.Chmod(filepath.Join(r.Context, "src/main.go"), 0o755))
		}, false},
		"link": {func(t *testing.T, r *Request) {
			must(t, os.Symlink("main.go", filepath.Join(r.Context, "src/l")))
		}, false},
		"Dockerfile": {func(t *testing.T, r *Request) {
			write(t, r.Context, map[string]string{"Dockerfile": twoStages + "USER 1\n"})
		}, false},
		"no longer ours": {func(t *testing.T, r *Request) {
			write(t, r.Context, map[string]string{"Dockerfile.dockerignore": "conf.yaml\n"})
		}, false},
		"target":   {func(_ *testing.T, r *Request) { r.Target = "one" }, false},
		"argument": {func(_ *testing.T, r *Request) { r.BuildArgs = map[string]string{"A": "2"} }, false},
		"platform": {func(_ *testing.T, r *Request) { r.Platforms = []string{"linux/s390x"} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := base(t)
			c.change(t, &r)
			if got := inputs(t, r); (got == want) != c.same {
				t.Errorf("the same: %v, want %v", got == want, c.same)
			}
		})
	}
}

func TestInputsOfAWholeContext(t *testing.T) {
	for _, dockerfile := range []string{"FROM scratch\nCOPY . /\n", "FROM scratch\nARG D=src\nCOPY $D /\n",
		"# syntax=example.com/other\nBAKE 9\n", "FROM scratch\nRUN --mount=target=/src make\n"} {
		r := Request{Context: write(t, t.TempDir(), map[string]string{"Dockerfile": dockerfile,
			"README.md": "read me"})}
		before := inputs(t, r)
		write(t, r.Context, map[string]string{"README.md": "other"})
		if inputs(t, r) == before {
			t.Errorf("%q: a file that may be taken is not looked at", dockerfile)
		}
	}
}

func TestLargeContextIsSaid(t *testing.T) {
	var said []string
	r := Request{
		Context: write(t, t.TempDir(), map[string]string{"Dockerfile": "FROM scratch\nCOPY . /\n",
			"data/dump.sql": "", "small": "x"}),
		Notify: func(s string) { said = append(said, s) },
	}
	must(t, os.Truncate(filepath.Join(r.Context, "data/dump.sql"), 600<<20)) // sparse
	inputs(t, r)
	if len(said) != 1 || !strings.HasPrefix(said[0],
		"warning: the build reads 600 MB from the context: data (600 MB); ") {
		t.Errorf("%q", said)
	}
	write(t, r.Context, map[string]string{".dockerignore": "data\n"})
	if inputs(t, r); len(said) != 1 {
		t.Errorf("%q", said)
	}
}

// What BuildKit asks for decides whether Inputs may stand for a build.
func TestUnforeseenFiles(t *testing.T) {
	host := imagetest.Start(t)
	plain := mustPush(host+"/plain:1", "amd64")
	eager := onBuild(host+"/eager:1", "COPY . /all/")
	b := open(t, Options{})
	for name, c := range map[string]struct {
		dockerfile string
		want       bool
	}{
		"foreseen": {"FROM " + plain + " AS one\nCOPY a /\nFROM scratch\nCOPY --from=one /a /\nCOPY b c* /\n",
			false},
		"all":     {"FROM " + eager + "\nCOPY . /\n", false},
		"onbuild": {"FROM " + eager + "\nCOPY a /\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := b.Build(t.Context(), Request{
				Context: write(t, t.TempDir(), map[string]string{"Dockerfile": c.dockerfile, "a": "", "b": "",
					"c1": "", "README.md": ""}),
				Repository: host + "/myapp",
				Platforms:  []string{"linux/amd64"},
			})
			if err != nil {
				t.Fatal(err)
			}
			if res.Unforeseen != c.want {
				t.Errorf("unforeseen: %v, want %v", res.Unforeseen, c.want)
			}
		})
	}
}

func onBuild(tag string, instructions ...string) string {
	img := imagetest.Image(100, "amd64", nil)
	cfg := imagetest.Must(img.ConfigFile()).DeepCopy()
	cfg.Config.OnBuild = instructions
	imagetest.Push(tag, imagetest.Must(mutate.ConfigFile(img, cfg)))
	return tag
}

func touch(t *testing.T, r *Request, file string) {
	t.Helper()
	must(t, os.Chtimes(filepath.Join(r.Context, file), time.Unix(1, 0), time.Unix(1, 0)))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(fmt.Errorf("setting up: %w", err))
	}
}

func TestMoving(t *testing.T) {
	dir := t.TempDir()
	text := `ARG BASE=alpine
FROM golang:1.26 AS Build
FROM build AS test
FROM gcr.io/distroless/static@sha256:` + strings.Repeat("1", 64) + `
FROM golang:1.26
FROM $BASE
FROM scratch
COPY --from=build /a /a
`
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := Moving(Request{Context: dir}); !slices.Equal(got, []string{"golang:1.26", "$BASE"}) {
		t.Errorf("moving bases: %q", got)
	}
	if got := Moving(Request{Context: t.TempDir()}); got != nil {
		t.Errorf("no Dockerfile: %q", got)
	}
}
