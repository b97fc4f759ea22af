package object

import (
	"fmt"
	"slices"
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
	for _, bad := range []string{"a..b", "a[", `a["x]`, "a[b]", "a b", "{.a", "a.*", "a[*]", `a\`, "a[x='b]"} {
		if s, err := Steps(bad); err == nil {
			t.Errorf("%s gives %v", bad, s)
		}
	}
}

// spelled has keys and values that need quotes or escapes in a path.
var spelled = map[string]any{
	"ports": []any{
		map[string]any{"port": int64(53), "protocol": "TCP", "at": "dns"},
		map[string]any{"port": int64(53), "protocol": "UDP", "at": "dns"},
		map[string]any{"port": int64(9000000), "protocol": "TCP"},
	},
	"rules": []any{
		map[string]any{"host": "a,b=[c].example"},
		map[string]any{"host": `it's "here"`},
		map[string]any{"host": ""},
	},
	"labels": map[string]any{"a.b/c": "d", "0": "zero", "x y": "z"},
	"args":   []any{"one", "two"},
}

func TestCanonical(t *testing.T) {
	for want, spellings := range map[string][]string{
		"ports[port=53,protocol=UDP].at": {
			"ports[1].at", "ports.1.at", "/ports/1/at", `ports[protocol="UDP"].at`, "{.ports[1].at}", "$.ports[1].at",
			`ports[?(@.protocol=="UDP")].at`, `{ .ports[?(@.protocol == 'UDP')].at }`, "ports[protocol=UDP,port=53].at",
			`['ports'][protocol='UDP']["at"]`,
		},
		"ports[port=9000000,protocol=TCP].port": {"ports[port=9000000].port", ".ports[2].port"},
		`rules[host="a,b=[c].example"].host`:    {"rules[0].host", `rules[host='a,b=[c].example'].host`},
		`rules[host="it's \"here\""].host`:      {"/rules/1/host"},
		`rules[host=""].host`:                   {"rules[2].host", "rules[host=].host"},
		`labels["a.b/c"]`:                       {`labels.a\.b/c`, "labels['a.b/c']", "labels[a.b/c]", "/labels/a.b~1c"},
		"labels.0":                              {"labels[0]", `labels["0"]`, "/labels/0"},
		`labels["x y"]`:                         {`{.labels['x y']}`, "/labels/x y"},
		"args[1]":                               {"args.1", "/args/1"},
	} {
		for _, spelling := range append(spellings, want) {
			steps, err := Steps(spelling)
			if err != nil {
				t.Error(err)
				continue
			}
			if got, err := Canonical(spelled, steps); err != nil || got != want {
				t.Errorf("%s is %s, %v; want %s", spelling, got, err, want)
			}
		}
	}
	for spelling, want := range map[string][]string{
		"ports[port=53].at": {"ports[port=53,protocol=TCP]", "ports[port=53,protocol=UDP]"},
		"ports[at=<nil>]": {"ports[port=53,protocol=TCP]", "ports[port=53,protocol=UDP]",
			"ports[port=9000000,protocol=TCP]"},
		"labels.a.b":             {"labels.0", `labels["a.b/c"]`, `labels["x y"]`},
		"args[-1]":               {"args[0]", "args[1]"},
		"args.last":              {"args[0]", "args[1]"},
		`labels["a.b/c"].deeper`: {`labels["a.b/c"]`},
	} {
		steps, err := Steps(spelling)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Canonical(spelled, steps)
		none, ok := err.(*NoPathError)
		if !ok || !slices.Equal(none.Known, want) || none.Ambiguous != (spelling == "ports[port=53].at") {
			t.Errorf("%s: %+v", spelling, err)
		}
	}
}

// An empty mapping or list is a leaf: it has no field below it that another path could name.
func TestLeaves(t *testing.T) {
	body := map[string]any{
		"spec": map[string]any{
			"ports":    []any{map[string]any{"name": "http", "port": int64(80)}},
			"selector": map[string]any{}, "externalIPs": []any{},
		},
		"kind": "Service",
	}
	var got []string
	Leaves(body, func(path string, v any) { got = append(got, fmt.Sprintf("%s %v", path, v)) })
	want := []string{"kind Service", "spec.externalIPs []", "spec.ports[name=http].name http",
		"spec.ports[name=http].port 80", "spec.selector map[]"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	Leaves(nil, func(path string, _ any) { t.Errorf("an empty body has %q", path) })
}
