package object

import (
	"bytes"
	"fmt"
	"io"

	"go.yaml.in/yaml/v2"
)

// WriteYAML writes the set as kubectl and kustomize do: one document an object, keys sorted. Read gives
// back the same bodies.
func WriteYAML(w io.Writer, s Set) error {
	for i, o := range s.objects {
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
	body := marked(o.Body)
	text, err := yaml.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", o.Ref(), err)
	}
	return bytes.ReplaceAll(text, []byte(`"<<\x01"`), []byte(`"<<"`)), nil
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
