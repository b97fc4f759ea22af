package check

import (
	"encoding/base64"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	jsonyaml "sigs.k8s.io/yaml"

	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/lazyregexp"
	"slipway/internal/object"
)

const (
	valueRespelled = rule.ID("value-respelled")
	valueNewline   = rule.ID("value-newline")
	valuePrinted   = rule.ID("value-printed")
)

// respelled checks what becomes of texts on the way from a file to an object.
func respelled(s *subject, e *environment) found {
	var all []finding.Finding
	rendered := renderedTexts(e)
	for _, c := range e.Charts {
		files := c.Values
		if c.Repository == "" {
			files = append([]string{defaultsOf(c)}, files...)
		}
		templates := templatesOf(s.files, path.Join(c.Path, "templates"))
		for _, name := range files {
			if root := s.document(name); root != nil && !s.isEncrypted(name) {
				eachScalar(root, "", func(at string, n *yaml.Node) {
					all = append(all, checkRespelled(s.files, name, at, n, rendered, templates)...)
				})
			}
		}
	}
	seen := once{}
	for _, w := range e.workloads {
		all = append(all, checkNewlines(e, w, seen)...)
	}
	for _, o := range e.objects {
		all = append(all, checkPrinted(o)...)
		all = append(all, checkScripts(o)...)
		all = append(all, checkKeys(s.files, o)...)
	}
	return found{findings: all}
}

// renderedTexts are all strings in the environment's objects.
func renderedTexts(e *environment) map[string]bool {
	all := map[string]bool{}
	for _, o := range e.objects {
		eachText(o.Body, "", func(_, s string) {
			all[s] = true
			if o.Ref().Kind == "ConfigMap" {
				for _, word := range strings.FieldsFunc(s, isTextSeparator) {
					all[word] = true
				}
			}
		})
	}
	return all
}

func isTextSeparator(r rune) bool { return strings.ContainsRune(" \t\n\"'=:;,()[]{}", r) }

func eachText(v any, at string, visit func(at, text string)) {
	switch v := v.(type) {
	case string:
		visit(at, v)
	case []any:
		steps := object.Elements(v)
		for i, e := range v {
			eachText(e, at+steps[i], visit)
		}
	case map[string]any:
		for k, e := range v {
			eachText(e, object.Join(at, k), visit)
		}
	}
}

func eachScalar(n *yaml.Node, at string, visit func(at string, n *yaml.Node)) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			eachScalar(n.Content[i+1], strings.TrimPrefix(at+"."+n.Content[i].Value, "."), visit)
		}
	case yaml.SequenceNode:
		for _, c := range n.Content {
			eachScalar(c, at+"[]", visit)
		}
	case yaml.ScalarNode:
		visit(at, n)
	}
}

// templatesOf is the text of the templates in a directory.
func templatesOf(src files, dir string) string {
	if !src.isFolder(dir) {
		return ""
	}
	var b strings.Builder
	entries, _ := src.view.Directory(dir)
	for _, e := range entries {
		if e.IsDir() {
			b.WriteString(templatesOf(src, path.Join(dir, e.Name())))
		} else {
			b.Write(src.text(path.Join(dir, e.Name())))
		}
	}
	return b.String()
}

// checkRespelled reports a value without quotes that Helm prints otherwise, where an object has that text.
func checkRespelled(src files, file, at string, n *yaml.Node, rendered map[string]bool,
	templates string) []finding.Finding {
	key := at[strings.LastIndex(at, ".")+1:]
	if n.Style != 0 || n.Value == "" || n.Tag == "!!null" || tagKey().MatchString(key) {
		return nil // numericTags checks tags
	}
	var value struct{ V any }
	if jsonyaml.Unmarshal([]byte("v: "+n.Value), &value) != nil {
		return nil
	}
	printed := fmt.Sprint(value.V)
	_, isText := value.V.(string)
	_, isBool := value.V.(bool)
	if isText || printed == n.Value || !rendered[printed] || strings.EqualFold(printed, n.Value) {
		return nil
	}
	if isBool && !prints(templates, at) {
		return nil
	}
	what := "a number"
	if isBool {
		what = "a boolean"
	}
	f := valueRespelled.In(finding.Place{File: file, Line: n.Line, Column: n.Column},
		"%s is %s: Helm writes it as %s, and an object has that text", n.Value, what, printed)
	quoted := fmt.Sprintf("%q", n.Value)
	f.Fix = "Quote it: " + quoted
	if start, ok := scalarOffset(src.text(file), n); ok {
		f.Edits = []finding.Edit{{File: file, Start: start, End: start + len(n.Value), New: quoted}}
	}
	return []finding.Finding{f}
}

// prints reports whether templates write a value as a text: not one that they only ask about.
func prints(templates, at string) bool {
	value := regexp.QuoteMeta(at)
	re, err := regexp.Compile(`\{\{-?\s*(quote\s+)?\$?\.Values\.` + value + `\s*(\|\s*quote\s*)?-?\}\}`)
	return err == nil && re.MatchString(templates)
}

