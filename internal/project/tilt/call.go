package tilt

import (
	"maps"

	"go.starlark.net/syntax"
)

// arguments are those of a call. Open ones may have others, too: of a list or dict that is not known.
type arguments struct {
	given []any
	named map[string]any
	open  bool
	at    *syntax.CallExpr
}

// get is an argument by its place and name, and whether it was given.
func (a arguments) get(i int, name string) (any, bool) {
	if i >= 0 && i < len(a.given) {
		return a.given[i], true
	}
	v, ok := a.named[name]
	return v, ok
}

// value is an argument; None where it was not given.
func (a arguments) value(i int, name string) any {
	v, ok := a.get(i, name)
	if !ok && a.open {
		return unknown{}
	}
	return v
}

// text is an argument that is a string; false where it is another value, or not known.
func (a arguments) text(i int, name string) (string, bool) {
	v := a.value(i, name)
	if f, ok := v.(fileText); ok {
		return f.text, true
	}
	s, ok := v.(string)
	return s, ok || v == nil
}

func (r *reader) arguments(e *syntax.CallExpr, s *scope) arguments {
	a := arguments{named: map[string]any{}, at: e}
	for _, arg := range e.Args {
		switch arg := arg.(type) {
		case *syntax.BinaryExpr:
			if name, ok := arg.X.(*syntax.Ident); ok && arg.Op == syntax.EQ {
				a.named[name.Name] = r.eval(arg.Y, s)
				continue
			}
			a.given = append(a.given, r.eval(arg, s))
		case *syntax.UnaryExpr:
			if arg.Op != syntax.STAR && arg.Op != syntax.STARSTAR {
				a.given = append(a.given, r.eval(arg, s))
				continue
			}
			switch v := r.eval(arg.X, s).(type) {
			case *list:
				a.given, a.open = append(a.given, v.items...), a.open || v.open
			case *dict:
				for _, k := range v.keys {
					if name, ok := k.(string); ok {
						a.named[name] = v.entries[k]
					}
				}
				a.open = a.open || v.open
			case nil:
			default:
				a.open = true
			}
		default:
			a.given = append(a.given, r.eval(arg, s))
		}
	}
	return a
}

func (r *reader) call(fn any, a arguments) any {
	if r.depth >= maxDepth || r.steps > maxSteps {
		return unknown{}
	}
	switch fn := fn.(type) {
	case builtin:
		return r.builtins[string(fn)](r, a)
	case method:
		return r.method(fn.of, fn.name, a)
	case *function:
		return r.invoke(fn, a)
	}
	return unknown{}
}

// invoke runs a function of the file.
func (r *reader) invoke(fn *function, a arguments) any {
	s := newScope(fn.scope)
	s.frame = &frame{}
	r.bind(fn, a, s)
	doubt := r.doubt
	r.depth++
	defer func() { r.doubt, r.depth = doubt, r.depth-1 }()
	if fn.value != nil {
		return r.eval(fn.value, s)
	}
	if r.run(fn.body, s) != returns {
		s.frame.result = nil
	}
	if s.frame.returns > 0 {
		return unknown{}
	}
	return s.frame.result
}

// bind gives the parameters their values.
func (r *reader) bind(fn *function, a arguments, s *scope) {
	maps.Copy(s.vars, fn.defaults)
	rest := maps.Clone(a.named)
	n, only := 0, false // parameters after a star are only named
	for _, p := range fn.params {
		name, star := parameter(p)
		switch star {
		case syntax.STAR:
			if only = true; name != "" {
				s.vars[name] = &list{append([]any{}, a.given[min(n, len(a.given)):]...), a.open}
			}
			continue
		case syntax.STARSTAR:
			d := newDict()
			for k, v := range rest {
				d.set(k, v)
			}
			d.open = a.open
			s.vars[name] = d
			continue
		}
		v, given := rest[name]
		if !only && n < len(a.given) {
			v, given = a.given[n], true
		}
		if !only {
			n++
		}
		delete(rest, name)
		_, hasDefault := fn.defaults[name]
		if given {
			s.vars[name] = v
		} else if a.open || !hasDefault {
			s.vars[name] = unknown{}
		}
	}
}

// parameter is a parameter's name, and the star before it.
func parameter(p syntax.Expr) (name string, star syntax.Token) {
	switch p := p.(type) {
	case *syntax.Ident:
		return p.Name, 0
	case *syntax.BinaryExpr:
		id, _ := p.X.(*syntax.Ident)
		return id.Name, 0
	case *syntax.UnaryExpr:
		if id, ok := p.X.(*syntax.Ident); ok {
			return id.Name, p.Op
		}
		return "", p.Op
	}
	return "", 0
}

// defaults are the values of parameters that have one.
func (r *reader) defaults(params []syntax.Expr, s *scope) map[string]any {
	values := map[string]any{}
	for _, p := range params {
		if b, ok := p.(*syntax.BinaryExpr); ok {
			name, _ := parameter(p)
			values[name] = r.eval(b.Y, s)
		}
	}
	return values
}
