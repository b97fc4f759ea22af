package object

import (
	"bytes"
	"fmt"
	"io"
	"slices"

	"go.yaml.in/yaml/v2"
)

// WriteYAML writes objects as kubectl and kustomize do: one document an object, keys sorted. Read gives
// back the same bodies.
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

// YAML is the object's text as WriteYAML writes it.
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

// merges says whether the string "<<" is anywhere in a value.
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

// marked gives the string "<<" a mark by which the encoder quotes it: it writes it bare, and then it
// is no string any more.
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
