package kustomize

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"

	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render/tree"
)

// More entries than this in one kustomization have so far been an attack.
const maxEntries = 10_000

// kustomization is what one kustomization file says, and at which lines.
type kustomization struct {
	types.Kustomization
	dir, file string // relative to the tree
	node      *yaml.Node
}

// errNone reports a directory without a kustomization.
var errNone = errors.New("no kustomization")

// File returns the path of a directory's kustomization; empty where it has none.
func File(v *tree.View, dir string) (string, error) {
	var found []string
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		if v.IsFile(dir, name) {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 0:
		return "", nil
	case 1:
		return path.Join(dir, found[0]), nil
	}
	return "", fmt.Errorf("%s has more than one kustomization: %s", dir, strings.Join(found, ", "))
}

// readKustomization reads the kustomization of a directory.
func readKustomization(v *tree.View, dir string) (*kustomization, notes, error) {
	file, err := File(v, dir)
	if err != nil {
		return nil, notes{}, err
	}
	if file == "" {
		return nil, notes{}, fmt.Errorf("%s: %w", dir, errNone)
	}
	text, err := v.File(file)
	if err != nil {
		return nil, notes{}, err
	}
	k := &kustomization{dir: dir, file: file, node: &yaml.Node{}}
	var doc yaml.Node
	if err = yaml.Unmarshal(text, &doc); err == nil {
		err = object.CheckNode(&doc, file)
	}
	if err != nil {
		return nil, notes{}, syntaxError(text, file, err)
	}
	if len(doc.Content) > 0 {
		k.node = resolve(doc.Content[0])
	}
	if n := tooMany(k.node); n != nil {
		return nil, notes{}, k.entry("", n).fail(fmt.Errorf("more than %d entries", maxEntries))
	}
	if err := k.Unmarshal(text); err != nil {
		return nil, notes{}, k.strict(err)
	}
	remarks := k.remarks()
	k.FixKustomization()
	if err := k.CheckEmpty(); err != nil {
		return nil, notes{}, k.top().fail(errors.New("empty"))
	}
	if errs := k.EnforceFields(); len(errs) > 0 {
		n := find(k.node, "kind")
		if strings.HasPrefix(errs[0], "apiVersion") || n == nil {
			n = find(k.node, "apiVersion")
		}
		return nil, notes{}, k.entry("", n).fail(errors.New(errs[0]))
	}
	return k, remarks, nil
}

// syntaxError finds the line of an error in a text.
func syntaxError(text []byte, file string, err error) error {
	var line *lineError
	if errors.As(err, &line) {
		return &object.ReadError{File: file, Line: line.line, Err: errors.New(line.msg)}
	}
	if better := object.Check(bytes.NewReader(text), file); better != nil {
		return better
	}
	return located(object.Origin{File: file}, err)
}

// tooMany returns the field that brings a kustomization beyond maxEntries.
func tooMany(n *yaml.Node) *yaml.Node {
	entries := 0
	var over *yaml.Node
	pairs(n, func(k, v *yaml.Node) {
		if entries += len(v.Content); entries > maxEntries && over == nil {
			over = k
		}
	})
	return over
}

var unknownField = regexp.MustCompile(`unknown field "([^"]+)"`)

// strict finds the line of an error that the library reports for a kustomization.
func (k *kustomization) strict(err error) error {
	if m := unknownField.FindStringSubmatch(err.Error()); m != nil {
		return k.entry("", deep(k.node, m[1])).fail(fmt.Errorf("unknown field %q%s", m[1], didYouMean(m[1])))
	}
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return k.top().fail(errors.New(strings.TrimPrefix(err.Error(), "invalid Kustomization: ")))
	}
	field := wrong.Field[strings.LastIndex(wrong.Field, ".")+1:]
	hint := ""
	if wrong.Type.Kind() == reflect.String && (wrong.Value == "number" || wrong.Value == "bool") {
		hint = ": put it in quotes"
	}
	return k.entry("", deep(k.node, field)).fail(
		fmt.Errorf("%s must be %s, not %s%s", wrong.Field, kindOf(wrong.Type.Kind()), kinds[wrong.Value], hint))
}

// kinds are JSON's kinds of values in YAML's words.
var kinds = map[string]string{
	"array": "a list", "object": "a mapping", "string": "a string", "number": "a number",
	"bool": "true or false",
}

func kindOf(k reflect.Kind) string {
	switch k {
	case reflect.Slice:
		return kinds["array"]
	case reflect.Struct, reflect.Map, reflect.Pointer:
		return kinds["object"]
	case reflect.String:
		return kinds["string"]
	case reflect.Bool:
		return kinds["bool"]
	}
	return kinds["number"]
}

