package promote

import (
	"context"
	"fmt"

	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render"
)

// other is another environment as it is without the promotion.
type other struct {
	project.Environment
	set   object.Set
	reads map[string]bool
}

// sparesOthers proves that no other environment changes.
func (w *work) sparesOthers(ctx context.Context, a attempt, files map[string][]byte) error {
	if err := w.renderOthers(ctx); err != nil {
		return err
	}
	for _, o := range w.others {
		if !o.readsAny(a) {
			continue
		}
		after, err := w.renderer.Edited(ctx, o.Environment, files)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("%s is rendered from it too, and does not render any more: %w", o.Name, err)
		}
		if o.set.Digest() != after.Set.Digest() {
			return fmt.Errorf("%s is rendered from it too: %s would change", o.Name, differs(o.set, after.Set))
		}
	}
	return nil
}

func (o other) readsAny(a attempt) bool {
	for _, f := range a.files {
		if o.reads[f.file] {
			return true
		}
	}
	return false
}

// renderOthers renders the other environments once.
func (w *work) renderOthers(ctx context.Context) error {
	if w.others != nil {
		return nil
	}
	w.others = []other{}
	for _, env := range w.project.Environments {
		if env.Name == w.env.Name {
			continue
		}
		before, err := w.renderer.Render(ctx, env)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			w.result.Notes = append(w.result.Notes, fmt.Sprintf("did not check that %s stays the same: %v",
				env.Name, err))
			continue
		}
		w.others = append(w.others, other{env, before.Set, filesOf(before)})
	}
	return nil
}

// filesOf returns the files that a render has read.
func filesOf(r render.Result) map[string]bool {
	files := map[string]bool{}
	for _, seen := range r.Reads.List() {
		files[seen.Path] = true
	}
	return files
}
