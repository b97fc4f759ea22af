package helm

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"time"
	"unicode"

	"slipway/internal/object"
)

// later is how far the clock is ahead in the second render, so that every part of a date differs.
const later = 400*24*time.Hour + 4*time.Hour + 5*time.Minute + 6*time.Second + 789*time.Millisecond

// random are the functions with another result on each call.
var random = []string{
	"randAlphaNum", "randAlpha", "randAscii", "randNumeric", "randInt", "randBytes", "uuidv4", "shuffle",
	"bcrypt", "htpasswd", "encryptAES", "genPrivateKey", "genCA", "genCAWithKey", "genSelfSignedCert",
	"genSelfSignedCertWithKey", "genSignedCert", "genSignedCertWithKey",
}

// The functions whose result can be much larger than their arguments, or that never return for a map that
// contains itself: of texts, of lists, and those that can put a map into itself.
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

// functions are those that depend on the render: they obey its limits and note what varies.
func (r *run) functions(root *template.Template) template.FuncMap {
	f := limited(r.meter, r.funcs)
	f["include"], f["tpl"] = r.include(root), r.tpl(root)
	f["now"] = func() time.Time { r.use("now"); return time.Now().Add(r.shift) }
	if ask := r.release.options.Lookup; ask != nil {
		f["lookup"] = (func(string, string, string, string) (map[string]any, error))(ask)
	}
	for _, name := range random {
		f[name] = wrap(r.funcs[name], func(args []reflect.Value) {
			r.use(name)
			for _, a := range args {
				if a.CanInt() && name != "randInt" && a.Int() > int64(r.limits.items) {
					panic(r.over("%s of %d", name, a.Int()))
				}
			}
		}, nil)
	}
	weigh := func(v reflect.Value) { r.weighAll([]reflect.Value{v}) }
	for name := range strings.FieldsSeq(merging) {
		f[name] = wrap(r.funcs[name], func([]reflect.Value) { clear(r.yaml) }, weigh)
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
		weigh(reflect.ValueOf(v))
		return d
	}
	for _, name := range []string{"date", "dateInZone", "date_in_zone", "htmlDate", "htmlDateInZone"} {
		at := 1
		if strings.HasPrefix(name, "html") {
			at = 0
		}
		f[name] = wrap(r.funcs[name], func(args []reflect.Value) {
			switch args[at].Interface().(type) {
			case time.Time, *time.Time, int64, int, int32:
			default: // means the present time
				r.use(name)
				args[at] = reflect.ValueOf(time.Now().Add(r.shift))
			}
		}, nil)
	}
	for _, name := range []string{"ago", "durationRound"} {
		f[name] = wrap(r.funcs[name], func(args []reflect.Value) {
			if t, ok := args[0].Interface().(time.Time); ok {
				r.use(name)
				args[0] = reflect.ValueOf(t.Add(-r.shift))
			}
		}, nil)
	}
	return f
}

// limited are the functions whose result could be much larger than their arguments.
func limited(m *meter, funcs template.FuncMap) template.FuncMap {
	indent := func(n int, s string) string {
		m.text(strings.Count(s, "\n")+1, n)
		pad := strings.Repeat(" ", n)
		return pad + strings.ReplaceAll(s, "\n", "\n"+pad)
	}
	until := func(start, stop, step int) []int {
		list := []int{}
		if step == 0 || (stop < start) != (step < 0) {
			return list
		}
		m.items((stop - start) / step)
		for i := start; (i < stop) == (step > 0) && i != stop; i += step {
			list = append(list, i)
		}
		return list
	}
	seq, join := funcs["seq"].(func(...int) string), funcs["join"].(func(string, any) string)
	f := template.FuncMap{
		"repeat":  func(n int, s string) string { m.text(n, len(s)); return strings.Repeat(s, n) },
		"indent":  indent,
		"nindent": func(n int, s string) string { return "\n" + indent(n, s) },
		"until": func(n int) []int {
			if n < 0 {
				return until(0, n, -1)
			}
			return until(0, n, 1)
		},
		"untilStep": until,
		"seq": func(params ...int) string {
			for _, n := range params {
				m.items(max(n, -n))
			}
			return seq(params...)
		},
		"replace": func(old, with, s string) string {
			m.text(strings.Count(s, old), len(with))
			return strings.ReplaceAll(s, old, with)
		},
		"join": func(sep string, v any) string {
			left := m.limits.items
			m.weigh(v, &left, 0)
			m.text(m.limits.items-left, len(sep))
			return join(sep, v)
		},
	}
	for name := range strings.FieldsSeq(writing) {
		fn := funcs[name]
		if fn == nil {
			fn = builtin[name]
		}
		f[name] = wrap(fn, m.weighAll, m.size)
	}
	f["printf"] = func(format string, args ...any) string {
		if strings.ContainsAny(format, "*0123456789") && wide.MatchString(format) {
			panic(m.over("printf to a width of more than 999"))
		}
		left := m.limits.items
		for _, a := range args {
			m.weigh(a, &left, 0)
		}
		s := fmt.Sprintf(format, args...)
		m.text(1, len(s))
		return s
	}
	for name := range strings.FieldsSeq(listing) {
		f[name] = wrap(funcs[name], nil, m.size)
	}
	for name := range strings.FieldsSeq(regular) {
		f[name] = wrap(funcs[name], func(args []reflect.Value) {
			m.text(len(args[1].String())+1, (len(args[2].String())+16)/16)
		}, m.size)
	}
	return f
}

var wide = regexp.MustCompile(`%[-+# 0]*(\d{4,}|\d*\.\d{4,}|[\d.]*\*)`)

// asYAML is the text of a map. Holding the map keeps its address from being reused.
type asYAML struct {
	m    map[string]any
	text string
}

// toYAML caches the texts of maps until one is changed: charts write the same resources and labels for many
// objects.
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

// wrap checks the arguments and the result of a function. Go's templates turn a panic into an error.
func wrap(fn any, before func([]reflect.Value), after func(reflect.Value)) any {
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

// use is a function with another result on each call, and where a template calls it.
type use struct {
	function string
	at       object.Origin
}

// use notes that the current template may vary.
func (r *run) use(name string) {
	if !slices.ContainsFunc(r.used[r.current], func(u use) bool { return u.function == name }) {
		r.used[r.current] = append(r.used[r.current], use{name, r.callOf(name)})
	}
}

// callOf finds the line that calls a function: in the file of the template that ran last, which may have
// ended, in that of the current one, or in any.
func (r *run) callOf(name string) object.Origin {
	files := append([]string{r.at.File, r.origins[r.current]}, slices.Sorted(maps.Keys(r.texts))...)
	for i, file := range files {
		n := 0
		for text := range strings.Lines(r.texts[file]) {
			n++
			if (i > 0 || n >= r.at.Line) && hasWord(text, name) {
				return object.Origin{File: file, Line: n}
			}
		}
	}
	return r.at
}

func hasWord(text, word string) bool {
	return slices.Contains(strings.FieldsFunc(text, func(c rune) bool {
		return !unicode.IsLetter(c) && !unicode.IsDigit(c)
	}), word)
}
