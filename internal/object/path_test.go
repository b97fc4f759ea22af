package object

import (
	"testing"

	"go.yaml.in/yaml/v3"
)

const pathBody = `spec:
  containers:
  - name: api
    image: a
  - name: web
    ports:
    - {containerPort: 80, protocol: UDP}
    - {containerPort: 80, protocol: TCP, hostPort: 7}
metadata:
  annotations:
    a.b/c: "1"
`

func TestPath(t *testing.T) {
	var doc yaml.Node
	var body any
	if err := yaml.Unmarshal([]byte(pathBody), &doc); err != nil {
		t.Fatal(err)
	}
	if err := doc.Decode(&body); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		path        string
		value       any
		line, depth int
	}{
		{"spec.containers[name=api].image", "a", 4, 4},
		{"spec.containers[1].name", "web", 5, 4},
		{"spec.containers[name=web].ports[containerPort=80,protocol=TCP].hostPort", 7, 8, 6},
		{`metadata.annotations["a.b/c"]`, "1", 11, 3},
		{"spec.containers[name=api].resources.limits", nil, 3, 3},
		{"spec.replicas", nil, 1, 1},
		{"spec.containers[9]", nil, 2, 2},
	} {
		steps, err := Steps(test.path)
		if err != nil {
			t.Fatal(err)
		}
		v, ok := Value(body, steps)
		if v != test.value || ok != (test.value != nil) {
			t.Errorf("%s is %v, %v", test.path, v, ok)
		}
		n, depth := Find(doc.Content[0], steps)
		if n.Line != test.line || depth != test.depth {
			t.Errorf("%s is at line %d, %d steps; want %d, %d", test.path, n.Line, depth, test.line, test.depth)
		}
	}
	for _, bad := range []string{"a..b", "a[", `a["x]`, "a[b]", "a b"} {
		if s, err := Steps(bad); err == nil {
			t.Errorf("%s gives %v", bad, s)
		}
	}
}
