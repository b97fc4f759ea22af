package helm

import (
	"strconv"
	"strings"
)

// plainYAML reads the YAML that templates nearly always render to: block mappings and sequences, literal
// texts, scalars and flow collections of one line, in ASCII. It is ten times as fast as the full parser,
// which took most of the time of a render. It gives up at anything else, errors included, and then the full
// parser decides.
func plainYAML(text string) (body map[string]any, ok bool) {
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\n' || c > '~' {
			return nil, false
		}
	}
	p := &plainParser{text: text}
	defer func() {
		if r := recover(); r == errDoubt {
			body, ok = nil, false
		} else if r != nil {
			panic(r)
		}
	}()
	p.next()
	if p.done {
		return nil, false
	}
	body, ok = p.block(p.indent, 0).(map[string]any)
	return body, ok && p.done
}

// The longest key with its colon; YAML's limit is slightly higher.
const maxKey = 1000

type doubt struct{}

var errDoubt = doubt{}

func (plainParser) doubt() { panic(errDoubt) }

// plainParser is at a line that is neither blank nor a comment.
type plainParser struct {
	text string // what follows the line
	done bool

	indent int
	line   string // without its indentation
}

// next goes to the next line that is neither blank nor a comment.
func (p *plainParser) next() {
	for p.text != "" {
		line, rest, _ := strings.Cut(p.text, "\n")
		p.text = rest
		p.line = strings.TrimLeft(line, " ")
		if p.line == "" || p.line[0] == '#' {
			continue
		}
		p.indent = len(line) - len(p.line)
		if p.indent == 0 && (strings.HasPrefix(p.line, "---") || strings.HasPrefix(p.line, "...")) {
			p.doubt()
		}
		return
	}
	p.done, p.indent, p.line = true, -1, ""
}

func isItem(line string) bool { return line == "-" || strings.HasPrefix(line, "- ") }

// block reads the mapping or sequence that begins at the line.
func (p *plainParser) block(indent, depth int) any {
	if depth > 100 {
		p.doubt()
	}
	if !isItem(p.line) {
		return p.mapping(indent, depth)
	}
	list := []any{}
	for !p.done && p.indent == indent && isItem(p.line) {
		rest := strings.TrimLeft(p.line[1:], " ")
		at := indent + len(p.line) - len(rest)
		switch _, _, key := p.key(rest); {
		case rest == "" || rest[0] == '#':
			list = append(list, p.below(indent, indent, depth))
		case key:
			p.indent, p.line = at, rest
			list = append(list, p.mapping(at, depth+1))
		case isItem(rest):
			p.doubt()
		default:
			list = append(list, p.value(rest, indent))
		}
	}
	p.ends(indent)
	return list
}

func (p *plainParser) mapping(indent, depth int) map[string]any {
	m := map[string]any{}
	for !p.done && p.indent == indent && !isItem(p.line) {
		key, rest, ok := p.key(p.line)
		if _, twice := m[key]; !ok || twice {
			p.doubt()
		}
		if rest == "" || rest[0] == '#' {
			m[key] = p.below(indent, indent-1, depth)
		} else {
			m[key] = p.value(rest, indent)
		}
	}
	p.ends(indent)
	return m
}

// ends gives up at an indentation between two levels, and at scalars of several lines.
func (p *plainParser) ends(indent int) {
	if p.indent > indent {
		p.doubt()
	}
}

// below reads what the lines after an empty value hold; a sequence may stand as far left as the key.
func (p *plainParser) below(indent, least, depth int) any {
	p.next()
	if p.indent > indent || p.indent == indent && p.indent > least && isItem(p.line) {
		return p.block(p.indent, depth+1)
	}
	return nil
}

// key splits a line at its key.
func (p *plainParser) key(line string) (key, rest string, ok bool) {
	if line == "" {
		return "", "", false
	}
	switch c := line[0]; {
	case c == '"' || c == '\'':
		key, rest, ok = p.quoted(line)
		if !ok || rest == "" || rest[0] != ':' {
			return "", "", false
		}
		rest = rest[1:]
	case !isLetter(c) && c != '_' && c != '/' && (c != '.' || len(line) < 2 || !isLetter(line[1])):
		return "", "", false
	default:
		i := strings.IndexByte(line, ':')
		for i >= 0 && i+1 < len(line) && line[i+1] != ' ' {
			j := strings.IndexByte(line[i+1:], ':')
			if j < 0 {
				return "", "", false
			}
			i += 1 + j
		}
		if i < 0 {
			return "", "", false
		}
		key, rest = line[:i], line[i+1:]
		if key[len(key)-1] == ' ' || strings.Contains(key, " #") || word(key) {
			p.doubt()
		}
	}
	if rest != "" && rest[0] != ' ' || len(line)-len(rest) > maxKey {
		p.doubt()
	}
	return key, strings.TrimLeft(rest, " "), true
}

// value reads what follows a key or a dash, and goes on to the next line.
func (p *plainParser) value(s string, indent int) any {
	var v any
	switch s[0] {
	case '|':
		return p.literal(strings.TrimRight(s, " "), indent)
	case '"', '\'':
		q, rest, ok := p.quoted(s)
		if !ok || !blank(rest) {
			p.doubt()
		}
		v = q
	case '[', '{':
		f, rest := p.flow(s, 0)
		if !blank(rest) {
			p.doubt()
		}
		v = f
	default:
		if i := strings.Index(s, " #"); i >= 0 {
			s = s[:i]
		}
		s = strings.TrimRight(s, " ")
		if strings.Contains(s, ": ") || s[len(s)-1] == ':' {
			p.doubt()
		}
		v = p.scalar(s)
	}
	p.next()
	return v
}

