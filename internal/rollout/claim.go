package rollout

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// awaitVolume withdraws the verdict on a pod whose claim is being provisioned, and lets the events of a claim
// that is not explain the others.
func (w *waiter) awaitVolume(ctx context.Context, it *item) {
	for i := range it.symptoms {
		s := &it.symptoms[i]
		if s.reason != corev1.PodReasonUnschedulable || !strings.Contains(s.message, "PersistentVolumeClaims") {
			continue
		}
		claim, why := w.unbound(ctx, s.pod)
		switch {
		case claim == nil:
			continue
		case why != "":
			s.message = fmt.Sprintf("the claim %s has no volume: %s", claim.Name, why)
			for j := range it.final {
				if it.final[j].key() == s.key() {
					it.final[j].message = s.message
				}
			}
			continue
		}
		it.waitsFor = fmt.Sprintf("waiting for the volume of the claim %s", claim.Name)
		if class := claim.Spec.StorageClassName; class != nil {
			it.waitsFor += fmt.Sprintf(" (storage class %s)", *class)
		}
		it.final = slices.DeleteFunc(it.final, func(f symptom) bool { return f.key() == s.key() })
	}
}

// unbound returns the first claim of a pod that has no volume, and why it will not get one; "" where it is
// being provisioned.
func (w *waiter) unbound(ctx context.Context, pod *corev1.Pod) (*corev1.PersistentVolumeClaim, string) {
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim == nil {
			continue
		}
		claim, err := w.c.Typed().CoreV1().PersistentVolumeClaims(pod.Namespace).Get(ctx,
			v.PersistentVolumeClaim.ClaimName, metav1.GetOptions{})
		if err != nil || claim.Status.Phase != corev1.ClaimPending {
			continue
		}
		list, _ := events(ctx, w.c.Typed(), pod.Namespace, claim.UID)
		for _, e := range slices.Backward(list) {
			switch {
			case e.Reason == "FailedBinding",
				e.Reason == "ProvisioningFailed" && strings.Contains(e.Message, "not found"):
				return claim, e.Message
			case e.Reason == "ProvisioningFailed", strings.HasSuffix(e.Reason, "Provisioning"):
				return claim, ""
			}
		}
		return claim, ""
	}
	return nil, ""
}
