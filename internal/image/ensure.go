package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"slipway/internal/image/builder"
	"slipway/internal/project"
)

// Options say how to reach registries and a builder.
type Options struct {
	// Client is the client of the run; nil: this call makes its own.
	Client *Client
	// Mirror is a registry that is asked instead of all others, such as that of a sandbox: "127.0.0.1:5000".
	// The path of a repository stays, its host is replaced. Manifests keep the real name.
	Mirror string
	// Builder says where to build. Its Mirrors and Notify are set by Ensure.
	Builder builder.Options
	// Shared keeps the builder for further images; nil: each image finds and closes one.
	Shared *builder.Shared
	// Progress receives the log of builds; nil: none. Plain turns off redrawing.
	Progress io.Writer
	Plain    bool
	// Rebuild builds even where the same inputs were built before, to take newer base images and downloads.
	Rebuild bool
	// Notify is told each step, in one line. It may be nil.
	Notify func(string)
	// Transfer is told how far copies are, some times a second, from several goroutines. It may be nil.
	Transfer func(Transfer)
}

func (o Options) notify(format string, args ...any) {
	if o.Notify != nil {
		o.Notify(fmt.Sprintf(format, args...))
	}
}

// MissingError says that the manifests name a version of an image that no registry has.
type MissingError struct{ Pin Pin }

func (e *MissingError) Error() string {
	return fmt.Sprintf("the manifests name %s, which does not exist", e.Pin.Reference())
}

// ErrNoTag says that an image tag cannot be made without a commit.
var ErrNoTag = errors.New("this directory is not in a Git commit, so an image of it has no tag")

// RebuildError says that an image cannot be rebuilt, because its commit's tag already names one.
type RebuildError struct{ Repository, Tag string }

func (e *RebuildError) Error() string {
	return fmt.Sprintf("%s:%s already exists: a rebuild may differ from it, and tags are "+
		"never overwritten", e.Repository, e.Tag)
}

// ChangedError says that files changed during their build, so that no tag describes the result.
type ChangedError struct{ Context string }

func (e *ChangedError) Error() string {
	return fmt.Sprintf("files in %s changed during the build: nothing was tagged", e.Context)
}

// Ensure returns the content of one matched image. It looks for the tag of this commit, in the image's own
// repository and then in those of other environments (siblings), because what was tested is what ships. Then
// it looks for an image that an earlier commit built from the same inputs. Otherwise it builds and pushes the
// image. A version that the manifests name is never built. Without build nothing is written, and an image
// that no registry has keeps an empty digest.
func Ensure(ctx context.Context, src project.Source, env project.Environment, m Matched, siblings []string,
	build bool, o Options) (Pin, error) {
	e := ensurer{
		store: o.store(), Options: o,
		src: src, image: m.Image, build: build, unreachable: map[string]bool{},
		pin: Pin{Name: m.Image.Name, Repository: m.In(env), Tag: src.Tag},
	}
	for _, r := range siblings {
		if r != e.pin.Repository {
			e.siblings = append(e.siblings, r)
		}
	}
	if m.Stated() {
		e.pin.Tag, e.pin.Digest = m.Tag, m.Digest
		return e.stated(ctx)
	}
	if e.pin.Tag == "" {
		return e.pin, ErrNoTag
	}
	p, err := e.content(ctx)
	if err != nil || !build {
		return p, err
	}
	return p, e.released(ctx, p)
}

// content finds the image, or builds it.
func (e ensurer) content(ctx context.Context) (Pin, error) {
	if e.Rebuild && e.build {
		return e.rebuild(ctx)
	}
	p, err := e.tagged(ctx)
	if err != nil || p.Digest != "" {
		return p, err
	}
	req, inputs, err := e.request(ctx)
	if err != nil && !e.build {
		e.notify("skipped the search for an image of the same files: %v", err) // a build fails with this error
		return p, nil
	}
	if err != nil {
		return p, err
	}
	p, err = e.same(ctx, inputs, builder.Moving(req))
	if err != nil || p.Digest != "" || !e.build {
		return p, err
	}
	return e.make(ctx, req, inputs)
}

// ensurer is the state of one call of Ensure.
type ensurer struct {
	store
	Options
	src         project.Source
	image       project.Image
	pin         Pin // what is wanted
	siblings    []string
	unreachable map[string]bool // siblings that did not answer
	build       bool
}

// stated finds an image that the manifests name by digest or by a tag that never moves.
func (e ensurer) stated(ctx context.Context) (Pin, error) {
	p := e.pin
	found, err := e.look(ctx, p.Repository, p)
	if err != nil {
		return p, err
	}
	if found != nil {
		p.Digest = found.Digest.String()
		e.notify("found %s", p.Reference())
		return p, nil
	}
	from, found, err := e.search(ctx, p)
	if err != nil {
		return p, err
	}
	if found == nil {
		return p, &MissingError{Pin: p}
	}
	p.Digest = found.Digest.String()
	return p, e.copyFrom(ctx, from, p)
}

