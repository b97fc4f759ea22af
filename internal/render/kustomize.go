package render

import (
	"errors"
	"fmt"

	"slipway/internal/kustomize"
	"slipway/internal/object"
	rooted "slipway/internal/tree"
)

// ErrEmpty says that a source renders to nothing, which is never taken for a wish to delete.
var ErrEmpty = errors.New("no objects")

// overlay renders an overlay as the kustomize build command does.
func overlay(t *tree, path string) (Result, error) {
	root, err := rooted.Open(t.dir, nil)
	if err != nil {
		return Result{}, err
	}
	defer root.Close()
	built, err := kustomize.New(root).Build(root.View(t.ctx), path, kustomize.Options{})
	var refused *rooted.RefusedError
	if errors.As(err, &refused) {
		return Result{}, &RefusedError{Origin: refused.Origin, What: refused.What, Why: refused.Why}
	}
	if err != nil {
		return Result{}, err
	}
	result := Result{Warnings: built.Warnings}
	for _, o := range built.Objects {
		if o, err = object.New(o.Body, o.Origin); err == nil {
			err = result.Set.Add(o)
		}
		if err != nil {
			return Result{}, err
		}
	}
	if result.Set.Len() == 0 {
		return Result{}, fmt.Errorf("%s: %w", path, ErrEmpty)
	}
	return result, nil
}
