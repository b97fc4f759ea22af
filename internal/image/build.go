package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"slipway/internal/image/builder"
	"slipway/internal/project"
)

// make builds and pushes the image, and then tags it.
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
	if req.Cache.Inline {
		req.Cache.From = e.earlier(ctx)
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
	req.Notify = nil // its warnings have been shown
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

// tag tags a built image. The commit's tag comes last, because an image that has it counts as complete.
func (e ensurer) tag(ctx context.Context, p Pin, res builder.Result, inputs string) error {
	if _, err := e.mayTag(ctx, p); err != nil {
		return err
	}
	built, err := e.look(ctx, p.Repository, p)
	if err != nil {
		return err
	}
	if built == nil {
		return fmt.Errorf("%s does not have the pushed image", p.Repository)
	}
	if !e.src.Dirty && !res.Unforeseen {
		e.remember(ctx, inputsTag(inputs), built)
	}
	if res.Tagged {
		return nil
	}
	return e.retag(ctx, p, p.Tag, built)
}

// within makes the path of the Dockerfile in a build error relative to the project.
func within(dir string, err error) error {
	var failed *builder.BuildError
	if errors.As(err, &failed) {
		if rel, relErr := filepath.Rel(dir, failed.File); relErr == nil && filepath.IsLocal(rel) {
			failed.File = filepath.ToSlash(rel)
		}
	}
	return err
}

// request returns the request to the builder, and the digest of its inputs.
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
		Annotations: map[string]string{labelVersion: labels[labelVersion], LabelRevision: labels[LabelRevision]},
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

// earlier returns the image of the nearest commit that has one, for the inline cache; empty where none has.
func (e ensurer) earlier(ctx context.Context) string {
	for _, tag := range e.src.Recent {
		digest, err := e.find(ctx, e.pin.Repository, Pin{Tag: tag})
		if err != nil {
			e.notify("building without the inline cache: %v", err)
			return ""
		}
		repository, err := locate(e.pin.Repository, e.Mirror)
		if err == nil && digest != "" {
			return repository.Digest(digest).String()
		}
	}
	return ""
}

// cache returns where the builder shares the results of its steps.
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

// labels say where the image comes from. They do not depend on the time or place of the build, so that the
// same source has the same digest.
func labels(src project.Source, img project.Image, p Pin) map[string]string {
	l := map[string]string{
		labelTitle:   path.Base(img.Name),
		labelVersion: p.Tag,
		LabelCreated: time.Unix(src.Time, 0).UTC().Format(time.RFC3339),
	}
	if src.Commit != "" {
		l[LabelRevision] = src.Commit
	}
	if src.Remote != "" {
		l[LabelSource] = src.Remote
	}
	return l
}
