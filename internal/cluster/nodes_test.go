package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

func TestNodesOfAPod(t *testing.T) {
	node := func(name, arch string, taints ...corev1.Taint) corev1.Node {
		return corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/arch": arch,
				"pool": name}},
			Spec:   corev1.NodeSpec{Taints: taints},
			Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{OperatingSystem: "linux", Architecture: arch}},
		}
	}
	unnamed := node("f", "riscv64")
	unnamed.Status.NodeInfo = corev1.NodeSystemInfo{}
	nodes := Nodes{
		node("a", "amd64"), node("b", "amd64"), node("c", "arm64"),
		node("d", "arm64", corev1.Taint{Key: "dedicated", Value: "gpu", Effect: corev1.TaintEffectNoSchedule}),
		node("e", "amd64", corev1.Taint{Key: "node.kubernetes.io/unschedulable",
			Effect: corev1.TaintEffectNoSchedule}),
		unnamed,
	}
	for name, c := range map[string]struct {
		spec string
		want map[string]int
	}{
		"anywhere":      {`{}`, map[string]int{"linux/amd64": 3, "linux/arm64": 1, "linux/riscv64": 1}},
		"nodeSelector":  {`nodeSelector: {kubernetes.io/arch: arm64}`, map[string]int{"linux/arm64": 1}},
		"tolerates":     {`{nodeSelector: {kubernetes.io/arch: arm64}, tolerations: [{key: dedicated, operator: Exists}]}`, map[string]int{"linux/arm64": 2}},
		"another label": {`nodeSelector: {pool: b}`, map[string]int{"linux/amd64": 1}},
		"by name":       {`nodeName: c`, map[string]int{"linux/arm64": 1}},
		"nowhere":       {`nodeSelector: {pool: none}`, map[string]int{}},
		"affinity": {`affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [
			{matchExpressions: [{key: kubernetes.io/arch, operator: NotIn, values: [amd64]}]}]}}}`, map[string]int{"linux/arm64": 1, "linux/riscv64": 1}},
		"what it prefers": {`affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, preference:
			{matchExpressions: [{key: kubernetes.io/arch, operator: In, values: [arm64]}]}}]}}`, map[string]int{"linux/amd64": 3, "linux/arm64": 1, "linux/riscv64": 1}},
	} {
		var spec map[string]any
		if err := yaml.Unmarshal([]byte(c.spec), &spec); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, nodes.Platforms(spec)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
