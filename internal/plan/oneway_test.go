package plan

import (
	"testing"

	"slipway/internal/object"
)

func TestIrreversible(t *testing.T) {
	head := func(kind string) string { return "{apiVersion: v1, kind: " + kind + ", metadata: {name: a}, " }
	claim := func(size string) string {
		return head("PersistentVolumeClaim") + "spec: {resources: {requests: {storage: " + size + "}}}}"
	}
	definition := func(version string) string {
		return `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: a}, spec: {
			group: a, versions: [{name: ` + version + `, storage: true}]}}`
	}
	for name, test := range map[string]struct {
		live, merged string
		rollback     bool
		want         string
	}{
		"a claim grows":                   {live: claim("1Gi"), merged: claim("2Gi"), want: "a claim does not shrink"},
		"a claim, respelled and labelled": {live: claim("1Gi"), merged: claim("1024Mi")},
		"a ConfigMap becomes immutable": {live: head("ConfigMap") + "data: {}}",
			merged: head("ConfigMap") + "immutable: true}", want: "it is immutable from now on"},
		"an immutable ConfigMap is replaced": {live: head("ConfigMap") + `immutable: true, data: {a: "1"}}`,
			merged: head("ConfigMap") + `immutable: true, data: {a: "2"}}`},
		"a ConfigMap becomes immutable with other data": {live: head("ConfigMap") + `data: {a: "1", b: "1"}}`,
			merged: head("ConfigMap") + `immutable: true, data: {a: "1"}}`},
		"another version": {live: definition("v1"), merged: definition("v2"),
			want: "objects may be stored in another version by then"},
		"the way back itself": {live: claim("1Gi"), merged: claim("2Gi"), rollback: true},
	} {
		t.Run(name, func(t *testing.T) {
			live, merged := parse(t, test.live), parse(t, test.merged)
			in := Input{Desired: set(t, merged), Owned: []object.Ref{merged.Ref()}, Rollback: test.rollback,
				Observed: []Observed{{Ref: merged.Ref(), Live: live, Merged: merged, Desired: merged}}}
			if got := Make(in).Changes[0].Irreversible; got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