// checkNewlines reports a value that ends with a newline, or has a carriage return, where a container gets it
// as a variable. A text of several lines is meant so.
func checkNewlines(e *environment, w workload, seen once) []finding.Finding {
	var all []finding.Finding
	for _, ref := range configRefs(w) {
		source, ok := e.get("", ref.kind, e.namespaceOf(w.Object), text(ref.value[ref.name]))
		if !ok || !strings.Contains(ref.field, ".env") {
			continue
		}
		for _, part := range []string{"data", "stringData"} {
			values := object.Mapping(source.At(part))
			for _, key := range keysOf(source) {
				wanted := text(ref.value["key"])
				if strings.Contains(key, ".") { // a file, whose text may well end so
					continue
				}
				value := text(values[key])
				if part == "data" && ref.kind == "Secret" {
					decoded, _ := base64.StdEncoding.DecodeString(value)
					value = string(decoded)
				}
				what := odd(value)
				if wanted != "" && wanted != key || what == "" || !seen.first(ref.kind, source.Ref().Name, key) {
					continue
				}
				all = append(all, valueNewline.New(source, object.Join(part, key),
					"key %s %s, and container %s of %s %s gets it as a variable, with it", key, what,
					containerAt(w, ref.field), w.Ref().Kind, w.Ref().Name))
			}
		}
	}
	return all
}

func containerAt(w workload, field string) string {
	for _, c := range w.containers() {
		if strings.HasPrefix(field, c.path+".") {
			return c.name
		}
	}
	return ""
}

// odd says what is odd about the end of a text of one line.
func odd(value string) string {
	line, ended := strings.CutSuffix(value, "\n")
	switch {
	case strings.Contains(line, "\n"):
		return ""
	case strings.HasSuffix(line, "\r"):
		return "ends with a carriage return"
	case ended && line != "":
		return "ends with a newline"
	}
	return ""
}

// checkScripts reports a script whose lines end as on Windows: the kernel looks for the interpreter "sh\r".
func checkScripts(o object.Object) []finding.Finding {
	if r := o.Ref(); r.Group != "" || r.Kind != "ConfigMap" {
		return nil
	}
	var all []finding.Finding
	values := object.Mapping(o.At("data"))
	for _, key := range keysOf(o) {
		first, _, _ := strings.Cut(text(values[key]), "\n")
		if strings.HasPrefix(first, "#!") && strings.HasSuffix(first, "\r") {
			f := valueNewline.New(o, object.Join("data", key),
				"script %s has lines that end with CR LF: its interpreter is not found", key)
			f.Fix = "Save the file with LF, and add `*.sh text eol=lf` to .gitattributes."
			f.Severity = finding.Error
			all = append(all, f)
		}
	}
	return all
}

// misprint matches what Go's templates write for a value of the wrong type.
var misprint = lazyregexp.New(`^(<nil>|<no value>|\[?map\[[^\]]*:.*\])$|` +
	`%!\w?\((?:[\w.]+=|<nil>|BADINDEX|NOVERB|EXTRA|MISSING)`)

// checkPrinted reports such a text. Only templates write it.
func checkPrinted(o object.Object) []finding.Finding {
	if o.Origin.Line != 0 {
		return nil
	}
	var at []string
	shown := map[string]string{}
	eachText(o.Body, "", func(field, s string) {
		if m := misprint().FindString(s); m != "" && !object.IsSecret(o) {
			at = append(at, field)
			shown[field] = m
		}
	})
	slices.Sort(at)
	var all []finding.Finding
	for _, field := range at {
		all = append(all, valuePrinted.New(o, field, "%s has the text %s, which a template wrote for a value of "+
			"another type", field, shown[field]))
	}
	return all
}

// checkKeys reports keys of an object's file that are words for booleans or numbers: the object has them
// otherwise.
func checkKeys(src files, o object.Object) []finding.Finding {
	if o.Origin.Line == 0 || src.isEncrypted(o.Origin.File) {
		return nil
	}
	have := map[string]bool{}
	var collect func(v any)
	collect = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				collect(e)
			}
		case map[string]any:
			for k, e := range v {
				have[k] = true
				collect(e)
			}
		}
	}
	collect(o.Body)
	if !have["true"] && !have["false"] && !slices.ContainsFunc(slices.Collect(maps.Keys(have)), isNumber) {
		return nil
	}
	var all []finding.Finding
	for _, m := range objectMappings(src.documents(o.Origin.File)) {
		if k, _ := child(m, "kind"); m.Line == o.Origin.Line && k != nil {
			all = append(all, respelledKeys(o.Origin.File, m, have)...)
		}
	}
	return all
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789.+e") == "" }

func respelledKeys(file string, n *yaml.Node, have map[string]bool) []finding.Finding {
	var all []finding.Finding
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			key := map[string]any{}
			if c.Style != 0 || jsonyaml.Unmarshal([]byte(c.Value+": 1"), &key) != nil || len(key) != 1 {
				continue
			}
			for becomes := range key {
				if becomes != c.Value && have[becomes] && !have[c.Value] {
					f := valueRespelled.In(finding.Place{File: file, Line: c.Line, Column: c.Column},
						"key %s is not a text in YAML: the object has the key %s", c.Value, becomes)
					f.Fix = fmt.Sprintf("Quote it: %q", c.Value)
					all = append(all, f)
				}
			}
			continue
		}
		all = append(all, respelledKeys(file, c, have)...)
	}
	return all
}
