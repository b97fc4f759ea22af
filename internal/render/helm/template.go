package helm

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	"helm.sh/helm/v4/pkg/chart"
	"helm.sh/helm/v4/pkg/chart/common"
	v2 "helm.sh/helm/v4/pkg/chart/v2"

	"slipway/internal/object"
)

// set is the parsed templates of a chart and of its enabled subcharts. It is cloned for each render and never
// executed itself.
type set struct {
	root    *template.Template
	names   []string          // in the order that they are rendered in
	charts  map[string]string // the path of each one's chart, by name
	origins map[string]string // by name
	texts   map[string]string // by origin
	marks   marks
}

// mark is a place that a render passes. Go's templates cannot be stopped, but they write every text node: an
// empty one at the start of each loop, and at both ends of each template, calls our writer, which counts and
// can fail.
type mark struct {
	depth  int // +1 where a template is entered, -1 where it is left
	origin object.Origin
}

// templatesOf parses the templates of a chart, once for each selection of the charts in it.
func templatesOf(r *release, c *v2.Chart, funcs template.FuncMap) (*set, error) {
	files, charts := map[string]*common.File{}, map[string]string{}
	list(files, charts, c)
	names := slices.Collect(maps.Keys(files))
	// Deeper templates come first, so that a chart's own definitions replace those of its charts.
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(strings.Count(b, "/")-strings.Count(a, "/"), strings.Compare(b, a))
	})
	var key strings.Builder
	for _, name := range names {
		fmt.Fprintf(&key, "%s %p\n", name, files[name])
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sets[key.String()]; s != nil {
		return s, nil
	}
	s := &set{
		root:  template.New("gotpl").Option("missingkey=zero").Funcs(funcs),
		names: names, charts: charts, origins: map[string]string{}, texts: map[string]string{}, marks: marks{},
	}
	for _, name := range names {
		s.origins[name] = r.origins[files[name]]
		s.texts[s.origins[name]] = string(files[name].Data)
	}
	for _, name := range names {
		if _, err := s.root.New(name).Parse(string(files[name].Data)); err != nil {
			return nil, explain(err, s.origins)
		}
	}
	for _, t := range s.root.Templates() {
		s.marks.put(t.Tree, s.origins)
	}
	r.sets[key.String()] = s
	return s, nil
}

// list collects the templates of a chart and of its subcharts under Helm's names.
func list(files map[string]*common.File, charts map[string]string, c *v2.Chart) {
	library := strings.EqualFold(c.Metadata.Type, "library")
	for _, f := range c.Templates {
		if !library || strings.HasPrefix(path.Base(f.Name), "_") {
			name := path.Join(c.ChartFullPath(), f.Name)
			files[name], charts[name] = f, c.ChartFullPath()
		}
	}
	for _, sub := range c.Dependencies() {
		list(files, charts, sub)
	}
}

type marks map[*byte]mark

// put adds the marks to a template, once.
func (m marks) put(t *parse.Tree, origins map[string]string) {
	if t == nil || t.Root == nil {
		return
	}
	nodes := t.Root.Nodes
	at := object.Origin{File: origins[t.ParseName]}
	if len(nodes) > 0 {
		if first, ok := nodes[0].(*parse.TextNode); ok && isMark(first.Text) {
			return
		}
		at.Line = line(t, nodes[0])
	}
	m.loops(t.Root, object.Origin{File: at.File})
	t.Root.Nodes = slices.Concat([]parse.Node{m.text(1, at)}, nodes, []parse.Node{m.text(-1, at)})
}

func (m marks) text(depth int, at object.Origin) *parse.TextNode {
	place := new([1]byte)
	m[&place[0]] = mark{depth, at}
	return &parse.TextNode{NodeType: parse.NodeText, Text: place[:0]}
}

func isMark(text []byte) bool { return len(text) == 0 && cap(text) == 1 }

func (m marks) loops(list *parse.ListNode, at object.Origin) {
	if list == nil {
		return
	}
	for _, n := range list.Nodes {
		switch n := n.(type) {
		case *parse.IfNode:
			m.loops(n.List, at)
			m.loops(n.ElseList, at)
		case *parse.WithNode:
			m.loops(n.List, at)
			m.loops(n.ElseList, at)
		case *parse.RangeNode:
			m.loops(n.List, at)
			m.loops(n.ElseList, at)
			at.Line = n.Line
			n.List.Nodes = slices.Concat([]parse.Node{m.text(0, at)}, n.List.Nodes)
		}
	}
}

// line returns the line of a node.
func line(t *parse.Tree, n parse.Node) int {
	location, _ := t.ErrorContext(n)
	var line, column int
	if _, err := fmt.Sscanf(strings.TrimPrefix(location, t.ParseName), ":%d:%d", &line, &column); err != nil {
		return 0
	}
	return line
}

// scopesOf returns the data of the templates of a chart and its subcharts, by the chart's path.
func scopesOf(r *release, c *v2.Chart, values common.Values) map[string]map[string]any {
	top := map[string]any{
		"Capabilities": r.capabilities,
		"Release": map[string]any{
			"Name": r.name, "Namespace": r.namespace, "Revision": 1, "Service": "Helm",
			"IsUpgrade": r.options.IsUpgrade, "IsInstall": !r.options.IsUpgrade,
		},
		"Values": values,
	}
	scopes := map[string]map[string]any{}
	descend(scopes, c, top)
	return scopes
}

