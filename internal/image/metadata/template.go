package metadata

import (
	"fmt"
	"strings"

	"slipway/internal/lazyregexp"
)

// expression is a Handlebars helper: it gets the arguments after its name.
type expression func(args []argument, options map[string]string) (string, error)

// values are expressions by name.
type values map[string]expression

// argument is an argument of an expression. It is unknown for a name without a value, as in {{date YYYY}}.
type argument struct {
	text  string
	known bool
}

// escapes are those of Handlebars, more than HTML requires.
var escapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#x27;", "`",
	"&#x60;", "=", "&#x3D;")

// template is the evaluation of a text.
type template struct {
	values values
	rest   string
	notes
}

// notes are the expressions whose value was changed by HTML escaping, and unknown names.
type notes struct{ escaped, unknown []string }

// expand evaluates the subset of Handlebars that a line uses: {{name}}, {{{name}}},
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

// tag reads up to the closing braces. A third brace becomes "&": both turn off escaping.
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

// part matches a word of an expression: a name, a path or a quoted text, with or without key= before it.
var part = lazyregexp.New(
	`^\s*(?:([\w-]+)=)?(?:'((?:\\'|[^'])*)'|"((?:\\"|[^"])*)"|([^\s'"=|(){}\[\]]+))(?:\s+|$)`)

// call evaluates an expression by its name and arguments. An unknown one is empty.
func (t *template) call(expression string) (string, error) {
	var args []argument
	var name string
	options := map[string]string{}
	for rest, first := expression, true; rest != ""; first = false {
		m := part().FindStringSubmatch(rest)
		if m == nil || first && (m[1] != "" || m[4] == "") || strings.ContainsAny(m[4][:min(1, len(m[4]))],
			"#/^>~*&!") || first && m[4] == "else" {
			return "", fmt.Errorf("unsupported expression {{%s}}: want a name, a name with quoted texts, or "+
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
		return "", fmt.Errorf("%s takes no arguments", name)
	}
	t.unknown = append(t.unknown, name)
	return "", nil
}
