package image

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"slipway/internal/image/builder"
	"slipway/internal/image/imagetest"
	"slipway/internal/project"
)

// commits is a project of which a test makes one commit after another.
type commits struct {
	t     *testing.T
	src   project.Source
	o     Options
	said  []string
	build bool
}

func newCommits(t *testing.T) *commits {
	c := &commits{t: t, build: true, src: source}
	c.src.Project.Dir = t.TempDir()
	c.o = Options{
		Mirror:  imagetest.Start(t),
		Builder: builder.Options{Address: builder.Embedded, State: t.TempDir()},
		Notify:  func(s string) { c.said = append(c.said, s) },
	}
	c.write("Dockerfile", "FROM scratch\nCOPY app.txt /\n")
	c.write("app.txt", "hello")
	return c
}

func (c *commits) write(file, body string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.src.Project.Dir, file), []byte(body), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// commit gives the state another commit, whose hash is of that digit alone.
func (c *commits) commit(digit string) {
	c.src.Commit, c.src.Dirty = strings.Repeat(digit, 40), false
	c.src.Tag, c.src.Time = "sha-"+c.src.Commit[:7], c.src.Time+60
}

func (c *commits) ensure(repository string, siblings ...string) Pin {
	c.t.Helper()
	p, err := c.try(repository, siblings...)
	if none := (*builder.NoBuilderError)(nil); errors.As(err, &none) {
		c.t.Skip("no builds on this machine: ", err)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

func (c *commits) try(repository string, siblings ...string) (Pin, error) {
	c.said = nil
	return Ensure(c.t.Context(), c.src, project.Environment{}, matched(repository, "", ""),
		siblings, c.build, c.o)
}

func (c *commits) tags(repository string) []string {
	c.t.Helper()
	r := imagetest.Must(name.NewRepository(c.o.Mirror + "/" + repository))
	return slices.Sorted(slices.Values(imagetest.Must(remote.List(r, remote.WithContext(c.t.Context())))))
}

func TestSameContentIsNotBuiltAgain(t *testing.T) {
	c := newCommits(t)
	c.commit("1")
	first := c.ensure("ghcr.io/a")
	tags := c.tags("a")
	if len(tags) != 2 || !strings.HasPrefix(tags[0], "inputs-") || tags[1] != "sha-1111111" {
		t.Fatal(tags)
	}

	c.write("README.md", "read me")
	c.commit("2")
	c.build = false
	if p := c.ensure("ghcr.io/a"); p != first || len(c.tags("a")) != 2 {
		t.Errorf("a plan says %+v, and leaves %v", p, c.tags("a"))
	}
	c.build = true
	want := "ghcr.io/a:sha-2222222 has the same inputs as sha-1111111: not built again"
	if p := c.ensure("ghcr.io/a"); p != first || len(c.said) != 1 || c.said[0] != want {
		t.Errorf("%+v, said %q", p, c.said)
	}
	if got := digestOf(t, c.o.Mirror+"/a:sha-2222222"); got != first.Digest {
		t.Errorf("the second commit's tag names %q", got)
	}
	// Once it has its tag, it still says what it was built as: what runs must not restart.
	if p := c.ensure("ghcr.io/a"); p != first {
		t.Errorf("%+v", p)
	}

	c.write("app.txt", "good bye")
	c.commit("3")
	if p := c.ensure("ghcr.io/a"); p.Digest == first.Digest || p.Tag != "sha-3333333" {
		t.Errorf("other content is %+v", p)
	}
}

// Another environment has built it from the same inputs: that is what was tested.
func TestSameContentIsCopied(t *testing.T) {
	c := newCommits(t)
	c.commit("1")
	first := c.ensure("ghcr.io/staging")
	c.commit("2")
	p := c.ensure("ghcr.io/prod", "ghcr.io/staging")
	if p.Digest != first.Digest || p.Tag != first.Tag {
		t.Errorf("%+v", p)
	}
	if tags := c.tags("prod"); len(tags) != 3 || tags[1] != "sha-1111111" || tags[2] != "sha-2222222" {
		t.Error(tags)
	}
	c.commit("3")
	c.ensure("ghcr.io/staging")
	if p := c.ensure("ghcr.io/prod", "ghcr.io/staging"); p.Digest != first.Digest ||
		!strings.HasPrefix(c.said[0], "copied ghcr.io/prod:sha-1111111@") {
		t.Errorf("%+v, said %q", p, c.said)
	}
	if got := digestOf(t, c.o.Mirror+"/prod:sha-3333333"); got != first.Digest {
		t.Errorf("the third commit's tag names %q", got)
	}
}

// Uncommitted changes may use an existing image, and leave no tag of their inputs.
func TestDirtyTreesLeaveNoInputs(t *testing.T) {
	c := newCommits(t)
	c.src.Dirty, c.src.Tag = true, "sha-1111111-abcdef012345"
	dirty := c.ensure("ghcr.io/a")
	if tags := c.tags("a"); len(tags) != 1 || tags[0] != c.src.Tag {
		t.Fatal(tags)
	}
	c.commit("2")
	clean := c.ensure("ghcr.io/a")
	if clean.Digest == dirty.Digest || clean.Tag != "sha-2222222" {
		t.Errorf("%+v", clean)
	}
	c.src.Dirty, c.src.Tag = true, "sha-2222222-abcdef012345"
	if p := c.ensure("ghcr.io/a"); p != clean || len(c.tags("a")) != 3 {
		t.Errorf("%+v, tags %v", p, c.tags("a"))
	}
}

func TestRebuild(t *testing.T) {
	c := newCommits(t)
	c.commit("1")
	first := c.ensure("ghcr.io/a")
	c.o.Rebuild = true
	_, err := c.try("ghcr.io/a")
	if e := (*RebuildError)(nil); !errors.As(err, &e) || e.Tag != "sha-1111111" {
		t.Fatalf("%T: %v", err, err)
	}
	c.commit("2")
	second := c.ensure("ghcr.io/a")
	if second.Digest == first.Digest || second.Tag != "sha-2222222" {
		t.Errorf("%+v", second)
	}
	c.o.Rebuild = false
	c.commit("3")
	if p := c.ensure("ghcr.io/a"); p != second {
		t.Errorf("what was built anew does not stand for these inputs: %+v", p)
	}
}

func TestFilesThatChangeWhileTheyAreBuilt(t *testing.T) {
	c := newCommits(t)
	c.commit("1")
	c.ensure("ghcr.io/a") // skips where nothing can be built
	c.write("app.txt", "second")
	c.commit("2")
	c.o.Notify = func(s string) {
		if strings.HasPrefix(s, "building ") {
			c.write("app.txt", "edited")
		}
	}
	_, err := c.try("ghcr.io/a")
	if e := (*ChangedError)(nil); !errors.As(err, &e) || len(c.tags("a")) != 2 {
		t.Errorf("%v, tags %v", err, c.tags("a"))
	}
}

// A base image takes files by ONBUILD, for example: the digest of the inputs does not stand for what was
// built.
func TestUnforeseenContentIsBuiltAgain(t *testing.T) {
	c := newCommits(t)
	c.commit("1")
	c.ensure("ghcr.io/a")
	e := ensurer{store: c.o.store(), Options: c.o, src: c.src,
		pin: Pin{Repository: "ghcr.io/a"}}
	p := Pin{Repository: "ghcr.io/a", Tag: "sha-4444444", Digest: digestOf(t, c.o.Mirror+"/a:sha-1111111")}
	before := len(c.tags("a"))
	if err := e.tag(t.Context(), p, builder.Result{Unforeseen: true}, strings.Repeat("0", 64)); err != nil {
		t.Fatal(err)
	}
	if tags := c.tags("a"); len(tags) != before+1 {
		t.Error(tags)
	}
}
