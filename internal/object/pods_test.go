package object

import (
	"strings"
	"testing"
)

func TestPods(t *testing.T) {
	for text, want := range map[string]string{
		"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {x: 1}": "spec metadata a",
		"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {template: {metadata: {name: b}, " +
			"spec: {x: 1}}}": "spec.template.spec spec.template.metadata b",
		"apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: a}\nspec: {jobTemplate: {spec: {template: " +
			"{metadata: {name: c}, spec: {containers: []}}}}}": "spec.jobTemplate.spec.template.spec " +
			"spec.jobTemplate.spec.template.metadata c",
		"apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: a}\nspec: {template: {metadata: {name: b}}}": "",
		"apiVersion: example.com/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {template: {spec: {x: 1}}}":  "",
		"apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {x: 1}":                                     "",
	} {
		objects, err := Read(strings.NewReader(text), "f")
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if _, path, ok := objects[0].PodSpec(); ok {
			m, where, _ := objects[0].PodMetadata()
			got = path + " " + where + " " + m["name"].(string)
		}
		if got != want {
			t.Errorf("%s:\ngot %q, want %q", text, got, want)
		}
	}
}