// tagged finds the image with this commit's tag.
func (e ensurer) tagged(ctx context.Context) (Pin, error) {
	found, err := e.look(ctx, e.pin.Repository, e.pin)
	if err != nil {
		return e.pin, err
	}
	if found != nil {
		p := found.pinned(e.pin)
		e.notify("found %s", p.Reference())
		return p, nil
	}
	from, found, err := e.search(ctx, e.pin)
	if err != nil || found == nil {
		return e.pin, err
	}
	p := found.pinned(e.pin)
	if err := e.copyFrom(ctx, from, p); err != nil || !e.build || p.Tag == e.pin.Tag {
		return p, err
	}
	return p, e.retag(ctx, p, e.pin.Tag, found)
}

// same finds an image that another commit built from the same inputs, and gives it this commit's tag. It
// reports the base images that may have changed since (moving).
func (e ensurer) same(ctx context.Context, inputs string, moving []string) (Pin, error) {
	by := Pin{Repository: e.pin.Repository, Tag: inputsTag(inputs)}
	from := by.Repository
	found, err := e.look(ctx, from, by)
	if err == nil && found == nil {
		from, found, err = e.search(ctx, by)
	}
	if err != nil || found == nil {
		return e.pin, err
	}
	p := found.pinned(e.pin)
	if from != p.Repository {
		if err := e.copyFrom(ctx, from, p); err != nil {
			return p, err
		}
	}
	if found.version == e.pin.Tag {
		e.notify("%s:%s was built before and not tagged", p.Repository, p.Tag)
	} else {
		newer := ""
		if len(moving) > 0 {
			newer = "; pass --rebuild to take a newer " + strings.Join(moving, " or ")
		}
		e.notify("%s:%s has the same inputs as %s: not built again%s", p.Repository, e.pin.Tag,
			cmp.Or(found.version, p.Digest), newer)
	}
	// An image of uncommitted changes must not be found by others.
	if !e.build || e.src.Dirty {
		return p, nil
	}
	if from != p.Repository {
		e.remember(ctx, by.Tag, found)
	}
	return p, e.retag(ctx, p, e.pin.Tag, found)
}

// remember tags an image with its inputs. That saves later builds, so a failure is only reported.
func (e ensurer) remember(ctx context.Context, tag string, c *content) {
	if err := e.retag(ctx, e.pin, tag, c); err != nil {
		e.notify("not tagged %s, so the next commit builds again: %v", tag, err)
	}
}

// copyFrom copies a pin's content from another repository, unless nothing may be written.
func (e ensurer) copyFrom(ctx context.Context, from string, p Pin) error {
	if !e.build {
		e.notify("found %s in %s", p.Digest, from)
		return nil
	}
	if _, err := e.copy(ctx, from, p); err != nil {
		return fmt.Errorf("copy from %s: %w", from, err)
	}
	e.notify("copied %s from %s", p.Reference(), from)
	return nil
}

// lookTime limits Gone: a rollback is urgent.
const lookTime = 5 * time.Second

// Gone returns the pins whose content was deleted from its registry. Registries that do not answer are
// ignored.
func Gone(ctx context.Context, pins []Pin, o Options) []Pin {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	s := o.store()
	var gone []Pin
	for _, p := range pins {
		if digest, err := s.find(ctx, p.Repository, p); err == nil && digest == "" {
			gone = append(gone, p)
		}
	}
	return gone
}

// search looks for a pin's content in other repositories. It skips repositories that do not answer, because
// the image can be built instead.
func (e ensurer) search(ctx context.Context, p Pin) (from string, found *content, err error) {
	for _, r := range e.siblings {
		if e.unreachable[r] {
			continue
		}
		found, err := e.look(ctx, r, p)
		if ctx.Err() != nil {
			return "", nil, err
		}
		if err != nil {
			e.unreachable[r] = true
			e.notify("skipped the search in %s: %v", r, err)
			continue
		}
		if found != nil {
			return r, found, nil
		}
	}
	return "", nil, nil
}

// rebuild builds an image whose inputs may have been built before, and replaces that for later commits.
func (e ensurer) rebuild(ctx context.Context) (Pin, error) {
	existing, err := e.find(ctx, e.pin.Repository, e.pin)
	if err != nil {
		return e.pin, err
	}
	if existing != "" {
		return e.pin, &RebuildError{Repository: e.pin.Repository, Tag: e.pin.Tag}
	}
	req, inputs, err := e.request(ctx)
	if err != nil {
		return e.pin, err
	}
	req.Anew = true
	return e.make(ctx, req, inputs)
}
