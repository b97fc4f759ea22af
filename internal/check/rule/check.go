package rule

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/ext"
	"go.yaml.in/yaml/v3"

	"slipway/internal/check/finding"
	"slipway/internal/object"
	"slipway/internal/project"
)

// variables are what expressions may use beside object and item; later ones may use earlier ones. The
// policies declare them too.
var variables = [][2]string{
	{"pod", `object.kind == "Pod" ? object.spec : object.kind == "CronJob" ? object.spec.jobTemplate.spec.template.spec : object.spec.template.spec`},
	{"containers", `variables.pod.?containers.orValue([]) + variables.pod.?initContainers.orValue([])`},
}

// dialect is the part of CEL that policies have in API servers from 1.30 on.
var dialect = sync.OnceValues(func() (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.OptionalTypes(), cel.HomogeneousAggregateLiterals(), cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateHomogeneousAggregateLiterals()),
		ext.Strings(ext.StringsVersion(2)),
		cel.Variable("object", cel.DynType), cel.Variable("item", cel.DynType),
	}
	for _, v := range variables {
		options = append(options, cel.Variable("variables."+v[0], cel.DynType))
	}
	return cel.NewEnv(options...)
})

// variablePrograms are the compiled variables.
var variablePrograms = sync.OnceValues(func() (map[string]cel.Program, error) {
	programs := map[string]cel.Program{}
	for _, v := range variables {
		p, err := translate(v[1], nil)
		if err != nil {
			return nil, fmt.Errorf("variables.%s: %w", v[0], err)
		}
		programs["variables."+v[0]] = p
	}
	return programs, nil
})

// syntaxError is a fault in an expression; lines count from 0.
type syntaxError struct {
	line int
	text string
}

func (e *syntaxError) Error() string { return e.text }

// translate compiles an expression, which must have the type where one is given.
func translate(text string, want *cel.Type) (cel.Program, error) {
	env, err := dialect()
	if err != nil {
		return nil, err
	}
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		first := issues.Errors()[0]
		return nil, &syntaxError{max(first.Location.Line()-1, 0), first.Message}
	}
	if want != nil && !ast.OutputType().IsExactType(want) {
		return nil, &syntaxError{0, fmt.Sprintf("it returns %s instead of %s", ast.OutputType(), want)}
	}
	return env.Program(ast, cel.EvalOptions(cel.OptOptimize))
}

// program is a compiled rule.
type program struct {
	each             []cel.Program
	expression, text cel.Program
}

func (r *rule) build() (*program, error) {
	p := &program{}
	for _, each := range r.Each {
		compiled, err := r.part("each", each, nil)
		if err != nil {
			return nil, err
		}
		p.each = append(p.each, compiled)
	}
	var err error
	if p.expression, err = r.part("expression", r.Expression, cel.BoolType); err != nil {
		return nil, err
	}
	if r.MessageExpression != "" {
		p.text, err = r.part("messageExpression", r.MessageExpression, cel.StringType)
	}
	return p, err
}

func (r *rule) part(key, text string, want *cel.Type) (cel.Program, error) {
	compiled, err := translate(text, want)
	if wrong, ok := err.(*syntaxError); ok {
		return nil, &FileError{File: r.file, Line: r.lines[key] + wrong.line, Err: fmt.Errorf("rule %s: %s: %w",
			r.ID, key, err)}
	}
	return compiled, err
}

// Check evaluates the rules for a class on one object. A rule that fails to evaluate is returned as
// unchecked.
func (s *Set) Check(o object.Object, class project.Class) ([]finding.Finding, []finding.Unchecked) {
	l := newLook(o)
	for _, r := range s.rules {
		if !r.rule().Holds(class) || !slices.Contains(r.Kinds, l.name) {
			continue
		}
		if err := l.ask(r); err != nil {
			of := o.Ref()
			l.unchecked = append(l.unchecked, finding.Unchecked{Object: &of, Place: finding.At(o.Origin),
				What: "rule " + r.ID, Why: err.Error()})
		}
	}
	return l.findings, l.unchecked
}

// DevelopmentCommands returns the fields of an object whose command is for development: it reloads the
// program or runs it under a debugger.
func DevelopmentCommands(o object.Object) []string { return broken(o, "reload-flag", "debugger") }

// LocalHosts returns the fields of an object that hold a host name of the local machine.
func LocalHosts(o object.Object) []string { return broken(o, "localhost-host", "localhost-route") }

// broken returns the fields at which an object breaks rules that come with Slipway, whatever their classes.
// A field that cannot be evaluated is left out: check reports it.
func broken(o object.Object, ids ...string) []string {
	s, err := shipped()
	if err != nil {
		panic(err) // a mistake of ours
	}
	l := newLook(o)
	for _, r := range s.rules {
		if slices.Contains(ids, r.ID) && slices.Contains(r.Kinds, l.name) {
			_ = l.ask(r)
		}
	}
	var fields []string
	for _, f := range l.findings {
		fields = append(fields, f.Field)
	}
	return fields
}

// look is one object and what is found in it.
type look struct {
	object    object.Object
	name      string // "Deployment.apps"
	body      map[string]any
	bound     map[string]any
	findings  []finding.Finding
	unchecked []finding.Unchecked
}

func newLook(o object.Object) *look {
	l := &look{object: o, name: o.Ref().Kind}
	if group := o.Ref().Group; group != "" {
		l.name += "." + group
	}
	return l
}

