package object

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/runtime"
)

// The budgets of one file. Real bundles of CustomResourceDefinitions reach 5 MiB; files beyond these figures
// were accidents or attacks so far.
const (
	maxBytes     = 8 << 20
	maxDocuments = 10_000
	maxDepth     = 200
	maxAliased   = 100_000 // nodes that aliases stand for, once expanded
)

// ReadError says where a file is wrong.
type ReadError struct {
	File string
	Line int // 1-based; 0: the file as a whole
	Err  error
}

func (e *ReadError) Error() string {
	return Origin{File: e.File, Line: e.Line}.String() + ": " + e.Err.Error()
}

func (e *ReadError) Unwrap() error { return e.Err }

// Read returns the objects of a YAML or JSON stream in order, with the items of a List in its place. Scalars
// have the types that kubectl gives them (YAML 1.1: a plain yes is true). Equal parts of the bodies are
// held once. It fails with a *ReadError.
func Read(r io.Reader, file string) ([]Object, error) { return new(Pool).Read(r, file) }

// Check checks a YAML stream's syntax and budgets, whatever its content.
func Check(r io.Reader, file string) error {
	return eachDocument(r, file, func(d *decoder, root *yaml.Node) error { return d.walk(root, 0) })
}

// CheckNode is Check for a parsed document.
func CheckNode(n *yaml.Node, file string) error { return (&decoder{file: file}).walk(n, 0) }

// New returns an object with that body. It fails with a *ReadError for a body without apiVersion, kind or
// name.
func New(body map[string]any, origin Origin) (Object, error) {
	o := Object{Body: body, Origin: origin}
	if err := identity(o, nil); err != nil {
		return Object{}, &ReadError{File: origin.File, Line: origin.Line, Err: err}
	}
	return o, nil
}

func eachDocument(r io.Reader, file string, visit func(*decoder, *yaml.Node) error) error {
	text, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	if err != nil {
		return &ReadError{File: file, Err: err}
	}
	if len(text) > maxBytes {
		return &ReadError{File: file, Err: overBudget{fmt.Sprintf("larger than %d MiB", maxBytes>>20)}}
	}
	d := &decoder{file: file}
	stream := yaml.NewDecoder(bytes.NewReader(text))
	for n := 1; ; n++ {
		var doc yaml.Node
		err := stream.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return &ReadError{File: file, Line: syntaxLine(err, text), Err: syntaxMessage(err)}
		}
		if n > maxDocuments {
			return d.over(&doc, "more than %d documents", maxDocuments)
		}
		if len(doc.Content) == 0 {
			continue
		}
		if err := visit(d, doc.Content[0]); err != nil {
			return err
		}
	}
}

// ErrBudget says that a stream is larger than any real one.
var ErrBudget = errors.New("over budget")

// overBudget is an ErrBudget with the exceeded limit.
type overBudget struct{ msg string }

func (e overBudget) Error() string        { return e.msg }
func (e overBudget) Is(target error) bool { return target == ErrBudget }

func (d *decoder) over(n *yaml.Node, format string, args ...any) error {
	return &ReadError{File: d.file, Line: n.Line, Err: overBudget{fmt.Sprintf(format, args...)}}
}

// decoder converts nodes to the values of an Object's Body.
type decoder struct {
	file    string
	aliased int
	inAlias int
}

func (d *decoder) fail(n *yaml.Node, format string, args ...any) error {
	return &ReadError{File: d.file, Line: n.Line, Err: fmt.Errorf(format, args...)}
}

// collect appends the object, or the items of a List.
func (d *decoder) collect(objects []Object, n *yaml.Node, v any) ([]Object, error) {
	body, ok := v.(map[string]any)
	if !ok {
		return nil, d.fail(n, "an object must be a mapping")
	}
	o := Object{Body: body, Origin: Origin{File: d.file, Line: n.Line}}
	items, listed := body["items"].([]any)
	if kind := o.str("kind"); listed && strings.HasSuffix(kind, "List") {
		nodes := mappingValue(n, "items")
		for i, item := range items {
			at := n
			if nodes != nil && i < len(nodes.Content) {
				at = nodes.Content[i]
			}
			var err error
			if objects, err = d.collect(objects, at, item); err != nil {
				return nil, err
			}
		}
		return objects, nil
	}
	if err := identity(o, n); err != nil {
		return nil, d.fail(n, "%w", err)
	}
	return append(objects, o), nil
}

