package node

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestUsage(t *testing.T) {
	requests := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("250m"),
		corev1.ResourceMemory: resource.MustParse("100Mi")}
	for _, tc := range []struct {
		name        string
		annotations []string
		requests    corev1.ResourceList
		cpu, memory string
	}{
		{"nothing said", nil, nil, "5m", "32Mi"},
		{"a tenth of the requests", nil, requests, "25m", "10Mi"},
		{"shared by two containers", []string{"cpu", "1", "memory", "64Mi"}, requests, "500m", "32Mi"},
	} {
		pod := testPod(tc.annotations...)
		pod.Spec.Containers[0].Resources.Requests = tc.requests
		got := usage(pod, &pod.Spec.Containers[0])
		if cpu, memory := got[corev1.ResourceCPU], got[corev1.ResourceMemory]; cpu.String() != tc.cpu ||
			memory.String() != tc.memory {
			t.Errorf("%s: got %s, %s, want %s, %s", tc.name, cpu.String(), memory.String(), tc.cpu, tc.memory)
		}
	}
}
