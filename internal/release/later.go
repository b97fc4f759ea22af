package release

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// later is what a later version of this program has written into a record and this one does not know: fields
// of the release, and parts beside it. It is written again when this one changes the record, because the
// later version may read it once more: an agent can be rolled back, and be upgraded again.
type later struct{ fields, parts map[string]json.RawMessage }

// knownFields are the JSON names of Release's fields.
var knownFields = sync.OnceValue(func() []string {
	var names []string
	of := reflect.TypeFor[Release]()
	for i := range of.NumField() {
		if name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ","); name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return names
})

// fieldsOfLater returns the fields of a release that this version does not know; nil where there are none.
func fieldsOfLater(text []byte) map[string]json.RawMessage {
	var all map[string]json.RawMessage
	if json.Unmarshal(text, &all) != nil {
		return nil
	}
	maps.DeleteFunc(all, func(name string, _ json.RawMessage) bool {
		// The decoder takes names in any case.
		return slices.ContainsFunc(knownFields(), func(known string) bool { return strings.EqualFold(known, name) })
	})
	if len(all) == 0 {
		return nil
	}
	return all
}

// withLater returns the JSON of a release with the fields of a later version.
func (r Release) withLater() (json.RawMessage, error) {
	text, err := json.Marshal(r)
	if err != nil || len(r.later.fields) == 0 {
		return text, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	maps.Copy(all, r.later.fields)
	return json.Marshal(all)
}
