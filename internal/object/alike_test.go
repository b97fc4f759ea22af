package object

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func one(t *testing.T, kind, text string) Object {
	t.Helper()
	list, err := Read(strings.NewReader(fmt.Sprintf("{apiVersion: v1, kind: %s, metadata: {name: a}, %s}", kind, text)),
		"a.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return list[0]
}

// A value that means the same takes the spelling of the live object; any other keeps its own.
func TestRespell(t *testing.T) {
	for name, c := range map[string]struct{ want, have, result string }{
		"quantities": {`spec: {resources: {limits: {cpu: 1000m, memory: 1024Mi}, requests: {cpu: 0.5}}}`,
			`spec: {resources: {limits: {cpu: "1", memory: 1Gi}, requests: {cpu: 500m}}}`, ""},
		"other quantities": {`spec: {resources: {limits: {cpu: 1001m}}}`, `spec: {resources: {limits: {cpu: "1"}}}`, "-"},
		"a size":           {`spec: {sizeLimit: 1024Mi}`, `spec: {sizeLimit: 1Gi}`, ""},
		"text of a ConfigMap": {`data: {cpu: 1000m, limits: "1.0"}`, `data: {cpu: "1", limits: "1"}`,
			"-"},
		"an annotation": {`spec: {template: {metadata: {annotations: {cpu: 1000m}}}}`,
			`spec: {template: {metadata: {annotations: {cpu: "1"}}}}`, "-"},
		"a variable": {`spec: {containers: [{name: a, env: [{name: cpu, value: 1000m}]}]}`,
			`spec: {containers: [{name: a, env: [{name: cpu, value: "1"}]}]}`, "-"},
		"a chart's values": {`spec: {values: {resources: {limits: {cpu: 1000m}}}}`,
			`spec: {values: {resources: {limits: {cpu: "1"}}}}`, "-"},
		"a container by name": {`spec: {containers: [{name: b}, {name: a, resources: {limits: {cpu: 1000m}}}]}`,
			`spec: {containers: [{name: a, resources: {limits: {cpu: "1"}}}]}`,
			`spec: {containers: [{name: b}, {name: a, resources: {limits: {cpu: "1"}}}]}`},
		"a duration": {`spec: {duration: 60m}`, `spec: {duration: 1h0m0s}`, ""},
		"a selector": {`spec: {selector: {matchExpressions: [{key: a, operator: In, values: [x, y]}]}}`,
			`spec: {selector: {matchExpressions: [{key: a, operator: In, values: [y, x]}]}}`, ""},
		"verbs":     {`rules: [{verbs: [get, list]}]`, `rules: [{verbs: [list, get]}]`, ""},
		"arguments": {`spec: {args: [a, b]}`, `spec: {args: [b, a]}`, "-"},
		"verbs twice": {`rules: [{verbs: [get, get, list]}]`, `rules: [{verbs: [list, list, get]}]`,
			"-"},
		"metrics": {`spec: {metrics: [{type: A, x: 1}, {type: B}]}`, `spec: {metrics: [{type: B}, {type: A, x: 1}]}`, ""},
		"a port":  {`spec: {port: "80"}`, `spec: {port: 80}`, "-"},
	} {
		t.Run(name, func(t *testing.T) {
			want := one(t, "X", c.want)
			result := map[string]string{"": c.have, "-": c.want}[c.result]
			if result == "" {
				result = c.result
			}
			if diff := cmp.Diff(one(t, "X", result).Body, Respell(want, one(t, "X", c.have)).Body); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLost(t *testing.T) {
	for name, c := range map[string]struct{ want, have, lost string }{
		"defaults beside":     {`spec: {a: 1}`, `spec: {a: 1, b: 2}`, ""},
		"another value":       {`spec: {clusterIP: None}`, `spec: {clusterIP: 10.0.0.1}`, "spec.clusterIP None 10.0.0.1"},
		"a field":             {`spec: {a: {b: {c: 1}}}`, `spec: {a: {}}`, "spec.a.b.c 1 <nil>"},
		"an empty mapping":    {`spec: {a: {}, b: null, c: [], d: ""}`, `spec: {}`, ""},
		"a false":             {`spec: {a: false, b: 0}`, `spec: {}`, ""},
		"a false for a true":  {`spec: {a: false}`, `spec: {a: true}`, "spec.a false true"},
		"quantities":          {`data: {a: 1000m, b: 1024Mi}`, `data: {a: "1", b: 1Gi}`, ""},
		"an element":          {`spec: {list: [{name: a, x: 1}]}`, `spec: {list: [{name: b}, {name: a, x: 2}]}`, "spec.list[name=a].x 1 2"},
		"one element of two":  {`spec: {list: [{name: a}, {name: b}]}`, `spec: {list: [{name: a}]}`, "spec.list[name=b].name b <nil>"},
		"another order":       {`spec: {list: [b, a]}`, `spec: {list: [a, b]}`, ""},
		"twice, merged":       {`spec: {list: [a, a]}`, `spec: {list: [a]}`, "spec.list [a a] [a]"},
		"a default of a key":  {`spec: {ports: [{port: 80}]}`, `spec: {ports: [{port: 80, protocol: TCP}]}`, ""},
		"added before others": {`spec: {list: [{x: 1}]}`, `spec: {list: [{y: 1}, {x: 1, z: 1}]}`, ""},
		"a time":              {`spec: {t: "2026-01-01T01:00:00+01:00"}`, `spec: {t: "2026-01-01T00:00:00Z"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, f := range Lost(one(t, "X", c.want), one(t, "X", c.have)) {
				got = append(got, fmt.Sprint(f.Path, " ", f.Before, " ", f.After))
			}
			if diff := cmp.Diff(c.lost, strings.Join(got, "; ")); diff != "" {
				t.Error(diff)
			}
		})
	}
	secret := Lost(one(t, "Secret", `data: {a: b25l}`), one(t, "Secret", `data: {a: dHdv}`))
	if diff := cmp.Diff([]Field{{Path: "data.a", Before: Hidden, After: Hidden}}, secret); diff != "" {
		t.Error(diff)
	}
}
