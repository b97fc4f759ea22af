package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDifferences(t *testing.T) {
	for _, test := range []struct{ name, before, after, want string }{
		{"what the server writes does not count",
			`{metadata: {name: a, uid: u, generation: 1, resourceVersion: "1", creationTimestamp: x, managedFields: [{}]}, status: {a: 1}}`,
			`{metadata: {name: a, generation: 2, resourceVersion: "2"}, status: {a: 2}}`, ``},
		{"what the server counts in an annotation does not count",
			`{metadata: {annotations: {deprecated.daemonset.template.generation: "1"}}}`, `{metadata: {}}`, ``},
		{"annotations beside that one do",
			`{metadata: {annotations: {deprecated.daemonset.template.generation: "1", a: x}}}`,
			`{metadata: {annotations: {deprecated.daemonset.template.generation: "2", a: z}}}`,
			`metadata.annotations.a: "x" → "z"`},
		{"keys that are no words are quoted",
			`{metadata: {annotations: {a.b/c: x, plain-key: x}}}`,
			`{metadata: {annotations: {a.b/c: z}, labels: {a: b}}}`,
			`metadata.annotations["a.b/c"]: "x" → "z"
			 metadata.annotations.plain-key: "x" → null
			 metadata.labels: null → {"a":"b"}`},
		{"containers by name, whatever their place",
			`{spec: {template: {spec: {containers: [{name: api, image: a}, {name: old, image: o}]}}}}`,
			`{spec: {template: {spec: {containers: [{name: new, image: c}, {name: api, image: b}]}}}}`,
			`spec.template.spec.containers[name=api].image: "a" → "b"
			 spec.template.spec.containers[name=old]: {"image":"o","name":"old"} → null
			 spec.template.spec.containers[name=new]: null → {"image":"c","name":"new"}`},
		{"the order of a list",
			`{initContainers: [{name: a}, {name: b}, {name: c}]}`,
			`{initContainers: [{name: b}, {name: a}, {name: c}]}`,
			`initContainers: "order [name=a][name=b][name=c]" → "order [name=b][name=a][name=c]"`},
		{"ports by number and protocol",
			`{ports: [{containerPort: 80, protocol: TCP}, {containerPort: 80, protocol: UDP}]}`,
			`{ports: [{containerPort: 80, protocol: TCP, hostPort: 1}, {containerPort: 80, protocol: UDP}]}`,
			`ports[containerPort=80,protocol=TCP].hostPort: null → 1`},
		{"mounts by path", `{volumeMounts: [{name: v, mountPath: /a}, {name: v, mountPath: /b}]}`,
			`{volumeMounts: [{name: v, mountPath: /a, readOnly: true}, {name: v, mountPath: /b}]}`,
			`volumeMounts[mountPath=/a].readOnly: null → true`},
		{"hosts", `{rules: [{host: a.example, x: 1}]}`, `{rules: [{host: a.example, x: 2}]}`,
			`rules[host=a.example].x: 1 → 2`},
		{"no key: by position", `{rules: [{verbs: [get]}, {verbs: [list]}]}`,
			`{rules: [{verbs: [get]}, {verbs: [list, watch]}, {verbs: [x]}]}`,
			`rules[1].verbs: ["list"] → ["list","watch"]
			 rules[2]: null → {"verbs":["x"]}`},
		{"two of one name: by position", `{env: [{name: A, value: "1"}, {name: A, value: "2"}]}`,
			`{env: [{name: A, value: "1"}, {name: A, value: "3"}]}`,
			`env[1].value: "2" → "3"`},
		{"plain lists are one value", `{args: [a, b]}`, `{args: [b]}`, `args: ["a","b"] → ["b"]`},
		{"an empty list", `{args: [{name: a}]}`, `{args: []}`, `args: [{"name":"a"}] → []`},
		{"1 is 1.0", `{x: 1, y: [1]}`, `{x: 1.0, y: [1]}`, ``},
		{"null is nothing", `{x: null}`, `{}`, ``},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := fieldText(differences(parse(t, test.before), parse(t, test.after), false))
			if diff := cmp.Diff(lines(test.want), lines(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSecretsAreMasked(t *testing.T) {
	before := parse(
		t, `{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {changed: b25l, gone: b25l, same: b25l}}`)
	after := parse(
		t, `{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {changed: dHdv, new: dHdv, same: b25l}}`)
	fields := differences(before, after, false)
	var paths []string
	for _, f := range fields {
		paths = append(paths, f.Path)
	}
	if diff := cmp.Diff([]string{"data.changed", "data.gone", "data.new"}, paths); diff != "" {
		t.Error(diff)
	}
	if s := fieldText(fields); strings.Contains(s, "b25l") || strings.Contains(s, "dHdv") {
		t.Errorf("a secret value shows: %s", s)
	}
}

func lines(s string) []string {
	var out []string
	for l := range strings.Lines(s) {
		if l = strings.TrimSpace(l); l != "" {
			out = append(out, l)
		}
	}
	return out
}