// didYouMean suggests a field of a kustomization.
func didYouMean(word string) string {
	var known []string
	t := reflect.TypeFor[types.Kustomization]()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "" {
			known = append(known, name)
		}
	}
	if s := project.Suggest(word, known); s != "" {
		return fmt.Sprintf(" (did you mean %q?)", s)
	}
	return ""
}

// deprecated are the fields that the command warns about on its standard error, with what to write.
var deprecated = []struct{ key, instead string }{
	{"bases", "use resources"},
	{"commonLabels", "it also writes selectors, which cannot change later: " +
		"use labels with includeSelectors: false"},
	{"imageTags", "use images"},
	{"patchesJson6902", "use patches"},
	{"patchesStrategicMerge", "use patches"},
	{"vars", "use replacements"},
}

// remarks are those about a file's text, which the library's reader changes afterwards.
func (k *kustomization) remarks() (found notes) {
	pairs(k.node, func(key, v *yaml.Node) {
		for _, d := range deprecated {
			if strings.EqualFold(key.Value, d.key) && v.ShortTag() != "!!null" {
				found.losses = append(found.losses, object.Loss{
					Kind: object.Deprecated, Origin: object.Origin{File: k.file, Line: key.Line},
					Text: fmt.Sprintf("%s is deprecated: %s", d.key, d.instead),
				})
			}
		}
	})
	for _, e := range k.entries(0, "images", "imageTags") {
		if n := find(e.node, "name"); n != nil {
			if _, err := regexp.Compile(n.Value); err != nil {
				at := object.Origin{File: k.file, Line: n.Line}
				found.warnings = append(found.warnings,
					fmt.Sprintf("%s: images: %q is not a valid pattern and matches no image", at, n.Value))
			}
		}
	}
	return found
}

// entry is a place in a kustomization, a field or one of its items; or the configuration of a plugin.
type entry struct {
	field string // as it is written; empty for a plugin
	node  *yaml.Node
	at    object.Origin
}

func (k *kustomization) entry(field string, n *yaml.Node) entry {
	e := entry{field, n, object.Origin{File: k.file}}
	if n != nil {
		e.at.Line = n.Line
	}
	return e
}

// top is the kustomization as a whole.
func (k *kustomization) top() entry { return k.entry("", nil) }

// entries are the items of fields, one field after the other, and at least n: the library makes more of some
// texts than they have items.
func (k *kustomization) entries(n int, fields ...string) []entry {
	var list []entry
	for _, field := range fields {
		pairs(k.node, func(key, v *yaml.Node) {
			if !strings.EqualFold(key.Value, field) || v.Kind != yaml.SequenceNode {
				return
			}
			for _, item := range v.Content {
				list = append(list, k.entry(key.Value, resolve(item)))
			}
		})
	}
	for len(list) < n {
		list = append(list, k.entry(fields[0], nil))
	}
	return list
}

// fieldEntry is the place of a field.
func (k *kustomization) fieldEntry(field string) entry {
	e := k.entry(field, nil)
	pairs(k.node, func(key, v *yaml.Node) {
		if strings.EqualFold(key.Value, field) {
			e = k.entry(key.Value, key)
		}
	})
	return e
}

// fail adds the place of the entry to an error that has none.
func (e entry) fail(err error) error {
	if err != nil && e.field != "" && !hasPlace(err) {
		err = fmt.Errorf("%s: %w", e.field, err)
	}
	return located(e.at, err)
}

// failPath adds the line that names a path to an error about the path.
func (e entry) failPath(name string, err error) error {
	if err == nil || hasPlace(err) {
		return err
	}
	if n := pathNode(e.node, name); n != nil {
		e.at.Line = n.Line
	}
	var refused *tree.RefusedError
	if errors.As(err, &refused) {
		what := name
		if e.field != "" {
			what = e.field + ": " + name
		}
		return &tree.RefusedError{Origin: e.at, What: what, Why: refused.Why}
	}
	return e.fail(err)
}

// fileError marks an error of ours, because the library wraps it in misleading text.
type fileError struct{ error }

func (e fileError) Unwrap() error { return e.error }

// located adds a place to an error that has none.
func located(at object.Origin, err error) error {
	var ours fileError
	switch {
	case errors.As(err, &ours):
		return ours.error
	case err == nil || hasPlace(err):
		return err
	}
	return &object.ReadError{File: at.File, Line: at.Line, Err: err}
}

func hasPlace(err error) bool {
	var read *object.ReadError
	var refused *tree.RefusedError
	var twice *object.DuplicateError
	return errors.As(err, &read) || errors.As(err, &refused) && refused.Origin.File != "" ||
		errors.Is(err, errExclusive) ||
		errors.As(err, &twice) && twice.First != twice.Second // else one file was included twice
}
