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
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"

	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render/tree"
)

// More entries than this in one kustomization have so far been an attack.
const maxEntries = 10_000

// layer is one kustomization being worked on.
type layer struct {
	*build
	above     *layer // the one that includes it
	dir, file string // relative to the tree
	k         types.Kustomization
	node      *yaml.Node       // the file's text, for the lines of its entries
	origin    *resource.Origin // nil unless the overlay asks for buildMetadata
	namespace string           // which charts get that have none
	now       entry            // what is being worked on
	failed    error            // the first file that could not be had: the library takes it for something else
}

// entry is a place in a kustomization: a field, or one item of it.
type entry struct {
	field  string // as it is written
	node   *yaml.Node
	plugin object.Origin // the plugin's that is being worked on instead
}

// errNone says that a folder has no kustomization.
var errNone = errors.New("no kustomization")

// File gives the path of a folder's kustomization; empty where there is none.
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

// layer reads a folder's kustomization.
func (b *build) layer(dir string) (*layer, error) {
	file, err := File(b.view, dir)
	if err != nil {
		return nil, err
	}
	if file == "" {
		return nil, fmt.Errorf("%s: %w", dir, errNone)
	}
	text, err := b.view.File(file)
	if err != nil {
		return nil, err
	}
	l := &layer{build: b, dir: dir, file: file}
	if err := l.read(text); err != nil {
		return nil, err
	}
	b.roots = append(b.roots, dir)
	return l, nil
}

func (l *layer) read(text []byte) error {
	var doc yaml.Node
	err := yaml.Unmarshal(text, &doc)
	if err == nil {
		err = object.CheckNode(&doc, l.file)
	}
	if err != nil {
		return checked(text, l.file, err)
	}
	l.node = &yaml.Node{}
	if len(doc.Content) > 0 {
		l.node = resolve(doc.Content[0])
	}
	if n := l.tooMany(); n != nil {
		return l.fail(entry{node: n}, fmt.Errorf("more than %d entries", maxEntries))
	}
	if err := l.k.Unmarshal(text); err != nil {
		return l.strict(err)
	}
	l.warn()
	l.k.FixKustomization()
	if err := l.k.CheckEmpty(); err != nil {
		return l.fail(entry{}, errors.New("it is empty"))
	}
	if errs := l.k.EnforceFields(); len(errs) > 0 {
		n := find(l.node, "kind")
		if strings.HasPrefix(errs[0], "apiVersion") || n == nil {
			n = find(l.node, "apiVersion")
		}
		return l.fail(entry{node: n}, errors.New(errs[0]))
	}
	if len(l.k.OpenAPI) > 0 {
		return l.openapi()
	}
	return nil
}

// checked says what is wrong with a text by its line.
func checked(text []byte, file string, err error) error {
	var line *lineError
	if errors.As(err, &line) {
		return &object.ReadError{File: file, Line: line.line, Err: errors.New(line.msg)}
	}
	if better := object.Check(bytes.NewReader(text), file); better != nil {
		return better
	}
	return located(object.Origin{File: file}, err)
}

func (l *layer) tooMany() *yaml.Node {
	entries := 0
	var over *yaml.Node
	pairs(l.node, func(k, v *yaml.Node) {
		if entries += len(v.Content); entries > maxEntries && over == nil {
			over = k
		}
	})
	return over
}

var unknownField = regexp.MustCompile(`unknown field "([^"]+)"`)

// strict finds the line behind what the library says about a kustomization.
func (l *layer) strict(err error) error {
	if m := unknownField.FindStringSubmatch(err.Error()); m != nil {
		return l.fail(entry{node: deep(l.node, m[1])}, fmt.Errorf("unknown field %q%s", m[1], didYouMean(m[1])))
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		field := wrong.Field[strings.LastIndex(wrong.Field, ".")+1:]
		hint := ""
		if wrong.Type.Kind() == reflect.String && (wrong.Value == "number" || wrong.Value == "bool") {
			hint = ": put it in quotes"
		}
		return l.fail(entry{node: deep(l.node, field)}, fmt.Errorf("%s takes %s, not %s%s", wrong.Field,
			takes(wrong.Type.Kind()), kinds[wrong.Value], hint))
	}
	return l.fail(entry{}, errors.New(strings.TrimPrefix(err.Error(), "invalid Kustomization: ")))
}

