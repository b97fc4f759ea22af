package helm

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/Masterminds/sprig/v3"
	"sigs.k8s.io/yaml"
	goyaml "sigs.k8s.io/yaml/goyaml.v3"
)

// functions are those that do not depend on the render, and placeholders for those that do (run.functions).
// As in Helm, env and expandenv are missing; keys and values are sorted, which Sprig leaves to chance.
func functions() template.FuncMap {
	f := sprig.TxtFuncMap()
	delete(f, "env")
	delete(f, "expandenv")
	maps.Copy(f, template.FuncMap{
		"toYaml":        func(v any) string { return orEmpty(toYAML(v)) },
		"mustToYaml":    toYAML,
		"toYamlPretty":  func(v any) string { return orEmpty(toYAMLPretty(v)) },
		"fromYaml":      func(s string) map[string]any { return from(yamlInto, s) },
		"fromYamlArray": func(s string) []any { return fromArray(yamlInto, s) },
		"toJson":        func(v any) string { return orEmpty(toJSON(v)) },
		"mustToJson":    toJSON,
		"fromJson":      func(s string) map[string]any { return from(jsonInto, s) },
		"fromJsonArray": func(s string) []any { return fromArray(jsonInto, s) },
		"toToml":        func(v any) string { return orError(toTOML(v)) },
		"mustToToml":    toTOML,
		"fromToml":      func(s string) map[string]any { return from(tomlInto, s) },
		"getHostByName": func(string) string { return "" },
		"required":      required,
		"fail":          func(msg string) (string, error) { return "", &failure{msg} },
		"keys":          keys,
		"values":        values,
		"include":       func(string, any) string { return "" },
		"tpl":           func(string, any) string { return "" },
		"lookup": func(string, string, string, string) (map[string]any, error) {
			return map[string]any{}, nil
		},
	})
	maps.Copy(f, durations)
	return f
}

// failure is an error that a chart raises.
type failure struct{ msg string }

func (f *failure) Error() string { return f.msg }

func required(msg string, v any) (any, error) {
	if v == nil || v == "" {
		return v, &failure{msg}
	}
	return v, nil
}

func orEmpty(s string, err error) string {
	if err != nil {
		return ""
	}
	return s
}

func orError(s string, err error) string {
	if err != nil {
		return err.Error()
	}
	return s
}

func toYAML(v any) (string, error) {
	text, err := yaml.Marshal(v)
	return strings.TrimSuffix(string(text), "\n"), err
}

func toYAMLPretty(v any) (string, error) {
	var text bytes.Buffer
	encoder := goyaml.NewEncoder(&text)
	encoder.SetIndent(2)
	err := encoder.Encode(v)
	return strings.TrimSuffix(text.String(), "\n"), err
}

func toJSON(v any) (string, error) {
	text, err := json.Marshal(v)
	return string(text), err
}

func toTOML(v any) (string, error) {
	var text bytes.Buffer
	err := toml.NewEncoder(&text).Encode(v)
	return text.String(), err
}

func yamlInto(text []byte, v any) error { return yaml.Unmarshal(text, v) }
func jsonInto(text []byte, v any) error { return json.Unmarshal(text, v) }
func tomlInto(text []byte, v any) error { return toml.Unmarshal(text, v) }

// from returns an error as a value, because templates cannot catch errors.
func from(decode func([]byte, any) error, text string) map[string]any {
	m := map[string]any{}
	if err := decode([]byte(text), &m); err != nil {
		m["Error"] = err.Error()
	}
	return m
}

func fromArray(decode func([]byte, any) error, text string) []any {
	a := []any{}
	if err := decode([]byte(text), &a); err != nil {
		a = []any{err.Error()}
	}
	return a
}

func keys(dicts ...map[string]any) []string {
	list := []string{}
	for _, d := range dicts {
		list = append(list, slices.Sorted(maps.Keys(d))...)
	}
	return list
}

func values(dict map[string]any) []any {
	list := []any{}
	for _, k := range slices.Sorted(maps.Keys(dict)) {
		list = append(list, dict[k])
	}
	return list
}

// durations are Helm's functions for durations; an invalid one counts as zero.
var durations = template.FuncMap{
	"mustToDuration":       toDuration,
	"durationSeconds":      func(v any) float64 { return orZero(v).Seconds() },
	"durationMilliseconds": func(v any) int64 { return orZero(v).Milliseconds() },
	"durationMicroseconds": func(v any) int64 { return orZero(v).Microseconds() },
	"durationNanoseconds":  func(v any) int64 { return orZero(v).Nanoseconds() },
	"durationMinutes":      func(v any) float64 { return orZero(v).Minutes() },
	"durationHours":        func(v any) float64 { return orZero(v).Hours() },
	"durationDays":         func(v any) float64 { return orZero(v).Hours() / 24 },
	"durationWeeks":        func(v any) float64 { return orZero(v).Hours() / 24 / 7 },
	"durationRoundTo":      func(v, m any) time.Duration { return orZero(v).Round(orZero(m)) },
	"durationTruncateTo":   func(v, m any) time.Duration { return orZero(v).Truncate(orZero(m)) },
}

func orZero(v any) time.Duration {
	d, err := toDuration(v)
	if err != nil {
		return 0
	}
	return d
}

// toDuration takes "1h30m", and numbers of seconds in any form.
func toDuration(v any) (time.Duration, error) {
	switch v := v.(type) {
	case time.Duration:
		return v, nil
	case string:
		v = strings.TrimSpace(v)
		if d, err := time.ParseDuration(v); err == nil {
			return d, nil
		}
		seconds, err := strconv.ParseFloat(v, 64)
		if err != nil {
			return 0, errors.New("could not parse duration " + strconv.Quote(v))
		}
		return ofSeconds(seconds)
	}
	switch n := reflect.ValueOf(v); {
	case n.CanInt():
		return ofSeconds(float64(n.Int()))
	case n.CanUint():
		return ofSeconds(float64(n.Uint()))
	case n.CanFloat():
		return ofSeconds(n.Float())
	}
	return 0, errors.New("not a duration")
}

func ofSeconds(seconds float64) (time.Duration, error) {
	const most = float64(1<<63-1) / float64(time.Second)
	if seconds != seconds || seconds >= most || seconds <= -most {
		return 0, errors.New("duration seconds overflow")
	}
	return time.Duration(seconds * float64(time.Second)), nil
}
