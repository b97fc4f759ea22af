package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"time"

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
	// Progress shows builds; nil: nothing. Plain: never redraw.
	Progress io.Writer
	Plain    bool
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

// Ensure gives the content of one matched image: what its own repository has under the wanted tag;
// else what another environment's repository (siblings) has under it, copied, because what was
// tested is what ships; else what is built and pushed now. What the manifests state is never built.
// Without build nothing is written, and an image that is in no registry keeps an empty digest.
func Ensure(ctx context.Context, src project.Source, env project.Environment, m Matched, siblings []string, build bool, o Options) (Pin, error) {
	p := Pin{Name: m.Image.Name, Repository: m.In(env), Tag: src.Tag}
	if m.Stated() {
		p.Tag, p.Digest = m.Tag, m.Digest
	} else if p.Tag == "" {
		return p, ErrNoTag
	}
	s := store{mirror: o.Mirror, transport: builder.Transport()}
	digest, err := s.find(ctx, p.Repository, p)
	if err != nil {
		return p, err
	}
	if digest != "" {
		p.Digest = digest
		o.notify("found %s", p.Reference())
		return p, nil
	}
	from, digest, err := s.search(ctx, siblings, p, o)
	switch {
	case err != nil:
		return p, err
	case digest != "" && build:
		p.Digest = digest
		if err := s.copy(ctx, from, p); err != nil {
			return p, fmt.Errorf("copy from %s: %w", from, err)
		}
		o.notify("copied %s from %s", p.Reference(), from)
		return p, nil
	case digest != "":
		p.Digest = digest
		o.notify("found %s in %s", p.Digest, from)
		return p, nil
	case m.Stated():
		return p, &MissingError{Pin: p, Looked: append([]string{p.Repository}, siblings...)}
	case !build:
		return p, nil
	}
	return s.build(ctx, src, m.Image, p, o)
}

// lookTime is how long Gone asks: who rolls back has no time to lose.
const lookTime = 5 * time.Second

// Gone are those pins whose content is in its registry no more, as far as that can be asked.
func Gone(ctx context.Context, pins []Pin, o Options) []Pin {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	s := store{mirror: o.Mirror, transport: builder.Transport()}
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
func (s store) search(ctx context.Context, repositories []string, p Pin, o Options) (from, digest string, err error) {
	for _, r := range repositories {
		if r == p.Repository {
			continue
		}
		digest, err := s.find(ctx, r, p)
		if ctx.Err() != nil {
			return "", "", err
		}
		if err != nil {
			o.notify("not looked for in %s: %v", r, err)
			continue
		}
		if digest != "" {
			return r, digest, nil
		}
	}
	return "", "", nil
}

func (s store) build(ctx context.Context, src project.Source, img project.Image, p Pin, o Options) (Pin, error) {
	req, err := request(src, img, p, o)
	if err != nil {
		return p, err
	}
	if err := s.mayPush(ctx, p); err != nil {
		return p, err
	}
	bo := o.Builder
	bo.Notify = o.Notify
	if o.Mirror != "" {
		bo.Mirrors = map[string]string{"*": o.Mirror}
	}
	b, err := builder.Find(ctx, bo)
	if err != nil {
		return p, err
	}
	o.notify("building %s:%s with %s", p.Repository, p.Tag, b.Describe())
	res, err := b.Build(ctx, req)
	if err = errors.Join(err, b.Close()); err != nil {
		return p, within(src.Project.Dir, err)
	}
	p.Digest = res.Digest
	if !res.Tagged {
		if err := s.tag(ctx, p); err != nil {
			return p, fmt.Errorf("tag %s: %w", p.Digest, err)
		}
	}
	o.notify("built %s", p.Reference())
	return p, nil
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

func request(src project.Source, img project.Image, p Pin, o Options) (builder.Request, error) {
	repository, err := locate(p.Repository, o.Mirror)
	if err != nil {
		return builder.Request{}, err
	}
	req := builder.Request{
		Context:    filepath.Join(src.Project.Dir, filepath.FromSlash(img.Context)),
		Target:     img.Target,
		BuildArgs:  img.BuildArgs,
		Labels:     labels(src, img, p),
		Platforms:  img.Platforms,
		Repository: repository.Name(),
		Tag:        p.Tag,
		Epoch:      src.Time,
		Progress:   o.Progress,
		Plain:      o.Plain,
	}
	if img.Dockerfile != "" {
		req.Dockerfile = filepath.Join(src.Project.Dir, filepath.FromSlash(img.Dockerfile))
	}
	return req, nil
}

// labels say where the image comes from. Nothing in them depends on when or where it is built, or
// the same source would not give the same digest.
func labels(src project.Source, img project.Image, p Pin) map[string]string {
	const prefix = "org.opencontainers.image."
	l := map[string]string{
		prefix + "title":   path.Base(img.Name),
		prefix + "version": p.Tag,
		prefix + "created": time.Unix(src.Time, 0).UTC().Format(time.RFC3339),
	}
	if src.Commit != "" {
		l[prefix+"revision"] = src.Commit
	}
	if src.Remote != "" {
		l[prefix+"source"] = src.Remote
	}
	return l
}
