package object

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v2"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

var quickBodies = []string{
	`{"kind":"A","list":[1,"a",{"b":[],"a":{}},[["x","w"],[{"z":null}]],true],"text":"two words","more":"30s","args":["--port=80","-port","--log-level"],"file":"a: 1\n\n- b: |\n    c\n#d\n"}`,
	`{"k8s.io/a10":"x","k8s.io/a9":"y","a":"1","a.b":"0123","a/b":"a:b","A":"true","b-1":"x=y","b-01":"/etc/x","b_1":"yes"}`,
	`{"a":"` + "word word word word word word word word word word word word word word word word word" + `"}`,
	`{"a":"x: y"}`, `{"a":"x:"}`, `{"a":"x #y"}`, `{"a":" x"}`, `{"a":"x "}`, `{"a":"l\nm\n"}`, `{"on":1}`,
	`{"a":1.5}`, `{"a":"é"}`, `{"a":"-x","b":"@x","c":"=","d":"~"}`,
	`{"a":"--"}`, `{"a":"---"}`, `{"a":"-a: b"}`, `{"a":"--a="}`, `{"a":"-inf"}`, `{"a":"-y1"}`, `{"a":"--a b"}`,
	`{"a":["-.5",["--a"]]}`,
	`{"a":"l\nm"}`, `{"a":"l\n\n"}`, `{"a":"\nl\n"}`, `{"a":" l\nm\n"}`, `{"a":"l \nm\n"}`, `{"a":"\tl\n"}`,
	`{"a":"l\n m\n"}`,
	`{"a":[{"b":"l\n\n\nm\n","c":1}]}`, `{"a":["l\nm\n"]}`, `{"a":"---\n...\n"}`, `{"a":"l\r\n"}`,
	`{"a":"#l\n"}`, `{"a":"l\n \nm\n"}`,
	`{"a01":1,"a1":2,"a10":3,"a010":4,"a100":5,"a2b":6,"a2-":7,"a-2":8,"a":9,"aa":10,"a.":11}`,
}

// FuzzQuick holds the fast writer against the library that it stands in for.
func FuzzQuick(f *testing.F) {
	for _, b := range quickBodies {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var body map[string]any
		if utiljson.Unmarshal([]byte(text), &body) != nil || len(body) == 0 {
			return
		}
		got, ok := quick(nil, body, 0, false)
		if !ok {
			return
		}
		want, err := yaml.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			again, _ := json.Marshal(body)
			t.Errorf("%s: -library +quick\n%s", again, diff)
		}
	})
}

// Most of what people write is written fast.
func TestQuickIsUsed(t *testing.T) {
	var body map[string]any
	if err := utiljson.Unmarshal([]byte(quickBodies[0]), &body); err != nil {
		t.Fatal(err)
	}
	if _, ok := quick(nil, body, 0, false); !ok {
		t.Error("left to the library")
	}
}
