package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"sync"

	"golang.org/x/sync/errgroup"

	"slipway/internal/image"
	"slipway/internal/image/builder"
	"slipway/internal/image/signature"
)

// Reach completes options with how the target's registries are reached.
func (t Target) Reach(o image.Options) image.Options {
	o.Client, o.Mirror = t.Registries, t.Mirror
	o.Notify = func(text string) { t.say(Image, nil, "%s", text) }
	return o
}

// gone returns the prepared images that their registries no longer have. It gives up after a few seconds.
func gone(ctx context.Context, t Target, p Prepared) []image.Pin {
	return image.Gone(ctx, p.Images, t.Reach(image.Options{}))
}

func warnOfGone(ctx context.Context, t Target, p Prepared) {
	for _, pin := range gone(ctx, t, p) {
		t.warn(Image, nil, "%s is not in its registry any more: only nodes that have pulled it can run it",
			pin.Reference())
	}
}

// atOnce bounds how many images are resolved or built at the same time.
const atOnce = 4

// ensure resolves or builds the images of an environment, several at once with one builder. The first failure
// stops the others. An image gets its tags only when it is complete.
func ensure(ctx context.Context, t Target, matches []image.Matched, others []other, by []signature.Authority,
	o PrepareOptions) (pins []image.Pin, err error) {
	shared := &builder.Shared{}
	defer func() { err = errors.Join(err, shared.Close()) }()
	o.Image.Shared = shared
	var mu sync.Mutex
	if notify := o.Image.Notify; notify != nil {
		o.Image.Notify = func(text string) {
			mu.Lock()
			defer mu.Unlock()
			notify(text)
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	pins = make([]image.Pin, len(matches))
	for i, m := range matches {
		own := o
		if len(matches) > 1 && own.Image.Progress != nil {
			own.Image.Progress, own.Image.Plain = &labelled{mu: &mu, w: o.Image.Progress,
				label: path.Base(m.Image.Name)}, true
		}
		g.Go(func() (err error) {
			if w, ok := o.Image.Progress.(rower); ok {
				defer w.Row("build "+path.Base(m.Image.Name), "")
			}
			if pins[i], err = pin(ctx, t, m, siblings(m.Image, others), by, own); err != nil {
				return fmt.Errorf("image %s of %s: %w", m.Image.Name, t.Environment.Name, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return pins, nil
}

// rower shows texts in place: the newest one of each key.
type rower interface{ Row(key, text string) }

// labelled writes whole lines, each with the name of its image. A rower shows the last line of each image.
type labelled struct {
	mu    *sync.Mutex
	w     io.Writer
	label string
	rest  []byte
}

func (l *labelled) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	end := bytes.LastIndexByte(l.rest, '\n') + 1
	var out []byte
	for line := range bytes.Lines(l.rest[:end]) {
		if len(bytes.TrimSpace(line)) > 0 {
			out = append(append(out, l.label+" | "...), line...)
		}
	}
	l.rest = l.rest[end:]
	l.mu.Lock()
	defer l.mu.Unlock()
	if w, ok := l.w.(rower); ok {
		lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
		if last := lines[len(lines)-1]; len(last) > 0 {
			w.Row("build "+l.label, string(last))
		}
		return len(p), nil
	}
	_, err := l.w.Write(out)
	return len(p), err
}