// identity returns an error that says what a body lacks to be an object. The node is what it was read from;
// nil: unknown.
func identity(o Object, n *yaml.Node) error {
	nameHook(o)
	var missing []string
	for _, path := range [][]string{{"apiVersion"}, {"kind"}, {"metadata", "name"}} {
		name := strings.Join(path, ".")
		switch v := o.At(path...).(type) {
		case string:
			if v == "" {
				missing = append(missing, name)
			}
		case nil:
			missing = append(missing, name)
		default:
			return notString(name, n, path)
		}
	}
	for _, path := range [][]string{{"metadata", "namespace"}, {"metadata", "generateName"}} {
		switch o.At(path...).(type) {
		case nil, string:
		default:
			return notString(strings.Join(path, "."), n, path)
		}
	}
	if len(missing) == 0 {
		return secretText(o)
	}
	what := "object"
	if kind := o.str("kind"); kind != "" {
		what = kind
	}
	if o.str("metadata", "generateName") != "" {
		return fmt.Errorf("%s has generateName, which only a hook may have, because it cannot be deployed again: "+
			"give it a metadata.name", what)
	}
	return fmt.Errorf("%s without %s", what, strings.Join(missing, ", "))
}

// nameHook gives a hook with generateName a name that depends on its content: each of its runs is a new
// object, and a deploy finds the one of the run before.
func nameHook(o Object) {
	metadata, _ := o.Body["metadata"].(map[string]any)
	prefix, _ := metadata["generateName"].(string)
	if prefix == "" || metadata["name"] != nil && metadata["name"] != "" || !o.IsHook() {
		return
	}
	text, err := json.Marshal(o.Body)
	if err != nil {
		return // it stays without a name, and is refused
	}
	sum := sha256.Sum256(text)
	metadata["name"] = prefix + hex.EncodeToString(sum[:3])
	delete(metadata, "generateName")
}

// notString says how to write a field as a string: as it is spelled, because 1.10 as a number is 1.1.
func notString(name string, n *yaml.Node, path []string) error {
	for _, key := range path {
		if n != nil {
			n = mappingValue(n, key)
		}
	}
	if n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n == nil || n.Kind != yaml.ScalarNode || n.Style != 0 {
		return fmt.Errorf("%s must be a string: write it in quotes", name)
	}
	return fmt.Errorf("%s must be a string: write %q", name, n.Value)
}

// secretText rejects numbers and booleans in a Secret: the API server would too, but its message has the
// value.
func secretText(o Object) error {
	if !IsSecret(o) {
		return nil
	}
	for _, field := range []string{"data", "stringData"} {
		values, _ := o.At(field).(map[string]any)
		for _, k := range slices.Sorted(maps.Keys(values)) {
			switch values[k].(type) {
			case nil, string:
			default:
				return fmt.Errorf("%s: %s.%s must be a string: write it in quotes", "Secret "+o.Ref().Name, field, k)
			}
		}
	}
	return nil
}

// spend counts a node against the budgets.
func (d *decoder) spend(n *yaml.Node, depth int) error {
	if depth > maxDepth {
		return d.over(n, "nested deeper than %d levels", maxDepth)
	}
	if d.inAlias > 0 {
		if d.aliased++; d.aliased > maxAliased {
			return d.over(n, "aliases stand for more than %d values", maxAliased)
		}
	}
	return nil
}

