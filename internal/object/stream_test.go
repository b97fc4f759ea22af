package object

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestEachItem(t *testing.T) {
	for text, want := range map[string][]string{
		`{"kind": "List", "items": [{"a": 1}, 2, "x"], "more": {"items": [3]}}`: {`{"a": 1}`, "2", `"x"`},
		`{"items": null}`: nil, `{"items": []}`: nil, `{}`: nil,
	} {
		items, err := itemsOf(text)
		if err != nil || !slices.Equal(items, want) {
			t.Errorf("%s: %q, %v", text, items, err)
		}
	}
	for _, text := range []string{``, `[]`, `{"items": {}}`, `{"items": [1`, `{"items": [1]`, `{"items": [1}`} {
		if items, err := itemsOf(text); err == nil {
			t.Errorf("%s: no error, and %q", text, items)
		}
	}
}

func itemsOf(text string) (items []string, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	err = EachField(d, func(key string) error {
		if key != "items" {
			return d.Decode(new(json.RawMessage))
		}
		return EachItem(d, func(text []byte) error {
			items = append(items, string(text))
			return nil
		})
	})
	return items, err
}
