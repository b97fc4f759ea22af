package tilt

import (
	"slices"
	"strings"
)

// attribute is a field of a value, or one of its methods.
func (r *reader) attribute(of any, name string) any {
	switch of := of.(type) {
	case module:
		switch full := string(of) + "." + name; full {
		case "os.path":
			return module(full)
		case "os.environ":
			return options{}
		case "os.name":
			return "posix"
		case "config.main_dir":
			return here
		case "config.main_path":
			return here + "/Tiltfile"
		case "config.tilt_subcommand":
			return "up"
		default:
			if _, ok := r.builtins[full]; ok {
				return builtin(full)
			}
		}
	case record:
		if v, ok := of[name]; ok {
			return v
		}
	case string, *list, *dict, options:
		return method{of, name}
	case fileText:
		return method{of.text, name}
	}
	return unknown{}
}

func (r *reader) method(of any, name string, a arguments) any {
	switch of := of.(type) {
	case string:
		if v, ok := methodOfText(of, name, a); ok {
			return v
		}
	case *list:
		return r.methodOfList(of, name, a)
	case *dict:
		return r.methodOfDict(of, name, a)
	case options: // an option that is not set has its default
		if v, ok := a.get(1, "default"); ok && name == "get" {
			return v
		}
	}
	return unknown{}
}

// methodOfText calls a method of a string; false where the result is not known.
func methodOfText(s, name string, a arguments) (any, bool) {
	if name == "format" {
		return format(s, a)
	}
	if name == "join" {
		parts, known := texts(a.value(0, ""))
		return strings.Join(parts, s), known
	}
	var args []string
	for _, v := range a.given {
		t, ok := v.(string)
		if !ok && v != nil {
			return nil, false
		}
		args = append(args, t)
	}
	first := strings.Join(args[:min(1, len(args))], "")
	cut := first
	if cut == "" {
		cut = " \t\r\n"
	}
	switch name {
	case "strip":
		return strings.Trim(s, cut), true
	case "lstrip":
		return strings.TrimLeft(s, cut), true
	case "rstrip":
		return strings.TrimRight(s, cut), true
	case "lower":
		return strings.ToLower(s), true
	case "upper":
		return strings.ToUpper(s), true
	case "startswith":
		return strings.HasPrefix(s, first), len(args) == 1
	case "endswith":
		return strings.HasSuffix(s, first), len(args) == 1
	case "removeprefix":
		return strings.TrimPrefix(s, first), true
	case "removesuffix":
		return strings.TrimSuffix(s, first), true
	case "replace":
		if len(args) == 2 && (first != "" && len(s)*max(1, len(args[1])) <= maxText) {
			return strings.ReplaceAll(s, first, args[1]), true
		}
	case "split":
		if len(args) == 0 {
			return listOf(strings.Fields(s)), true
		}
		return listOf(strings.Split(s, first)), len(args) == 1 && first != ""
	case "splitlines":
		return listOf(strings.Split(strings.TrimSuffix(s, "\n"), "\n")), true
	}
	return nil, false
}

func listOf(parts []string) *list {
	l := &list{}
	for _, p := range parts[:min(len(parts), maxList)] {
		l.items = append(l.items, p)
	}
	l.open = len(parts) > maxList
	return l
}

// methodOfList calls a method of a list. In a branch that may not run, a change makes the list open.
func (r *reader) methodOfList(l *list, name string, a arguments) any {
	switch name {
	case "append":
		r.extend(l, &list{items: []any{a.value(0, "")}})
		return nil
	case "extend":
		r.extend(l, a.value(0, ""))
		return nil
	case "insert", "remove", "pop", "clear":
		l.open = true
	}
	return unknown{}
}

func (r *reader) methodOfDict(d *dict, name string, a arguments) any {
	switch name {
	case "get":
		return d.get(a.value(0, "key"), a.value(1, "default"))
	case "keys":
		return &list{slices.Clone(d.keys), d.open}
	case "values", "items":
		l := &list{open: d.open}
		for _, k := range d.keys {
			v := d.entries[k]
			if name == "items" {
				v = &list{items: []any{k, v}}
			}
			l.items = append(l.items, v)
		}
		return l
	case "update":
		more, ok := a.value(0, "").(*dict)
		d.open = d.open || !ok && len(a.given) > 0 || a.open || r.doubt > 0
		if ok && r.doubt == 0 {
			for _, k := range more.keys {
				d.set(k, more.entries[k])
			}
			d.open = d.open || more.open
		}
		for k, v := range a.named {
			d.set(k, v)
		}
		return nil
	case "setdefault":
		if v := d.get(a.value(0, ""), nil); v != nil {
			return v
		}
		d.set(a.value(0, ""), a.value(1, ""))
		return a.value(1, "")
	case "pop", "popitem", "clear":
		v := d.get(a.value(0, ""), a.value(1, ""))
		d.open = true
		return v
	}
	return unknown{}
}

// percent fills a format as in '%s/k8s' % name.
func percent(format string, v any) any {
	args := []any{v}
	verbs := strings.Count(strings.ReplaceAll(format, "%%", ""), "%")
	if l, ok := v.(*list); ok && !l.open && verbs == len(l.items) {
		args = l.items
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		if format[i] == '%' {
			b.WriteByte('%')
			continue
		}
		if (format[i] != 's' && format[i] != 'd') || len(args) == 0 {
			return unknown{}
		}
		text, ok := toText(args[0])
		if args = args[1:]; !ok || b.Len()+len(text) > maxText {
			return unknown{}
		}
		b.WriteString(text)
	}
	return b.String()
}

// format fills a format as in '{}/k8s'.format(name).
func format(s string, a arguments) (any, bool) {
	var b strings.Builder
	for n := 0; ; n++ {
		before, rest, found := strings.Cut(s, "{")
		if strings.Contains(before, "}") || strings.HasPrefix(rest, "{") || a.open {
			return nil, false
		}
		b.WriteString(before)
		if !found {
			return b.String(), true
		}
		field, after, _ := strings.Cut(rest, "}")
		i := n
		if field != "" {
			i = -1
			if len(field) == 1 && field[0] >= '0' && field[0] <= '9' {
				i = int(field[0] - '0')
			}
		}
		v, given := a.get(i, field)
		text, ok := toText(v)
		if !given || !ok || b.Len()+len(text) > maxText {
			return nil, false
		}
		b.WriteString(text)
		s = after
	}
}
