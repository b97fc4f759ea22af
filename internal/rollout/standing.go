package rollout

import (
	"context"
	"errors"

	"slipway/internal/cluster"
	"slipway/internal/object"
)

// Standing is the health of one object of a list.
type Standing struct {
	Ref    object.Ref    `json:"ref"`
	Health object.Health `json:"health"`
	// Blocking objects are those that a deploy waits for. The health of the others is informative.
	Blocking bool `json:"blocking"`
	// Live is the object where it keeps pods running, else empty: thousands of others are not held.
	Live object.Object `json:"-"`
	// Idle workloads are to run no pods.
	Idle bool `json:"-"`
}

// Health reads the health of the objects, in the order of refs. An object that cannot be read is Unknown,
// with the reason; one that does not exist is NotFound. It fails only when the cluster does not answer.
func Health(ctx context.Context, c *cluster.Cluster, j Judge, refs []object.Ref) ([]Standing, error) {
	list, errs := make([]Standing, len(refs)), make([]error, len(refs))
	var pool object.Pool
	c.ReadAll(ctx, refs, func(i int, live object.Object, err error) {
		list[i], errs[i] = standing(ctx, c, j, refs[i], live, err)
		list[i].Live = pool.Fold(list[i].Live)
	})
	if ctx.Err() != nil {
		return list, context.Cause(ctx)
	}
	for _, err := range errs {
		if _, ok := errors.AsType[*cluster.UnreachableError](err); ok {
			return list, err
		}
	}
	return list, nil
}

func standing(
	ctx context.Context, c *cluster.Cluster, j Judge, ref object.Ref, live object.Object, err error,
) (Standing, error) {
	if live.Body != nil {
		s := Standing{Ref: ref, Health: j.Health(live), Blocking: j.Blocking(live)}
		s.Blocking = s.Blocking && !isUnattended(ref, s.Health)
		s.Idle = live.At("spec", "replicas") == int64(0) ||
			ref.Kind == "DaemonSet" && live.At("status", "desiredNumberScheduled") == int64(0)
		if runsPods(live) {
			s.Live = live
		}
		return s, nil
	}
	health := object.Health{Status: object.NotFound, Message: "does not exist"}
	if unknown, ok := errors.AsType[*cluster.UnknownKindError](err); ok && unknown.Err == nil {
		health.Message, err = "the cluster does not serve this kind", nil
	}
	if err != nil {
		err = c.Explain(ctx, "get", ref, err)
		return Standing{Ref: ref, Health: object.Health{Status: object.Unknown, Message: err.Error()}}, err
	}
	return Standing{Ref: ref, Health: health, Blocking: true}, nil
}

// isUnattended says that no controller cares for an object, which therefore holds up nothing.
func isUnattended(ref object.Ref, h object.Health) bool {
	return ref.IsExternal() && h.Status == object.Unknown
}