// blank reports whether only a comment follows.
func blank(s string) bool {
	t := strings.TrimLeft(s, " ")
	return t == "" || t[0] == '#' && len(t) < len(s)
}

// literal reads the text after a |, and goes on to the line behind it.
func (p *plainParser) literal(header string, parent int) string {
	if header != "|" && header != "|-" && header != "|+" {
		p.doubt()
	}
	var text strings.Builder
	own, blanks := -1, 0
	for p.text != "" {
		line, rest, ended := strings.Cut(p.text, "\n")
		if !ended {
			p.doubt()
		}
		trimmed := strings.TrimLeft(line, " ")
		indent := len(line) - len(trimmed)
		if trimmed == "" && (own < 0 || indent <= own) {
			if own < 0 && indent > 0 {
				p.doubt()
			}
			blanks++
			p.text = rest
			continue
		}
		if own < 0 {
			own = indent
		}
		if indent < own || indent <= parent {
			if indent > parent {
				p.doubt()
			}
			break
		}
		for ; blanks > 0; blanks-- {
			text.WriteByte('\n')
		}
		text.WriteString(line[own:])
		text.WriteByte('\n')
		p.text = rest
	}
	p.next()
	switch s := text.String(); {
	case s == "":
		p.doubt()
	case header == "|-":
		return strings.TrimSuffix(s, "\n")
	case header == "|+":
		return s + strings.Repeat("\n", blanks)
	}
	return text.String()
}

// quoted reads a text in quotes that ends in its line.
func (p *plainParser) quoted(s string) (text, rest string, ok bool) {
	quote := s[0]
	if i := strings.IndexByte(s[1:], quote) + 1; i > 0 && strings.IndexByte(s[:i], '\\') < 0 &&
		(quote == '"' || i+1 == len(s) || s[i+1] != quote) {
		return s[1:i], s[i+1:], true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == quote && quote == '\'' && i+1 < len(s) && s[i+1] == quote:
			i++
			b.WriteByte(quote)
		case s[i] == quote:
			return b.String(), s[i+1:], true
		case s[i] == '\\' && quote == '"':
			i++
			if i == len(s) {
				p.doubt()
			}
			switch s[i] {
			case '"', '\\':
				b.WriteByte(s[i])
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			default:
				p.doubt()
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", false
}

// flow reads [a, b] and {a: b}.
func (p *plainParser) flow(s string, depth int) (v any, rest string) {
	if depth > 20 {
		p.doubt()
	}
	list, m := []any{}, map[string]any{}
	isMap, closing := s[0] == '{', byte(s[0]+2) // in ASCII
	s = strings.TrimLeft(s[1:], " ")
	for empty := s != "" && s[0] == closing; !empty; s = s[1:] {
		key, item := "", any(nil)
		if isMap {
			key, s = p.flowKey(s)
		}
		item, s = p.flowItem(strings.TrimLeft(s, " "), closing, depth)
		if _, twice := m[key]; twice {
			p.doubt()
		}
		if isMap {
			m[key] = item
		} else {
			list = append(list, item)
		}
		if s = strings.TrimLeft(s, " "); s == "" || s[0] != ',' && s[0] != closing {
			p.doubt()
		}
		if s[0] == closing {
			break
		}
	}
	if isMap {
		return m, s[1:]
	}
	return list, s[1:]
}

func (p *plainParser) flowKey(s string) (key, rest string) {
	s = strings.TrimLeft(s, " ")
	end := strings.IndexAny(s, ":,[]{}'\"#?")
	if end <= 0 || s[end] != ':' || end+1 == len(s) || s[end+1] != ' ' {
		p.doubt()
	}
	key, _, ok := p.key(s[:end+1])
	if !ok {
		p.doubt()
	}
	return key, s[end+1:]
}

func (p *plainParser) flowItem(s string, closing byte, depth int) (item any, rest string) {
	if s == "" {
		p.doubt()
	}
	switch s[0] {
	case '[', '{':
		return p.flow(s, depth+1)
	case '"', '\'':
		text, rest, ok := p.quoted(s)
		if !ok {
			p.doubt()
		}
		return text, rest
	}
	end := strings.IndexAny(s, ":,[]{}'\"#?")
	if end <= 0 || s[end] != ',' && s[end] != closing {
		p.doubt()
	}
	return p.scalar(strings.TrimRight(s[:end], " ")), s[end:]
}

// scalar returns the typed value of a plain scalar.
func (p *plainParser) scalar(s string) any {
	if s == "" {
		p.doubt()
	}
	last := s[len(s)-1]
	switch c := s[0]; {
	case s == "true":
		return true
	case s == "false":
		return false
	case s == "null":
		return nil
	case isLetter(c) || c == '_' || c == '/' || c == '$':
		if word(s) {
			p.doubt()
		}
		return s
	case c == '-' && len(s) > 1 && (isLetter(s[1]) || s[1] == '-'):
		return s
	case c < '0' || c > '9':
		p.doubt()
	case len(s) <= 18 && strings.Trim(s, "0123456789") == "" && (c != '0' || s == "0"):
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			p.doubt()
		}
		return n
	case (last == '%' || strings.ContainsFunc(s, neverInNumbers)) && (c != '0' || len(s) > 1 && s[1] == '.'):
		return s
	}
	p.doubt()
	return nil
}

// neverInNumbers reports whether a letter is in no decimal number and no time.
func neverInNumbers(c rune) bool {
	return c <= 'z' && isLetter(byte(c)) && c != 'e' && c != 'E' && c != 't' && c != 'T' && c != 'z' && c != 'Z'
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// word reports whether a scalar is a keyword of YAML 1.1.
func word(s string) bool {
	if len(s) > 5 {
		return false
	}
	switch strings.ToLower(s) {
	case "y", "yes", "on", "true", "n", "no", "off", "false", "null":
		return true
	}
	return false
}
