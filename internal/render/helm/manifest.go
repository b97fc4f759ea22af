package helm

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode"

	v2 "helm.sh/helm/v4/pkg/chart/v2"
	v1 "helm.sh/helm/v4/pkg/release/v1"
	"helm.sh/helm/v4/pkg/release/v1/util"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"slipway/internal/object"
)

// document is one YAML document of a chart's output.
type document struct {
	template string // as Helm names it
	kind     string
	objects  []object.Object
	list     *object.Object // what the objects are the items of
	hook     *hook
	warnings []string
}

// split splits rendered text as Helm does: at every line that begins with three dashes. Helm prints a line
// break after each document, which can belong to a text at its end.
func split(text string) []string {
	var docs []string
	text = strings.TrimLeftFunc(text, unicode.IsSpace)
	for text != "" {
		if rest, ok := strings.CutPrefix(text, "---"); ok {
			text = strings.TrimLeft(rest, " \t")
		}
		doc := text
		if i := strings.Index(text, "\n---"); i >= 0 {
			doc = text[:i+1]
		}
		text = text[len(doc):]
		if doc = strings.TrimLeftFunc(doc, unicode.IsSpace); doc != "" {
			docs = append(docs, doc+"\n")
		}
	}
	return docs
}

// documents reads the rendered texts, in Helm's order.
func documents(r *release, c *v2.Chart, texts, origins map[string]string) ([]document, error) {
	var definitions, manifests, hooks []document
	if r.options.IncludeCRDs {
		for _, d := range c.CRDObjects() {
			docs, err := readDocuments(d.Filename, r.origins[d.File], string(d.File.Data))
			if err != nil {
				return nil, err
			}
			definitions = append(definitions, docs...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if strings.HasSuffix(name, "NOTES.txt") {
			continue
		}
		docs, err := readDocuments(name, origins[name], texts[name])
		if err != nil {
			return nil, err
		}
		for _, d := range docs {
			if d.hook == nil {
				manifests = append(manifests, d)
			} else {
				hooks = append(hooks, d)
			}
		}
	}
	order := installOrder()
	slices.SortStableFunc(manifests, order)
	slices.SortStableFunc(hooks, order)
	return slices.Concat(definitions, manifests, hooks), nil
}

// installOrder compares by kind: Helm's known kinds in its order, then the others by name.
func installOrder() func(a, b document) int {
	rank := map[string]int{}
	for i, kind := range util.InstallOrder {
		rank[kind] = i - len(util.InstallOrder)
	}
	return func(a, b document) int {
		if rank[a.kind] == 0 && rank[b.kind] == 0 {
			return strings.Compare(a.kind, b.kind)
		}
		return cmp.Compare(rank[a.kind], rank[b.kind])
	}
}

// assemble selects the documents that the options ask for.
func assemble(docs []document, o Options) (Result, error) {
	var result Result
	docs = slices.DeleteFunc(docs, func(d document) bool {
		leftOut := d.hook != nil && (o.NoHooks || o.SkipTests &&
			slices.Contains(d.hook.events, string(v1.HookTest)))
		if !leftOut {
			result.Warnings = append(result.Warnings, d.warnings...)
		}
		return leftOut || d.hook != nil && len(d.hook.events) == 0
	})
	if len(o.ShowOnly) > 0 {
		var err error
		if docs, err = only(docs, o.ShowOnly); err != nil {
			return Result{}, err
		}
	}
	for _, d := range docs {
		if o.WholeLists && d.list != nil {
			d.objects = []object.Object{*d.list}
		}
		result.Objects = append(result.Objects, d.objects...)
	}
	return result, nil
}

func only(docs []document, patterns []string) ([]document, error) {
	var shown []document
	for _, pattern := range patterns {
		before := len(shown)
		for _, d := range docs {
			_, below, _ := strings.Cut(d.template, "/")
			if ok, _ := path.Match(pattern, below); ok {
				shown = append(shown, d)
			}
		}
		if len(shown) == before {
			return nil, fmt.Errorf("show only %s: no rendered template has this name", pattern)
		}
	}
	return shown, nil
}

// readDocuments reads the output of one template.
func readDocuments(name, origin, text string) ([]document, error) {
	texts := split(text)
	docs := make([]document, 0, len(texts))
	for i, text := range texts {
		d := document{template: name}
		if err := d.read(text, origin); err != nil {
			return nil, &object.ReadError{File: origin, Err: misread(text, i+1, len(texts), err)}
		}
		docs = append(docs, d)
	}
	return docs, nil
}

func (d *document) read(text, origin string) error {
	if body, ok := plainYAML(text); ok && plainObject(body) {
		o := object.Object{Body: body, Origin: object.Origin{File: origin}}
		d.kind, _ = body["kind"].(string)
		d.objects = []object.Object{o}
		d.attach(o.Annotations())
	} else if err := d.decode([]byte(text), object.Origin{File: origin}); err != nil {
		return err
	}
	for i, w := range d.warnings {
		d.warnings[i] = origin + ": " + w
	}
	return nil
}

// plainObject reports whether a body is an object that needs no further checks.
func plainObject(body map[string]any) bool {
	meta, _ := body["metadata"].(map[string]any)
	for _, v := range []any{body["apiVersion"], body["kind"], meta["name"]} {
		if s, _ := v.(string); s == "" {
			return false
		}
	}
	_, list := body["items"]
	_, namespaced := meta["namespace"].(string)
	annotations, annotated := meta["annotations"]
	if _, ok := annotations.(map[string]any); annotated && !ok {
		return false
	}
	return !list && (namespaced || meta["namespace"] == nil) && meta["generateName"] == nil &&
		(body["kind"] != "Secret" || allText(body["data"]) && allText(body["stringData"]))
}

func allText(v any) bool {
	m, ok := v.(map[string]any)
	for _, x := range m {
		_, text := x.(string)
		ok = ok && text
	}
	return ok || v == nil
}

// decode reads a document as Helm and kubectl do. The last of duplicate keys wins, with a warning.
func (d *document) decode(text []byte, origin object.Origin) error {
	if bytes.IndexByte(text, '&') >= 0 { // aliases can expand beyond the memory
		if err := object.Check(bytes.NewReader(text), ""); errors.Is(err, object.ErrBudget) {
			return err
		}
	}
	asJSON, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		strict := err
		if asJSON, err = yaml.YAMLToJSON(text); err != nil {
			return err
		}
		_, line, _ := strings.Cut(strict.Error(), "line ")
		d.warnings = append(d.warnings, "rendered text, line "+line)
	}
	if string(asJSON) == "null" {
		return nil
	}
	var head struct {
		APIVersion, Kind any
		Metadata         struct{ Annotations map[string]any }
		Items            []json.RawMessage
	}
	if err := json.Unmarshal(asJSON, &head); err != nil {
		return fmt.Errorf("not an object: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	d.kind, _ = head.Kind.(string)
	if head.Kind == nil && head.APIVersion == nil {
		d.warnings = append(d.warnings,
			"skipped a document that is not an object: it has no apiVersion and no kind")
		return nil
	}
	texts := []json.RawMessage{asJSON}
	if head.Items != nil && strings.HasSuffix(d.kind, "List") {
		texts = head.Items
		d.list = &object.Object{Origin: origin}
		if err := utiljson.Unmarshal(asJSON, &d.list.Body); err != nil {
			return err
		}
	}
	for _, text := range texts {
		o := object.Object{Origin: origin}
		if err := utiljson.Unmarshal(text, &o.Body); err != nil {
			return err
		}
		d.objects = append(d.objects, o)
	}
	d.attach(head.Metadata.Annotations)
	return nil
}

// attach notes that a document is a hook. Helm skips hooks with an unknown event.
func (d *document) attach(annotations map[string]any) {
	h, ok, err := hookOf(annotations)
	if err != nil && len(d.objects) > 0 {
		d.warnings = append(d.warnings, fmt.Sprintf("%s is skipped: %v", d.objects[0].Ref(), err))
	}
	if ok {
		d.hook = &h
	}
}

// hook is when the object of a document is created.
type hook struct{ events []string }

// hookOf reads the events of a hook from the annotations of an object.
func hookOf(annotations map[string]any) (h hook, ok bool, err error) {
	events := annotations[v1.HookAnnotation]
	if events == nil {
		return hook{}, false, nil
	}
	for event := range strings.SplitSeq(fmt.Sprint(events), ",") {
		event = strings.ToLower(strings.TrimSpace(event))
		if event == "test-success" { // Helm 2's word
			event = v1.HookTest.String()
		}
		if !slices.Contains(knownEvents, v1.HookEvent(event)) {
			return hook{}, true, fmt.Errorf("unknown hook %q", event)
		}
		h.events = append(h.events, event)
	}
	return h, true, nil
}

var knownEvents = []v1.HookEvent{
	v1.HookPreInstall, v1.HookPostInstall, v1.HookPreDelete, v1.HookPostDelete, v1.HookPreUpgrade,
	v1.HookPostUpgrade, v1.HookPreRollback, v1.HookPostRollback, v1.HookTest,
}

// misread adds the line of the rendered text that is not valid YAML, because the template's line does not
// help.
func misread(text string, n, of int, err error) error {
	where := "rendered text"
	if of > 1 {
		where = fmt.Sprintf("document %d of the rendered text", n)
	}
	var syntax *object.ReadError
	if checked := object.Check(strings.NewReader(text), ""); !errors.As(checked, &syntax) {
		return fmt.Errorf("%s: %w", where, err)
	}
	lines := strings.Split(text, "\n")
	shown := ""
	if syntax.Line > 0 && syntax.Line <= len(lines) && !strings.Contains(text, "kind: Secret") {
		shown = fmt.Sprintf("\n  %d | %s", syntax.Line, lines[syntax.Line-1])
	}
	return fmt.Errorf("%s, line %d: %w%s", where, syntax.Line, syntax.Err, shown)
}
