package cluster

import (
	"context"
	"slices"
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
		spec, status := list.Items[i].Spec, list.Items[i].Status
		told := map[string]string{} // a runtime may name another digest than the one of the index
		for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
			told[c.Name] = c.Image
		}
		for _, all := range [][]corev1.ContainerStatus{status.InitContainerStatuses, status.ContainerStatuses} {
			for _, s := range all {
				started := s.State.Running != nil || s.State.Terminated != nil || s.LastTerminationState.Terminated != nil
				for _, name := range []string{s.ImageID, s.Image, told[s.Name]} {
					if _, digest, ok := strings.Cut(name, "@"); ok && started {
						ran[digest] = true
					}
				}
			}
		}
	}
	return ran, nil
}
