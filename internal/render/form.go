package render

import (
	"context"
	"iter"
	"slices"

	"slipway/internal/object"
	"slipway/internal/project"
)

// Form is the form in which a caller wants rendered objects.
type Form struct {
	// Text is YAML, which may come from the cache; otherwise the result has the objects.
	Text bool
	// Digest is that of the set, beside the objects.
	Digest bool
	// Secrets keeps decrypted values, which are hidden otherwise.
	Secrets bool
}

// Rendered is an environment in a Form, or the error that it renders with.
type Rendered struct {
	Environment project.Environment
	Text
	Objects []object.Object
	Digest  string
	Err     error
}

// Each renders environments, in their order. One that fails does not stop the others. Environments share
// files: a warning about one comes once.
func (r *Renderer) Each(ctx context.Context, envs []project.Environment, f Form) iter.Seq[Rendered] {
	return func(yield func(Rendered) bool) {
		said := map[string]bool{}
		for _, env := range envs {
			result := r.inForm(ctx, env, f)
			result.Warnings = slices.DeleteFunc(slices.Clone(result.Warnings), func(w string) bool {
				repeated := said[w]
				said[w] = true
				return repeated
			})
			if !yield(result) {
				return
			}
		}
	}
}

func (r *Renderer) inForm(ctx context.Context, env project.Environment, f Form) Rendered {
	if f.Text {
		t, err := r.Text(ctx, env, f.Secrets)
		return Rendered{Environment: env, Text: t, Err: err}
	}
	result, err := r.Render(ctx, env)
	if err != nil {
		return Rendered{Environment: env, Err: err}
	}
	out := Rendered{Environment: env, Objects: result.Set.Objects(), Text: Text{Warnings: result.Remarks()}}
	if !f.Secrets {
		out.Objects = object.HideAll(out.Objects, result.Set.Concealed())
	}
	if f.Digest {
		out.Digest = result.Set.Digest()
	}
	return out
}
