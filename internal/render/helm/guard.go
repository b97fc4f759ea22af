package helm

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"time"

	"helm.sh/helm/v4/pkg/chart/common"
)

// later is how much the second render of what varies is set forward: every part of a date differs.
const later = 400*24*time.Hour + 4*time.Hour + 5*time.Minute + 6*time.Second + 789*time.Millisecond

// random are the functions that give another result each time.
var random = []string{
	"randAlphaNum", "randAlpha", "randAscii", "randNumeric", "randInt", "randBytes", "uuidv4", "shuffle",
	"bcrypt", "htpasswd", "encryptAES", "genPrivateKey", "genCA", "genCAWithKey", "genSelfSignedCert",
	"genSelfSignedCertWithKey", "genSignedCert", "genSignedCertWithKey",
}

// The functions that can give much more than they take, or never come back from a map that holds
// itself: of texts, of lists, and those that can put a map into itself.
const (
	writing = "print println printf html js urlquery quote squote cat toString toStrings mustToYaml " +
		"toYamlPretty " +
		"toJson mustToJson toPrettyJson mustToPrettyJson toRawJson mustToRawJson toToml mustToToml deepCopy " +
		"mustDeepCopy wrapWith"
	listing = "list tuple append mustAppend push mustPush prepend mustPrepend concat"
	merging = "merge mergeOverwrite mustMerge mustMergeOverwrite"
	regular = "regexReplaceAll mustRegexReplaceAll regexReplaceAllLiteral mustRegexReplaceAllLiteral"
)

// builtin are Go's own functions.
var builtin = template.FuncMap{
	"print": fmt.Sprint, "println": fmt.Sprintln, "printf": fmt.Sprintf,
	"html": template.HTMLEscaper, "js": template.JSEscaper, "urlquery": template.URLQueryEscaper,
}

// functions are those that know of the render: they keep to its limits, and note what varies.
func (r *run) functions(root *template.Template) template.FuncMap {
	f := template.FuncMap{
		"include": r.include(root), "tpl": r.tpl(root),
		"repeat":    func(n int, s string) string { r.text(n, len(s)); return strings.Repeat(s, n) },
		"indent":    r.indent,
		"nindent":   func(n int, s string) string { return "\n" + r.indent(n, s) },
		"until":     func(n int) []int { return r.until(0, n, sign(n)) },
		"untilStep": r.until,
		"seq":       r.seq,
		"replace": func(old, with, s string) string {
			r.text(strings.Count(s, old), len(with))
			return strings.ReplaceAll(s, old, with)
		},
		"join": r.join,
		"now":  func() time.Time { r.use("now"); return time.Now().Add(r.shift) },
	}
	if ask := r.release.options.Lookup; ask != nil {
		f["lookup"] = (func(string, string, string, string) (map[string]any, error))(ask)
	}
	for _, name := range random {
		f[name] = r.wrap(name, func(args []reflect.Value) {
			r.use(name)
			for _, a := range args {
				if a.CanInt() && name != "randInt" && a.Int() > int64(r.limits.items) {
					panic(r.over("%s of %d", name, a.Int()))
				}
			}
		}, nil)
	}
	for name := range strings.FieldsSeq(writing) {
		f[name] = r.wrap(name, r.weighAll, r.size)
	}
	f["printf"] = r.printf
	for name := range strings.FieldsSeq(listing) {
		f[name] = r.wrap(name, nil, r.size)
	}
	for name := range strings.FieldsSeq(merging) {
		f[name] = r.wrap(name, func([]reflect.Value) {
			clear(r.yaml)
		}, func(v reflect.Value) { r.weighAll([]reflect.Value{v}) })
	}
	f["toYaml"] = r.toYAML
	f["unset"] = func(d map[string]any, key string) map[string]any {
		clear(r.yaml)
		delete(d, key)
		return d
	}
	f["set"] = func(d map[string]any, key string, v any) map[string]any {
		clear(r.yaml)
		d[key] = v
		r.weighAll([]reflect.Value{reflect.ValueOf(v)})
		return d
	}
	for name := range strings.FieldsSeq(regular) {
		f[name] = r.wrap(name, func(args []reflect.Value) {
			r.text(len(args[1].String())+1, (len(args[2].String())+16)/16)
		}, r.size)
	}
	r.dates(f)
	return f
}

// asYAML is what a map was written as. The map is held, so that none other takes its place.
type asYAML struct {
	m    map[string]any
	text string
}

// toYAML writes a map once, as long as none is changed: charts say the same resources and labels for
// object after object.
func (r *run) toYAML(v any) string {
	m, ok := v.(map[string]any)
	if known, found := r.yaml[reflect.ValueOf(m).Pointer()]; ok && found {
		return known.text
	}
	r.weighAll([]reflect.Value{reflect.ValueOf(v)})
	text := orEmpty(toYAML(v))
	r.text(1, len(text))
	if ok {
		r.yaml[reflect.ValueOf(m).Pointer()] = asYAML{m, text}
	}
	return text
}

