package cluster

import (
	"context"
	"encoding/json"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"slipway/internal/object"
)

// PatchStatus merges values into the status of an object, which has a subresource for it or not.
func (c *Cluster) PatchStatus(ctx context.Context, ref object.Ref, status map[string]any) error {
	at, err := c.endpoint(ctx, ref, "")
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		return err
	}
	o := metav1.PatchOptions{FieldManager: Manager}
	_, err = at.Patch(ctx, ref.Name, types.MergePatchType, body, o, "status")
	if apierrors.IsNotFound(err) {
		_, err = at.Patch(ctx, ref.Name, types.MergePatchType, body, o)
	}
	if err != nil {
		return c.Explain(ctx, "patch", ref, err)
	}
	return nil
}
