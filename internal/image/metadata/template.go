package metadata

import (
	"fmt"
	"strings"

	"slipway/internal/lazyregexp"
)

// expression is what Handlebars calls with what stands after its name.
type expression func(args []argument, options map[string]string) (string, error)

// values are what can be named.
type values map[string]expression

// argument is nothing for a name that stands for nothing, as in {{date YYYY}}.
type argument struct {
	text  string
	known bool
}

// escapes are Handlebars' own, more than HTML needs.
var escapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#x27;", "`",
	"&#x60;", "=", "&#x3D;")

// template is one text with expressions while it is evaluated.
type template struct {
	values values
	rest   string
	notes
}

// notes are expressions whose value was changed by HTML escaping, and names that nothing has.
type notes struct{ escaped, unknown []string }

// expand evaluates a text as Handlebars does, as far as one line needs it: {{name}}, {{{name}}},
// {{&name}}, {{name 'text' key='text'}}, and comments.
func (v values) expand(s string) (out string, n notes, err error) {
	t := &template{values: v, rest: s}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(t.rest, "{{")
		if t.rest = after; !found {
			b.WriteString(before)
			return b.String(), t.notes, nil
		}
		if plain, ok := strings.CutSuffix(before, `\`); ok {
			b.WriteString(plain + "{{")
			continue
		}
		b.WriteString(before)
		tag, err := t.tag()
		if err == nil && !strings.HasPrefix(tag, "!") {
			tag, err = t.evaluate(tag)
			b.WriteString(tag)
		}
		if err != nil {
			return "", notes{}, fmt.Errorf("expression: %w", err)
		}
	}
}

// tag reads up to the closing braces. A third brace becomes "&": both say not to escape.
func (t *template) tag() (string, error) {
	closing, mark := "}}", ""
	switch {
	case strings.HasPrefix(t.rest, "!--"):
		closing = "--}}"
	case strings.HasPrefix(t.rest, "{"):
		closing, mark, t.rest = "}}}", "&", t.rest[1:]
	}
	tag, after, found := strings.Cut(t.rest, closing)
	if !found {
		return "", fmt.Errorf("{{%s is not closed", t.rest)
	}
	t.rest = after
	return mark + strings.TrimSpace(tag), nil
}

func (t *template) evaluate(tag string) (string, error) {
	bare, plain := strings.CutPrefix(tag, "&")
	value, err := t.call(strings.TrimSpace(bare))
	if err != nil || plain {
		return value, err
	}
	safe := escapes.Replace(value)
	if safe != value {
		t.escaped = append(t.escaped, bare)
	}
	return safe, nil
}

// part is a word of an expression: a name or path, a quoted text, either after key=.
var part = lazyregexp.New(
	`^\s*(?:([\w-]+)=)?(?:'((?:\\'|[^'])*)'|"((?:\\"|[^"])*)"|([^\s'"=|(){}\[\]]+))(?:\s+|$)`)

// call gives a value by its name and arguments. What nobody knows is empty.
func (t *template) call(expression string) (string, error) {
	var args []argument
	var name string
	options := map[string]string{}
	for rest, first := expression, true; rest != ""; first = false {
		m := part().FindStringSubmatch(rest)
		if m == nil || first && (m[1] != "" || m[4] == "") || strings.ContainsAny(m[4][:min(1, len(m[4]))],
			"#/^>~*&!") || first && m[4] == "else" {
			return "", fmt.Errorf("{{%s}} is not understood; there are a name, a name with quoted texts, and "+
				"key='text'", expression)
		}
		rest = rest[len(m[0]):]
		quoted := strings.ReplaceAll(m[2], `\'`, "'") + strings.ReplaceAll(m[3], `\"`, `"`)
		switch {
		case first:
			name = m[4]
		case m[1] != "":
			options[m[1]] = quoted
		default:
			args = append(args, argument{quoted, m[4] == ""})
		}
	}
	value, known := t.values[name]
	switch {
	case expression == "":
		return "", fmt.Errorf("{{}} is empty")
	case known:
		return value(args, options)
	case len(args)+len(options) > 0:
		return "", fmt.Errorf("there is no %s that takes arguments", name)
	}
	t.unknown = append(t.unknown, name)
	return "", nil
}