func descend(scopes map[string]map[string]any, c *v2.Chart, above common.Values) map[string]any {
	accessor, err := chart.NewAccessor(c)
	if err != nil {
		panic(err) // it is a chart
	}
	meta := accessor.MetadataAsMap()
	meta["IsRoot"] = c.IsRoot()
	subcharts := map[string]any{}
	own := map[string]any{
		"Chart": meta, "Files": newFiles(c.Files), "Release": above["Release"],
		"Capabilities": above["Capabilities"],
		"Values":       common.Values{}, "Subcharts": subcharts,
	}
	if c.IsRoot() {
		own["Values"] = above["Values"]
	} else if values, err := above.Table("Values." + c.Name()); err == nil {
		own["Values"] = values
	}
	for _, sub := range c.Dependencies() {
		subcharts[sub.Name()] = descend(scopes, sub, own)
	}
	scopes[c.ChartFullPath()] = own
	return own
}

// run is one execution of a chart's templates.
type run struct {
	*set
	*meter
	release *release
	funcs   template.FuncMap // Sprig's and Helm's
	shift   time.Duration    // of the clock

	root    *template.Template
	used    map[string][]use   // the functions that vary, by template
	inner   marks              // of templates that are values
	yaml    map[uintptr]asYAML // what maps were written as, by their address
	current string             // the template that is being rendered
	spare   []*sink
}

func newRun(rel *release, s *set, funcs template.FuncMap, shift time.Duration, m *meter) (*run, error) {
	root, err := s.root.Clone()
	if err != nil {
		return nil, err
	}
	r := &run{set: s, meter: m, release: rel, funcs: funcs, shift: shift, root: root,
		used: map[string][]use{}, inner: marks{}, yaml: map[uintptr]asYAML{}}
	// A clone forgets its options: go.dev/issue/43022.
	root.Option("missingkey=zero").Funcs(r.functions(root))
	return r, nil
}

// execute renders every template except partials.
func (r *run) execute(scopes map[string]map[string]any) (map[string]string, error) {
	texts, total := map[string]string{}, 0
	for _, name := range r.names {
		if strings.HasPrefix(path.Base(name), "_") {
			continue
		}
		chart := r.charts[name]
		scope := scopes[chart]
		scope["Template"] = common.Values{"Name": name, "BasePath": path.Join(chart, "templates")}
		r.current, r.depth, r.at = name, 0, object.Origin{File: r.origins[name]}
		text, err := r.collect(true, func(w io.Writer) error { return r.root.ExecuteTemplate(w, name, scope) })
		if err != nil {
			return nil, explain(err, r.origins)
		}
		if total += len(text); total > r.limits.written/4 {
			return nil, r.over("the chart renders to more than %d MiB", r.limits.written>>22)
		}
		texts[name] = text
	}
	return texts, nil
}

// sink is the writer of a template.
type sink struct {
	run  *run
	text []byte
}

func (s *sink) Write(p []byte) (int, error) {
	if isMark(p) {
		place := &p[:1][0]
		m, ok := s.run.marks[place]
		if !ok {
			m = s.run.inner[place]
		}
		return 0, s.run.pass(m)
	}
	if err := s.run.wrote(len(p)); err != nil {
		return 0, err
	}
	s.text = append(s.text, p...)
	return len(p), nil
}

// collect returns what a template writes, without "<no value>" where clean is set. It reuses the buffers.
func (r *run) collect(clean bool, execute func(io.Writer) error) (string, error) {
	out := &sink{run: r}
	if n := len(r.spare); n > 0 {
		out, r.spare = r.spare[n-1], r.spare[:n-1]
	}
	out.text = out.text[:0]
	err := execute(out)
	text := string(out.text)
	if clean {
		text = strings.ReplaceAll(text, "<no value>", "")
	}
	r.spare = append(r.spare, out)
	return text, err
}

// include renders a template to a string.
func (r *run) include(t *template.Template) func(string, any) (string, error) {
	return func(name string, data any) (string, error) {
		return r.collect(false, func(w io.Writer) error { return t.ExecuteTemplate(w, name, data) })
	}
}

// tpl renders a value as a template.
func (r *run) tpl(parent *template.Template) func(string, any) (string, error) {
	return func(text string, data any) (string, error) {
		if !strings.Contains(text, "{{") {
			return strings.ReplaceAll(text, "<no value>", ""), nil
		}
		if err := r.wrote(len(text)); err != nil {
			return "", err
		}
		t, err := r.inline(parent, text)
		if err != nil {
			return "", err
		}
		return r.collect(true, func(w io.Writer) error { return t.Execute(w, data) })
	}
}

// inline parses a value as a template. Its definitions are visible only to itself, which needs a copy of all
// templates.
func (r *run) inline(parent *template.Template, text string) (*template.Template, error) {
	defines := strings.Contains(text, "define") || strings.Contains(text, "block")
	if defines {
		own, err := parent.Clone()
		if err != nil {
			return nil, err
		}
		parent = own.Option("missingkey=zero").Funcs(template.FuncMap{"include": r.include(own), "tpl": r.tpl(own)})
	}
	t, err := parent.New("gotpl").Parse(text)
	if err != nil {
		return nil, err
	}
	r.inner.put(t.Tree, nil)
	if defines {
		for _, t := range parent.Templates() {
			r.inner.put(t.Tree, nil)
		}
	}
	return t, nil
}