// dates are the functions that take the present for what is no time.
func (r *run) dates(f template.FuncMap) {
	for _, name := range []string{"date", "dateInZone", "date_in_zone", "htmlDate", "htmlDateInZone"} {
		at := 1
		if strings.HasPrefix(name, "html") {
			at = 0
		}
		f[name] = r.wrap(name, func(args []reflect.Value) {
			switch args[at].Interface().(type) {
			case time.Time, *time.Time, int64, int, int32:
			default:
				r.use(name)
				args[at] = reflect.ValueOf(time.Now().Add(r.shift))
			}
		}, nil)
	}
	for _, name := range []string{"ago", "durationRound"} {
		f[name] = r.wrap(name, func(args []reflect.Value) {
			if t, ok := args[0].Interface().(time.Time); ok {
				r.use(name)
				args[0] = reflect.ValueOf(t.Add(-r.shift))
			}
		}, nil)
	}
}

// wrap looks at what a function is given and at what it gives. A panic is its error: Go's templates
// take it for one.
func (r *run) wrap(name string, before func([]reflect.Value), after func(reflect.Value)) any {
	fn := r.engine.funcs[name]
	if fn == nil {
		fn = builtin[name]
	}
	v := reflect.ValueOf(fn)
	call := v.Call
	if v.Type().IsVariadic() {
		call = v.CallSlice
	}
	return reflect.MakeFunc(v.Type(), func(args []reflect.Value) []reflect.Value {
		if before != nil {
			before(args)
		}
		out := call(args)
		if after != nil {
			after(out[0])
		}
		return out
	}).Interface()
}

// use notes that what is being rendered may vary.
func (r *run) use(name string) {
	if !slices.Contains(r.used[r.current], name) {
		r.used[r.current] = append(r.used[r.current], name)
	}
}

func (r *run) over(format string, args ...any) *BudgetError {
	return &BudgetError{r.at, fmt.Sprintf(format, args...)}
}

// text refuses what would be n times a size.
func (r *run) text(n, size int) {
	if n > 0 && size > r.limits.text/n {
		panic(r.over("a text of more than %d MiB", r.limits.text>>20))
	}
}

func (r *run) items(n int) {
	if n < 0 || n > r.limits.items {
		panic(r.over("a list of more than %d values", r.limits.items))
	}
}

func (r *run) size(v reflect.Value) {
	for v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.String:
		r.text(1, v.Len())
	case reflect.Slice:
		r.items(v.Len())
	}
}

func (r *run) indent(n int, s string) string {
	r.text(strings.Count(s, "\n")+1, n)
	pad := strings.Repeat(" ", n)
	return pad + strings.ReplaceAll(s, "\n", "\n"+pad)
}

func sign(n int) int {
	if n < 0 {
		return -1
	}
	return 1
}

func (r *run) until(start, stop, step int) []int {
	list := []int{}
	if step == 0 || (stop < start) != (step < 0) {
		return list
	}
	r.items((stop - start) / step)
	for i := start; (i < stop) == (step > 0) && i != stop; i += step {
		list = append(list, i)
	}
	return list
}

func (r *run) seq(params ...int) (string, error) {
	for _, n := range params {
		r.items(max(n, -n))
	}
	return r.engine.funcs["seq"].(func(...int) string)(params...), nil
}

func (r *run) join(sep string, v any) string {
	left := r.limits.items
	r.weigh(v, &left, 0)
	r.text(r.limits.items-left, len(sep))
	return r.engine.funcs["join"].(func(string, any) string)(sep, v)
}

var wide = regexp.MustCompile(`%[-+# 0]*(\d{4,}|\d*\.\d{4,}|[\d.]*\*)`)

func (r *run) printf(format string, args ...any) string {
	if strings.ContainsAny(format, "*0123456789") && wide.MatchString(format) {
		panic(r.over("printf to a width of more than 999"))
	}
	left := r.limits.items
	for _, a := range args {
		r.weigh(a, &left, 0)
	}
	s := fmt.Sprintf(format, args...)
	r.text(1, len(s))
	return s
}

func (r *run) weighAll(args []reflect.Value) {
	left := r.limits.items
	for _, a := range args {
		if a.IsValid() && a.CanInterface() {
			r.weigh(a.Interface(), &left, 0)
		}
	}
}

// weigh walks through a value as often as it would be written: one map, held twice by each of
// forty others, is no small value.
func (r *run) weigh(v any, left *int, depth int) {
	*left--
	if *left < 0 {
		panic(r.over("a value of more than %d values", r.limits.items))
	}
	if depth > r.limits.depth {
		panic(r.over("a value that holds itself"))
	}
	switch v := v.(type) {
	case string:
		*left -= len(v) / 64
	case map[string]any:
		for _, x := range v {
			r.weigh(x, left, depth+1)
		}
	case []any:
		for _, x := range v {
			r.weigh(x, left, depth+1)
		}
	case common.Values:
		r.weigh(map[string]any(v), left, depth)
	case []string:
		for _, x := range v {
			*left -= 1 + len(x)/64
		}
	}
}