func (d *decoder) walk(n *yaml.Node, depth int) error {
	if err := d.spend(n, depth); err != nil {
		return err
	}
	if n.Kind == yaml.AliasNode {
		d.inAlias++
		defer func() { d.inAlias-- }()
		return d.walk(n.Alias, depth+1)
	}
	for _, c := range n.Content {
		if err := d.walk(c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) value(n *yaml.Node, depth int) (any, error) {
	if err := d.spend(n, depth); err != nil {
		return nil, err
	}
	switch n.Kind {
	case yaml.AliasNode:
		d.inAlias++
		defer func() { d.inAlias-- }()
		return d.value(n.Alias, depth+1)
	case yaml.MappingNode:
		return d.mapping(n, depth)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			v, err := d.value(c, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	}
	return d.scalar(n)
}

func (d *decoder) mapping(n *yaml.Node, depth int) (any, error) {
	m := make(map[string]any, len(n.Content)/2)
	lines := make(map[string]int, len(n.Content)/2)
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, c := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.ScalarNode && k.ShortTag() == "!!merge" {
			merges = append(merges, c)
			continue
		}
		key, err := d.key(k)
		if err != nil {
			return nil, err
		}
		if first, ok := lines[key]; ok {
			return nil, d.fail(k, "duplicate key %q (first in line %d)", key, first)
		}
		lines[key] = k.Line
		if m[key], err = d.value(c, depth+1); err != nil {
			return nil, err
		}
	}
	for _, c := range merges {
		if err := d.merge(m, c, depth+1); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// merge adds the keys of "<<" that the mapping does not have.
func (d *decoder) merge(m map[string]any, n *yaml.Node, depth int) error {
	v, err := d.value(n, depth)
	if err != nil {
		return err
	}
	sources, ok := v.([]any)
	if !ok {
		sources = []any{v}
	}
	for _, s := range sources {
		from, ok := s.(map[string]any)
		if !ok {
			return d.fail(n, "<< takes a mapping")
		}
		for k, x := range from {
			if _, ok := m[k]; !ok {
				m[k] = runtime.DeepCopyJSONValue(x)
			}
		}
	}
	return nil
}

func (d *decoder) key(n *yaml.Node) (string, error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.MappingNode {
		return "", d.fail(n, "a key must be a string, not {{ }}: the file is a template")
	}
	if n.Kind != yaml.ScalarNode {
		return "", d.fail(n, "a key must be a string")
	}
	v, err := d.scalar(n)
	if err != nil {
		return "", err
	}
	switch v := v.(type) {
	case string:
		return v, nil
	case nil:
		return "", d.fail(n, "a key must be a string")
	default:
		return fmt.Sprint(v), nil
	}
}

// These are booleans in YAML 1.1, which kubectl reads, and strings in our parser.
var (
	truths    = []string{"y", "Y", "yes", "Yes", "YES", "on", "On", "ON"}
	falsities = []string{"n", "N", "no", "No", "NO", "off", "Off", "OFF"}
)

func (d *decoder) scalar(n *yaml.Node) (any, error) {
	switch tag := n.ShortTag(); tag {
	case "!!str", "!!timestamp", "!!merge":
		if n.Style == 0 && slices.Contains(truths, n.Value) {
			return true, nil
		}
		if n.Style == 0 && slices.Contains(falsities, n.Value) {
			return false, nil
		}
		return n.Value, nil
	case "!!null":
		return nil, nil
	case "!!binary":
		raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.Value), ""))
		if err != nil {
			return nil, d.fail(n, "!!binary: %w", err)
		}
		return string(raw), nil
	case "!!bool", "!!int", "!!float":
		// kubectl reads the octal numbers of YAML 1.2 as strings.
		if n.Style == 0 && strings.HasPrefix(strings.TrimLeft(n.Value, "+-"), "0o") {
			return n.Value, nil
		}
		var v any
		if err := n.Decode(&v); err != nil {
			return nil, d.fail(n, "invalid %s %q", strings.TrimPrefix(tag, "!!"), n.Value)
		}
		return d.number(n, v)
	default:
		return nil, d.fail(n, "tag %s is not supported", tag)
	}
}

// number gives a number the type that decoding JSON gives it.
func (d *decoder) number(n *yaml.Node, v any) (any, error) {
	switch v := v.(type) {
	case int:
		return int64(v), nil
	case uint64:
		return float64(v), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, d.fail(n, "%s has no JSON form", n.Value)
		}
		if i := int64(v); math.Abs(v) < 1<<63 && float64(i) == v {
			return i, nil
		}
		return v, nil
	default: // int64, bool, and string where a tag was forced
		return v, nil
	}
}

func mappingValue(n *yaml.Node, key string) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

var (
	yamlLine   = regexp.MustCompile(`line (\d+): `)
	badAnchor  = regexp.MustCompile(`unknown anchor '(.+)' referenced`)
	tabbedLine = regexp.MustCompile(`^ *\t`)
)

// syntaxLine returns the line of a parser's error. The parser counts from 0 or from 1 depending on the
// message, and names neither the first line nor that of an unknown alias.
func syntaxLine(err error, text []byte) int {
	msg, line := err.Error(), 1
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		line, _ = strconv.Atoi(m[1])
		if strings.Contains(msg, "did not find expected") {
			line++
		}
	}
	if m := badAnchor.FindStringSubmatch(msg); m != nil {
		if before, _, found := bytes.Cut(text, []byte("*"+m[1])); found {
			return bytes.Count(before, []byte("\n")) + 1
		}
	}
	if strings.Contains(msg, "found a tab") || strings.Contains(msg, "cannot start any token") {
		for i, l := range bytes.Split(text, []byte("\n")) {
			if i+1 >= line && tabbedLine.Match(l) {
				return i + 1
			}
		}
	}
	return line
}

func syntaxMessage(err error) error {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	return errors.New(yamlLine.ReplaceAllString(msg, ""))
}
