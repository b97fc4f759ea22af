package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"slipway/internal/builder"
	"slipway/internal/project"
)

// Options say how registries and a builder are reached.
type Options struct {
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
	return fmt.Sprintf("%s:%s is in the registry already: built anew it may be other content, and tags are never overwritten", e.Repository, e.Tag)
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
func Ensure(ctx context.Context, src project.Source, env project.Environment, m Matched, siblings []string, build bool, o Options) (Pin, error) {
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
	digest, err := e.find(ctx, p.Repository, p)
	if err != nil {
		return p, err
	}
	if digest != "" {
		p.Digest = digest
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
		e.notify("%s:%s is the same content as %s: not built again%s", p.Repository, e.pin.Tag, cmp.Or(found.version, p.Digest), newer)
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

// make builds and pushes, and then tags.
func (e ensurer) make(ctx context.Context, req builder.Request, inputs string) (Pin, error) {
	p := e.pin
	if err := e.mayPush(ctx, p); err != nil {
		return p, err
	}
	bo := e.Builder
	bo.Notify = e.Notify
	if e.Mirror != "" {
		bo.Mirrors = map[string]string{"*": e.Mirror}
	}
	shared := e.Shared
	if shared == nil {
		shared = &builder.Shared{}
	}
	b, err := shared.Find(ctx, bo)
	if err != nil {
		return p, err
	}
	e.notify("building %s:%s with %s", p.Repository, p.Tag, b.Describe())
	res, err := b.Build(ctx, req)
	if e.Shared == nil {
		err = errors.Join(err, shared.Close())
	}
	if err != nil {
		return p, within(e.src.Project.Dir, err)
	}
	file := cmp.Or(e.image.Dockerfile, path.Join(e.image.Context, "Dockerfile"))
	for _, w := range res.Warnings {
		at := file
		if w.Line > 0 {
			at = fmt.Sprintf("%s:%d", file, w.Line)
		}
		e.notify("warning: %s: %s", at, w.Text)
	}
	req.Notify = nil // it has said what there is to say
	if after, err := builder.Inputs(ctx, req); err != nil {
		return p, err
	} else if after != inputs {
		return p, &ChangedError{Context: e.image.Context}
	}
	p.Digest = res.Digest
	if err := e.tag(ctx, p, res, inputs); err != nil {
		return p, fmt.Errorf("tag %s: %w", p.Digest, err)
	}
	e.notify("built %s", p.Reference())
	return p, nil
}

// tag tags what was built. The commit's tag comes last: once it is there, nothing more is asked.
func (e ensurer) tag(ctx context.Context, p Pin, res builder.Result, inputs string) error {
	if _, err := e.mayTag(ctx, p); err != nil {
		return err
	}
	built, err := e.look(ctx, p.Repository, p)
	if err != nil {
		return err
	}
	if built == nil {
		return fmt.Errorf("%s has not what was pushed there", p.Repository)
	}
	if !e.src.Dirty && !res.Unforeseen {
		e.remember(ctx, inputsTag(inputs), built)
	}
	if res.Tagged {
		return nil
	}
	return e.retag(ctx, p, p.Tag, built)
}

// within names the Dockerfile of a failed build as the project does.
func within(dir string, err error) error {
	var failed *builder.BuildError
	if errors.As(err, &failed) {
		if rel, relErr := filepath.Rel(dir, failed.File); relErr == nil && filepath.IsLocal(rel) {
			failed.File = filepath.ToSlash(rel)
		}
	}
	return err
}

// request is what is asked of a builder, with the digest of its inputs.
func (e ensurer) request(ctx context.Context) (builder.Request, string, error) {
	repository, err := locate(e.pin.Repository, e.Mirror)
	if err != nil {
		return builder.Request{}, "", err
	}
	labels := labels(e.src, e.image, e.pin)
	req := builder.Request{
		Context:     filepath.Join(e.src.Project.Dir, filepath.FromSlash(e.image.Context)),
		Target:      e.image.Target,
		BuildArgs:   e.image.BuildArgs,
		Labels:      labels,
		Annotations: map[string]string{versionKey: labels[versionKey], revisionKey: labels[revisionKey]},
		Platforms:   e.image.Platforms,
		SSH:         e.image.SSH,
		Provenance:  e.image.Provenance,
		SBOM:        e.image.SBOM,
		Repository:  repository.Name(),
		Tag:         e.pin.Tag,
		Epoch:       e.src.Time,
		Progress:    e.Progress,
		Plain:       e.Plain,
		Notify:      e.Notify,
	}
	for _, s := range e.image.Secrets {
		secret := builder.Secret{ID: s.ID, Env: s.Env}
		if s.File != "" {
			secret.File = filepath.Join(e.src.Project.Dir, filepath.FromSlash(s.File))
		}
		req.Secrets = append(req.Secrets, secret)
	}
	if req.Cache, err = e.cache(); err != nil {
		return req, "", err
	}
	if e.image.Dockerfile != "" {
		req.Dockerfile = filepath.Join(e.src.Project.Dir, filepath.FromSlash(e.image.Dockerfile))
	}
	inputs, err := builder.Inputs(ctx, req)
	return req, inputs, err
}

// cache says where a builder keeps its steps for others.
func (e ensurer) cache() (builder.Cache, error) {
	c := builder.Cache{Inline: e.image.Cache.Inline, GitHub: e.image.Cache.GitHub}
	if e.image.Cache.Local != "" {
		c.Local = filepath.Join(e.src.Project.Dir, filepath.FromSlash(e.image.Cache.Local))
	}
	if e.image.Cache.Registry == "" {
		return c, nil
	}
	ref, err := name.ParseReference(e.image.Cache.Registry)
	if err != nil {
		return c, fmt.Errorf("cache: %w", err)
	}
	repository, err := locate(ref.Context().Name(), e.Mirror)
	if err != nil {
		return c, fmt.Errorf("cache: %w", err)
	}
	c.Registry = repository.Name() + ":" + ref.Identifier()
	return c, nil
}

// labels say where the image comes from. Nothing in them depends on when or where it is built, or
// the same source would not give the same digest.
func labels(src project.Source, img project.Image, p Pin) map[string]string {
	const prefix = "org.opencontainers.image."
	l := map[string]string{
		prefix + "title":   path.Base(img.Name),
		versionKey:         p.Tag,
		prefix + "created": time.Unix(src.Time, 0).UTC().Format(time.RFC3339),
	}
	if src.Commit != "" {
		l[revisionKey] = src.Commit
	}
	if src.Remote != "" {
		l[prefix+"source"] = src.Remote
	}
	return l
}
