package rollout

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/object"
)

// StillThereError says that deleted objects still exist.
type StillThereError struct {
	Refs []object.Ref
	// Held names the finalizers that the first one waits for; empty without any.
	Held string
}

func (e *StillThereError) Error() string {
	text := e.Refs[0].String()
	if n := len(e.Refs) - 1; n > 0 {
		text += fmt.Sprintf(" (and %d more)", n)
	}
	if e.Held == "" {
		return text + " is still being deleted, and its pods or other parts end first"
	}
	return fmt.Sprintf("%s is held by %s", text, e.Held)
}

// WaitGone waits until deleted objects are gone. Timeout zero means two minutes. It fails with a
// *StillThereError at the timeout, whose first object is one that finalizers hold, if there is one. Where
// uids has the UID of an object, another one of its name does not count: the controller that aggregates
// ClusterRoles may make one again that was deleted. Those are returned.
func WaitGone(
	ctx context.Context, c *cluster.Cluster, refs []object.Ref, uids map[object.Ref]string,
	timeout time.Duration,
) (remade []object.Ref, err error) {
	until, cancel := context.WithTimeout(ctx, cmp.Or(timeout, 2*time.Minute))
	defer cancel()
	for {
		var left []object.Ref
		held := ""
		all, errs := c.GetAll(ctx, refs)
		for i, live := range all {
			if errs[i] != nil {
				return remade, c.Explain(ctx, "get", refs[i], errs[i])
			}
			switch uid := uids[refs[i]]; {
			case live.Body == nil:
			case uid != "" && live.At("metadata", "uid") != uid:
				remade = append(remade, refs[i])
			default:
				left = append(left, refs[i])
				if holds := live.Holds(); len(holds) > 0 && held == "" {
					held = "finalizers " + strings.Join(holds, ", ")
					left[0], left[len(left)-1] = left[len(left)-1], left[0]
				}
			}
		}
		if len(left) == 0 {
			return remade, nil
		}
		if refs = left; !cluster.Sleep(until, pollFast) {
			return remade, cmp.Or[error](context.Cause(ctx), &StillThereError{Refs: refs, Held: held})
		}
	}
}
