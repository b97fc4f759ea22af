package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"slipway/internal/object"
)

// Standing is the health of one object of a list.
type Standing struct {
	Ref    object.Ref    `json:"ref"`
	Health object.Health `json:"health"`
	// Blocking objects are those that a deploy would wait for. The others' health informs.
	Blocking bool `json:"blocking"`
}

// Health reads the objects live, in the order of refs. What cannot be read is Unknown, with the
// reason; what is not there is NotFound. An error means that no cluster answers.
func (c *Cluster) Health(ctx context.Context, refs []object.Ref) ([]Standing, error) {
	list := make([]Standing, len(refs))
	errs := make([]error, len(refs))
	each(len(refs), func(i int) {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		list[i], errs[i] = c.standing(ctx, refs[i])
	})
	if ctx.Err() != nil {
		return list, context.Cause(ctx)
	}
	for _, err := range errs {
		var unreachable *UnreachableError
		if errors.As(err, &unreachable) {
			return list, err
		}
	}
	return list, nil
}

func (c *Cluster) standing(ctx context.Context, ref object.Ref) (Standing, error) {
	live, err := c.read(ctx, ref)
	var unknown *UnknownKindError
	switch {
	case err == nil:
		return Standing{Ref: ref, Health: live.Health(), Blocking: live.Blocking()}, nil
	case apierrors.IsNotFound(err):
		return Standing{Ref: ref, Health: object.Health{Status: object.NotFound, Message: "is not there"}, Blocking: true}, nil
	case errors.As(err, &unknown) && unknown.Err == nil:
		return Standing{Ref: ref, Health: object.Health{Status: object.NotFound, Message: "the cluster does not know this kind"}, Blocking: true}, nil
	}
	err = c.explain("get", ref, err)
	return Standing{Ref: ref, Health: object.Health{Status: object.Unknown, Message: err.Error()}}, err
}

// WaitEstablished waits for definitions to be established and for namespaces to be active, so that what
// builds on them can be applied. Other refs are ignored. Timeout zero means a minute.
func (c *Cluster) WaitEstablished(ctx context.Context, refs []object.Ref, timeout time.Duration) error {
	if timeout == 0 {
		timeout = time.Minute
	}
	var set object.Set
	for _, r := range refs {
		if r.Kind != "Namespace" && r.Kind != "CustomResourceDefinition" {
			continue
		}
		version := "v1"
		if r.Group != "" {
			version = r.Group + "/v1"
		}
		body := map[string]any{"apiVersion": version, "kind": r.Kind, "metadata": map[string]any{"name": r.Name}}
		if err := set.Add(object.Object{Body: body}); err != nil {
			return err
		}
	}
	if set.Len() == 0 {
		return nil
	}
	deadline := time.Now().Add(timeout)
	if err := c.Wait(ctx, set, WaitOptions{Timeout: timeout}); err != nil {
		return err
	}
	return c.waitMapped(ctx, set, time.Until(deadline))
}

// waitMapped waits until discovery knows the new kinds: it lags behind the definition's condition.
func (c *Cluster) waitMapped(ctx context.Context, set object.Set, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, max(timeout, callTimeout))
	defer cancel()
	for _, r := range set.Refs() {
		if r.Kind != "CustomResourceDefinition" {
			continue
		}
		live, err := c.read(ctx, r)
		if err != nil {
			return c.explain("get", r, err)
		}
		if err := c.waitKind(ctx, live); err != nil {
			return fmt.Errorf("wait for %s to be served: %w", r, err)
		}
	}
	return nil
}

func (c *Cluster) waitKind(ctx context.Context, definition object.Object) error {
	var ref object.Ref
	ref.Group, _ = definition.At("spec", "group").(string)
	ref.Kind, _ = definition.At("spec", "names", "kind").(string)
	tick := time.NewTicker(pollFast)
	defer tick.Stop()
	for {
		c.Rediscover()
		_, err := c.mapping(ref, "")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}