// kinds are JSON's words in YAML's.
var kinds = map[string]string{"array": "a list", "object": "a mapping", "string": "a text",
	"number": "a number", "bool": "true or false"}

func takes(k reflect.Kind) string {
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
	{"bases", "write resources"},
	{"commonLabels", "it also writes selectors, which cannot change later: write labels with " +
		"includeSelectors: false"},
	{"imageTags", "write images"},
	{"patchesJson6902", "write patches"},
	{"patchesStrategicMerge", "write patches"},
	{"vars", "write replacements"},
}

func (l *layer) warn() {
	pairs(l.node, func(k, v *yaml.Node) {
		for _, d := range deprecated {
			if strings.EqualFold(k.Value, d.key) && v.ShortTag() != "!!null" {
				l.warning(k, "%s is deprecated: %s", d.key, d.instead)
			}
		}
	})
	for _, e := range l.entries("images", "imageTags") {
		if n := find(e.node, "name"); n != nil {
			if _, err := regexp.Compile(n.Value); err != nil {
				l.warning(n, "images: %q is no valid pattern and matches no image", n.Value)
			}
		}
	}
}

func (l *layer) warning(n *yaml.Node, format string, args ...any) {
	at := object.Origin{File: l.file, Line: n.Line}
	l.warnings = append(l.warnings, at.String()+": "+fmt.Sprintf(format, args...))
}

// entries are the items of fields, one field after the other.
type entries []entry

func (l *layer) entries(fields ...string) entries {
	var list entries
	for _, field := range fields {
		pairs(l.node, func(k, v *yaml.Node) {
			if !strings.EqualFold(k.Value, field) || v.Kind != yaml.SequenceNode {
				return
			}
			for _, n := range v.Content {
				list = append(list, entry{field: k.Value, node: resolve(n)})
			}
		})
	}
	return list
}

// item is one of the entries. Where the text was odd there may be fewer than the library made of it.
func (e entries) item(i int) entry {
	if i < len(e) {
		return e[i]
	}
	return entry{}
}

func (l *layer) field(field string) entry {
	e := entry{field: field}
	pairs(l.node, func(k, v *yaml.Node) {
		if strings.EqualFold(k.Value, field) {
			e = entry{field: k.Value, node: k}
		}
	})
	return e
}

func (l *layer) at(e entry) object.Origin {
	switch {
	case e.plugin.File != "":
		return e.plugin
	case e.node == nil:
		return object.Origin{File: l.file}
	}
	return object.Origin{File: l.file, Line: e.node.Line}
}

// fail says at which entry an error came up. What has a place already keeps it.
func (l *layer) fail(e entry, err error) error {
	if l.failed != nil {
		err, l.failed = l.failed, nil
	}
	if e.field != "" && !hasPlace(err) {
		err = fmt.Errorf("%s: %w", e.field, err)
	}
	return located(l.at(e), err)
}

// located gives an error a place, unless it has one.
func located(at object.Origin, err error) error {
	if err == nil || hasPlace(err) {
		return err
	}
	return &object.ReadError{File: at.File, Line: at.Line, Err: err}
}

func hasPlace(err error) bool {
	var read *object.ReadError
	var refused *refusedError
	var twice *object.DuplicateError
	return errors.As(err, &read) || errors.As(err, &refused) && refused.Origin.File != "" ||
		errors.Is(err, errAlone) ||
		errors.As(err, &twice) && twice.First != twice.Second // else one file was included twice
}
