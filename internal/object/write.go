package object

import (
	"bytes"
	"fmt"
	"io"
	"slices"

	"go.yaml.in/yaml/v2"
)

// WriteYAML writes objects as kubectl and kustomize do: one document for each, with sorted keys. Read returns
// the same bodies.
func WriteYAML(w io.Writer, objects []Object) error {
	for i, o := range objects {
		text, err := o.YAML()
		if err != nil {
			return err
		}
		if i > 0 {
			text = append([]byte("---\n"), text...)
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
	}
	return nil
}

// YAML returns the object's text as WriteYAML writes it.
func (o Object) YAML() ([]byte, error) {
	if text, ok := quick(nil, o.Body, 0, false); ok && len(o.Body) > 0 {
		return text, nil
	}
	var body any = o.Body
	if merges(body) {
		body = marked(body)
	}
	text, err := yaml.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", o.Ref(), err)
	}
	return bytes.ReplaceAll(text, []byte(`"<<\x01"`), []byte(`"<<"`)), nil
}

// merges reports whether a value contains the string "<<".
func merges(v any) bool {
	switch v := v.(type) {
	case string:
		return v == "<<"
	case []any:
		return slices.ContainsFunc(v, merges)
	case map[string]any:
		for k, c := range v {
			if k == "<<" || merges(c) {
				return true
			}
		}
	}
	return false
}

// marked appends a mark to the string "<<", so that the encoder quotes it: without quotes it is not a string.
func marked(v any) any {
	switch v := v.(type) {
	case string:
		if v == "<<" {
			return v + "\x01"
		}
	case []any:
		list := make([]any, len(v))
		for i, c := range v {
			list[i] = marked(c)
		}
		return list
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, c := range v {
			m[marked(k).(string)] = marked(c)
		}
		return m
	}
	return v
}
