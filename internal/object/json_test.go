package object

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFromJSON(t *testing.T) {
	o, err := FromJSON([]byte(`{"apiVersion":"v1","kind":"X","metadata":{"name":"x"},"a":[1,2.5,9007199254740993,true,null]}`), Origin{File: "f", Line: 3})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{int64(1), 2.5, int64(9007199254740993), true, nil}, o.At("a")); diff != "" {
		t.Error(diff)
	}
	for text, want := range map[string]string{
		`{"kind":"X"}`: "f:3: X without apiVersion, metadata.name",
		`{`:            "f:3: unexpected end of JSON input",
		`{"a":1e999}`:  "f:3: json: cannot unmarshal number 1e999 into Go value of type float64",
	} {
		if _, err := FromJSON([]byte(text), Origin{File: "f", Line: 3}); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
