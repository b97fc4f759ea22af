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

// Options say how registries and a builder are reached.
type Options struct {
	// Client is the one of the run; nil: one for this call.
	Client *Client
	// Mirror is a registry that stands for all others, "127.0.0.1:5000": a sandbox's. Hosts are
	// dropped and paths kept; manifests keep the real name.
	Mirror string
	// Builder says where to build; its Mirrors and Notify are set here.
	Builder builder.Options
	// Shared keeps the builder for other images; nil: one is looked for and left again.
	Shared *builder.Shared
	// Progress shows builds; nil: nothing. Plain: never redraw.
	Progress io.Writer
	Plain    bool
	// Rebuild builds although the same inputs have been built: what is fetched may be newer.
	Rebuild bool
	// Notify is told what was done, one sentence each. May be nil.
	Notify func(string)
}

func (o Options) notify(format string, args ...any) {
	if o.Notify != nil {
		o.Notify(fmt.Sprintf(format, args...))
	}
}

// MissingError says that the manifests state an image which no registry has.
type MissingError struct {
	Pin    Pin
	Looked []string // the repositories
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s is named in the manifests but is in no registry", e.Pin.Reference())
}

// ErrNoTag says that nothing names the state to build: there is no commit.
var ErrNoTag = errors.New("no commit names this state, so an image of it has no tag")

// RebuildError says that a commit's tag already names what was built of it, so that what is built anew
// cannot have it.
type RebuildError struct{ Repository, Tag string }

func (e *RebuildError) Error() string {
	return fmt.Sprintf("%s:%s is in the registry already: built anew it may be other content, and tags are "+
		"never overwritten", e.Repository, e.Tag)
}

// ChangedError says that somebody edited files while they were built: no tag would be true of the result.
type ChangedError struct{ Context string }

func (e *ChangedError) Error() string {
	return fmt.Sprintf("files in %s changed while they were built: nothing was tagged, build again", e.Context)
}

// Ensure gives the content of one matched image. It is looked for by the tag of this commit, in its own
// repository and then in those of other environments (siblings), because what was tested is what ships;
// then, by the tag of what it is built from, as what an earlier commit has built; else it is built and
// pushed now. What the manifests state is never built. Without build nothing is written, and an image
// that is in no registry keeps an empty digest.
func Ensure(ctx context.Context, src project.Source, env project.Environment, m Matched, siblings []string,
	build bool, o Options) (Pin, error) {
	e := ensurer{
		store: o.store(), Options: o,
		src: src, image: m.Image, build: build, silent: map[string]bool{},
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

// content finds or builds what is wanted.
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
		e.notify("not looked for as the same content: %v", err) // a build will say the same, louder
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

// ensurer is one call of Ensure.
type ensurer struct {
	store
	Options
	src      project.Source
	image    project.Image
	pin      Pin // what is wanted
	siblings []string
	silent   map[string]bool // those siblings that could not be asked
	build    bool
}

// stated finds what the manifests name by digest or by a tag that never moves.
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
		return p, &MissingError{Pin: p, Looked: append([]string{p.Repository}, e.siblings...)}
	}
	p.Digest = found.Digest.String()
	return p, e.bring(ctx, from, p)
}

// tagged finds what this commit's tag names.
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
	if err := e.bring(ctx, from, p); err != nil || !e.build || p.Tag == e.pin.Tag {
		return p, err
	}
	return p, e.retag(ctx, p, e.pin.Tag, found)
}

// same finds content that another commit has built from the same inputs, and gives it this commit's tag.
// The base images that could be others by now are said.
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
		if err := e.bring(ctx, from, p); err != nil {
			return p, err
		}
	}
	if found.version == e.pin.Tag {
		e.notify("%s:%s was built before and had no tag", p.Repository, p.Tag)
	} else {
		newer := ""
		if len(moving) > 0 {
			newer = "; if there is a newer " + strings.Join(moving, " or ") + ", --rebuild takes it"
		}
		e.notify("%s:%s is the same content as %s: not built again%s", p.Repository, e.pin.Tag,
			cmp.Or(found.version, p.Digest), newer)
	}
	// What is not committed is nothing that others should find.
	if !e.build || e.src.Dirty {
		return p, nil
	}
	if from != p.Repository {
		e.remember(ctx, by.Tag, found)
	}
	return p, e.retag(ctx, p, e.pin.Tag, found)
}

// remember puts the tag of the inputs on content. It spares a build, and nothing depends on it.
func (e ensurer) remember(ctx context.Context, tag string, c *content) {
	if err := e.retag(ctx, e.pin, tag, c); err != nil {
		e.notify("not tagged %s, the next commit builds anew: %v", tag, err)
	}
}

// bring copies a pin's content from another repository, where something may be written.
func (e ensurer) bring(ctx context.Context, from string, p Pin) error {
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

// lookTime is how long Gone asks: who rolls back has no time to lose.
const lookTime = 5 * time.Second

// Gone are those pins whose content is in its registry no more, as far as that can be asked.
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

// search looks for a pin's content in other repositories. One that cannot be asked is passed over:
// nobody needs it to be there.
func (e ensurer) search(ctx context.Context, p Pin) (from string, found *content, err error) {
	for _, r := range e.siblings {
		if e.silent[r] {
			continue
		}
		found, err := e.look(ctx, r, p)
		if ctx.Err() != nil {
			return "", nil, err
		}
		if err != nil {
			e.silent[r] = true
			e.notify("not looked for in %s: %v", r, err)
			continue
		}
		if found != nil {
			return r, found, nil
		}
	}
	return "", nil, nil
}

// rebuild builds what may be in the registry, and from now on stands for the same inputs.
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