func (l *look) ask(r *rule) error {
	p, err := r.compile()
	if err != nil {
		return err
	}
	if l.bound == nil {
		if err := l.bind(); err != nil {
			return err
		}
	}
	return l.walk(r, p, 0, "")
}

// bind sets what expressions may use. A variable is evaluated on first use.
func (l *look) bind() error {
	programs, err := variablePrograms()
	if err != nil {
		return err
	}
	l.body, _ = bare(l.object.Body).(map[string]any)
	l.bound = map[string]any{"object": l.body}
	for name, p := range programs {
		l.bound[name] = func() ref.Val {
			v, _, err := p.Eval(l.bound)
			if err != nil {
				return types.WrapErr(err)
			}
			return v
		}
	}
	return nil
}

// walk evaluates the expression for each element of the lists from a depth on.
func (l *look) walk(r *rule, p *program, depth int, path string) error {
	if depth == len(p.each) {
		return l.demand(r, p, path)
	}
	outer, had := l.bound["item"]
	defer func() {
		if l.bound["item"] = outer; !had {
			delete(l.bound, "item")
		}
	}()
	list, _, err := p.each[depth].Eval(l.bound)
	if err != nil {
		return err
	}
	elements, ok := list.(traits.Iterable)
	if !ok {
		return fmt.Errorf("each returns %s instead of a list", list.Type())
	}
	i := 0
	for it := elements.Iterator(); it.HasNext() == types.True; i++ {
		v := it.Next()
		l.bound["item"] = v
		if err := l.walk(r, p, depth+1, l.path(list, v, i, path)); err != nil {
			return err
		}
	}
	return nil
}

func (l *look) demand(r *rule, p *program, path string) error {
	v, _, err := p.expression.Eval(l.bound)
	if err != nil || v == types.True {
		return err
	}
	message := r.Message
	if p.text != nil {
		v, _, err := p.text.Eval(l.bound)
		if err != nil {
			return fmt.Errorf("messageExpression: %w", err)
		}
		message = string(v.(types.String))
	}
	if message == "" {
		message = r.Title
	}
	f := r.rule().New(l.object, below(path, l.field(r.Field)), "%s", message)
	f.Fix = brief(r.Fix, r.Group == "must exist")
	l.findings = append(l.findings, f)
	return nil
}

// field returns the first of several that exists, or else the first.
func (l *look) field(fields texts) string {
	at := l.body
	if item, ok := l.bound["item"].(ref.Val); ok {
		at, _ = item.Value().(map[string]any)
	}
	for _, f := range fields {
		if _, ok := at[f]; ok {
			return f
		}
	}
	return append(fields, "")[0]
}

// brief returns a fix on one line: its first paragraph, and the YAML after it where that can be copied.
func brief(fix string, withYAML bool) string {
	first, rest, _ := strings.Cut(strings.TrimSpace(fix), "\n\n")
	first = oneLine(first)
	before, introduces := strings.CutSuffix(first, ":")
	if !introduces {
		return first
	}
	_, snippet, _ := strings.Cut(rest, "```yaml\n")
	snippet, _, closed := strings.Cut(snippet, "```")
	var n yaml.Node
	if !withYAML || !closed || yaml.Unmarshal([]byte(snippet), &n) != nil || len(n.Content) == 0 {
		return before + "."
	}
	n.Content[0].Style, n.Content[0].LineComment, n.Content[0].HeadComment = yaml.FlowStyle, "", ""
	text, err := yaml.Marshal(n.Content[0])
	if err != nil {
		return before + "."
	}
	line := strings.TrimSpace(string(text))
	if n.Content[0].Kind == yaml.MappingNode {
		line = strings.TrimSuffix(strings.TrimPrefix(line, "{"), "}")
	}
	return first + " " + line
}

func below(path, field string) string {
	if path == "" || field == "" || field[0] == '[' {
		return path + field
	}
	return path + "." + field
}

// path returns the path of a list's element or a map's key in the object. For an element that an expression
// made it is the path so far.
func (l *look) path(list, element ref.Val, i int, sofar string) string {
	if at, ok := find(l.body, element.Value(), ""); ok {
		return at
	}
	at, ok := find(l.body, list.Value(), "")
	if !ok {
		return sofar
	}
	if _, isMap := list.(traits.Mapper); isMap {
		return object.Join(at, fmt.Sprint(element.Value()))
	}
	return fmt.Sprintf("%s[%d]", at, i)
}

// find returns the path of a map or list within a value: the identical one, not an equal one.
func find(v, wanted any, path string) (string, bool) {
	if same(v, wanted) {
		return path, true
	}
	switch v := v.(type) {
	case map[string]any:
		for k, c := range v {
			if at, ok := find(c, wanted, object.Join(path, k)); ok {
				return at, true
			}
		}
	case []any:
		for i, c := range v {
			if at, ok := find(c, wanted, ""); ok {
				return path + below(object.Elements(v)[i], at), true
			}
		}
	}
	return "", false
}

func same(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
	case []any:
		b, ok := b.([]any)
		return ok && len(a) > 0 && len(a) == len(b) && &a[0] == &b[0]
	}
	return false
}

// bare returns a value without nulls: the API server drops them before policies see the object.
func bare(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, c := range v {
			if c != nil {
				m[k] = bare(c)
			}
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, c := range v {
			list[i] = bare(c)
		}
		return list
	}
	return v
}
