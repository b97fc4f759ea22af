package cluster

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/object"
)

// Digests returns the digests of the images that containers of a namespace run, or have run and are to be
// started again.
func Digests(ctx context.Context, c *Cluster, namespace string) (map[string]bool, error) {
	list, err := c.typed.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, c.Explain(ctx, "list pods in", object.Ref{Kind: "Namespace", Name: namespace}, err)
	}
	ran := map[string]bool{}
	for i := range list.Items {
		status := list.Items[i].Status
		for _, all := range [][]corev1.ContainerStatus{status.InitContainerStatuses, status.ContainerStatuses} {
			for _, s := range all {
				started := s.State.Running != nil || s.State.Terminated != nil || s.LastTerminationState.Terminated != nil
				if _, digest, ok := strings.Cut(s.ImageID, "@"); ok && started {
					ran[digest] = true
				}
				if _, digest, ok := strings.Cut(s.Image, "@"); ok && started {
					ran[digest] = true
				}
			}
		}
	}
	return ran, nil
}
