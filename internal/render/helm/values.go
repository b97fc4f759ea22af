package helm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	v2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/strvals"
	"sigs.k8s.io/yaml"

	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render/tree"
)

// userValues merges the values of a release in Helm's order: files, then --set-json, --set, --set-string,
// --set-file and --set-literal, wherever they were written.
func userValues(v *tree.View, c project.Chart, inline map[string]any) (map[string]any, error) {
	values := map[string]any{}
	if len(inline) > 0 { // as if read from a file, in which all numbers have one type
		text, err := yaml.Marshal(inline)
		if err != nil {
			return nil, err
		}
		if values, err = readValues("values", text); err != nil {
			return nil, err
		}
	}
	for _, name := range c.Values {
		text, err := valuesFile(v, name)
		if err != nil {
			return nil, err
		}
		more, err := readValues(name, text)
		if err != nil {
			return nil, err
		}
		values = loader.MergeMaps(values, more)
	}
	content := func(name []rune) (any, error) {
		text, err := valuesFile(v, string(name))
		return string(text), err
	}
	for _, flag := range []struct {
		name  string
		says  []string
		parse func(string, map[string]any) error
	}{
		{"--set-json", c.SetJSON, func(s string, into map[string]any) error {
			if !strings.HasPrefix(strings.TrimSpace(s), "{") {
				return strvals.ParseJSON(s, into)
			}
			var more map[string]any
			err := json.Unmarshal([]byte(s), &more)
			values = loader.MergeMaps(into, more)
			return err
		}},
		{"--set", c.Set, strvals.ParseInto},
		{"--set-string", c.SetString, strvals.ParseIntoString},
		{"--set-file", c.SetFile, func(s string, into map[string]any) error {
			return strvals.ParseIntoFile(s, into, content)
		}},
		{"--set-literal", c.SetLiteral, strvals.ParseLiteralInto},
	} {
		for _, s := range flag.says {
			if err := flag.parse(s, values); err != nil {
				return nil, fmt.Errorf("%s %s: %w", flag.name, s, err)
			}
		}
	}
	return values, nil
}

func valuesFile(v *tree.View, name string) ([]byte, error) {
	if strings.Contains(name, "://") {
		return nil, &tree.RefusedError{What: "values from " + name, Why: "values are read only from the project"}
	}
	return v.File(name)
}

// readValues reads the documents of a file, the later the stronger.
func readValues(name string, text []byte) (map[string]any, error) {
	if err := object.Check(bytes.NewReader(text), name); err != nil {
		return nil, err
	}
	values, err := loader.LoadValues(bytes.NewReader(text))
	if err == nil {
		return values, nil
	}
	e := &object.ReadError{File: name, Err: err}
	message := err.Error()
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
	}
	if plain := inYAMLTerms(message); plain != message {
		e.Err = errors.New(plain)
	} else if _, after, ok := strings.Cut(message, "yaml: "); ok {
		e.Err = errors.New(after)
	}
	return nil, e
}

// conflicts lists where either a chart's default or the user's value is a map, but not both. Helm writes the
// same to its log.
func conflicts(c *v2.Chart, values map[string]any) []string {
	list := between(c.Name(), c.Values, values)
	for _, sub := range c.Dependencies() {
		if own, ok := values[sub.Name()].(map[string]any); ok {
			for _, s := range conflicts(sub, own) {
				list = append(list, c.Name()+"."+s)
			}
		}
	}
	return list
}

func between(at string, defaults, values map[string]any) []string {
	var list []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		was, ok := defaults[key]
		if !ok || was == nil || values[key] == nil {
			continue
		}
		below, wasMap := was.(map[string]any)
		own, isMap := values[key].(map[string]any)
		switch {
		case wasMap && isMap:
			list = append(list, between(at+"."+key, below, own)...)
		case isMap:
			list = append(list, fmt.Sprintf(
				"%s.%s: skipped the chart's value: it is not a table, but the user's is", at,
				key))
		case wasMap:
			list = append(list, fmt.Sprintf(
				"%s.%s: skipped the chart's table: the user's value is not a table", at, key))
		}
	}
	return list
}
