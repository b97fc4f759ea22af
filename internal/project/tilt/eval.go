package tilt

import (
	"cmp"
	"slices"
	"strings"

	"go.starlark.net/syntax"
)

func (r *reader) eval(e syntax.Expr, s *scope) any {
	if r.steps++; r.steps > maxSteps {
		return unknown{}
	}
	switch e := e.(type) {
	case *syntax.Ident:
		return r.name(e.Name, s)
	case *syntax.Literal:
		return fromLiteral(e)
	case *syntax.ParenExpr:
		return r.eval(e.X, s)
	case *syntax.ListExpr:
		return r.list(e.List, s)
	case *syntax.TupleExpr:
		return r.list(e.List, s)
	case *syntax.DictExpr:
		d := newDict()
		for _, entry := range e.List {
			pair := entry.(*syntax.DictEntry)
			d.set(r.eval(pair.Key, s), r.eval(pair.Value, s))
		}
		return d
	case *syntax.CallExpr:
		return r.call(r.eval(e.Fn, s), r.arguments(e, s))
	case *syntax.DotExpr:
		return r.attribute(r.eval(e.X, s), e.Name.Name)
	case *syntax.IndexExpr:
		return index(r.eval(e.X, s), r.eval(e.Y, s))
	case *syntax.SliceExpr:
		return r.slice(e, s)
	case *syntax.CondExpr:
		is, known := truth(r.eval(e.Cond, s))
		switch {
		case known && is:
			return r.eval(e.True, s)
		case known:
			return r.eval(e.False, s)
		}
		r.doubt++
		defer func() { r.doubt-- }()
		return either(r.eval(e.True, s), r.eval(e.False, s))
	case *syntax.UnaryExpr:
		return r.unary(e, s)
	case *syntax.BinaryExpr:
		return r.binary(e, s)
	case *syntax.LambdaExpr:
		return &function{params: e.Params, defaults: r.defaults(e.Params, s), value: e.Body, scope: s}
	case *syntax.Comprehension:
		return r.comprehension(e, s)
	}
	return unknown{}
}

func (r *reader) name(name string, s *scope) any {
	if v, ok := s.get(name); ok {
		return v
	}
	switch name {
	case "True", "False":
		return name == "True"
	case "None":
		return nil
	case "os", "config":
		return module(name)
	case "__file__":
		return here + "/" + r.dir + "/Tiltfile"
	}
	if _, ok := r.builtins[name]; ok && !strings.Contains(name, ".") {
		return builtin(name)
	}
	return unknown{}
}

func (r *reader) list(exprs []syntax.Expr, s *scope) *list {
	l := &list{}
	for _, e := range exprs {
		l.items = append(l.items, r.eval(e, s))
	}
	return l
}

func (r *reader) unary(e *syntax.UnaryExpr, s *scope) any {
	if e.X == nil {
		return unknown{}
	}
	v := r.eval(e.X, s)
	switch e.Op {
	case syntax.NOT:
		if is, known := truth(v); known {
			return !is
		}
	case syntax.MINUS:
		if n, ok := v.(int64); ok {
			return -n
		}
	case syntax.PLUS:
		return v
	}
	return unknown{}
}

func (r *reader) binary(e *syntax.BinaryExpr, s *scope) any {
	left := r.eval(e.X, s)
	if e.Op == syntax.AND || e.Op == syntax.OR {
		is, known := truth(left)
		switch {
		case known && is == (e.Op == syntax.OR):
			return left
		case known:
			return r.eval(e.Y, s)
		}
		right := r.eval(e.Y, s)
		if is, known := truth(right); known && is == (e.Op == syntax.OR) {
			if _, plain := right.(bool); plain {
				return right // X and False, X or True
			}
		}
		return unknown{}
	}
	return r.operate(e.Op, left, r.eval(e.Y, s))
}

// operate applies an operator to two values.
func (r *reader) operate(op syntax.Token, a, b any) any {
	switch op {
	case syntax.EQL, syntax.NEQ:
		if is, known := same(a, b); known {
			return is == (op == syntax.EQL)
		}
		return unknown{}
	case syntax.IN, syntax.NOT_IN:
		if is, known := contains(b, a); known {
			return is == (op == syntax.IN)
		}
		return unknown{}
	case syntax.PERCENT:
		if format, ok := a.(string); ok {
			return percent(format, b)
		}
	}
	switch x := a.(type) {
	case string:
		switch y := b.(type) {
		case string:
			return ofTexts(op, x, y)
		case int64:
			if op == syntax.STAR && y >= 0 && int64(len(x))*y <= maxText {
				return strings.Repeat(x, int(y))
			}
		}
	case int64:
		if y, ok := b.(int64); ok {
			return ofNumbers(op, x, y)
		}
	case *list:
		if y, ok := b.(*list); ok && op == syntax.PLUS && len(x.items)+len(y.items) <= maxList {
			return &list{slices.Concat(x.items, y.items), x.open || y.open}
		}
		if op == syntax.PLUS {
			return &list{slices.Clone(x.items), true}
		}
	case *dict:
		if y, ok := b.(*dict); ok && op == syntax.PIPE {
			return merged(x, y)
		}
	}
	return unknown{}
}

func ofTexts(op syntax.Token, x, y string) any {
	switch op {
	case syntax.PLUS:
		if len(x)+len(y) <= maxText {
			return x + y
		}
	}
	return compared(op, x, y)
}

// compared returns the result of a comparison, and unknown for any other operator.
func compared[T cmp.Ordered](op syntax.Token, x, y T) any {
	switch op {
	case syntax.LT:
		return x < y
	case syntax.GT:
		return x > y
	case syntax.LE:
		return x <= y
	case syntax.GE:
		return x >= y
	}
	return unknown{}
}

func ofNumbers(op syntax.Token, x, y int64) any {
	switch op {
	case syntax.PLUS:
		return x + y
	case syntax.MINUS:
		return x - y
	case syntax.STAR:
		return x * y
	case syntax.SLASHSLASH:
		if y > 0 && x >= 0 {
			return x / y
		}
	case syntax.PERCENT:
		if y > 0 && x >= 0 {
			return x % y
		}
	}
	return compared(op, x, y)
}

func merged(x, y *dict) *dict {
	d := newDict()
	for _, from := range []*dict{x, y} {
		d.open = d.open || from.open
		for _, k := range from.keys {
			d.set(k, from.entries[k])
		}
	}
	return d
}

// contains says whether a collection has an element; false where that is not known.
func contains(in, v any) (is, known bool) {
	switch in := in.(type) {
	case string:
		part, ok := v.(string)
		return strings.Contains(in, part), ok
	case fileText:
		part, ok := v.(string)
		return strings.Contains(in.text, part), ok
	case *list:
		known = !in.open
		for _, e := range in.items {
			equal, sure := same(e, v)
			if sure && equal {
				return true, true
			}
			known = known && sure
		}
		return false, known
	case *dict:
		if isUnknown(v) {
			return false, false
		}
		return slices.Contains(in.keys, v), !in.open || slices.Contains(in.keys, v)
	}
	return false, false
}

func index(of, key any) any {
	switch of := of.(type) {
	case *dict:
		return of.get(key, unknown{})
	case *list:
		n, ok := key.(int64)
		if n < 0 {
			n += int64(len(of.items))
		}
		if ok && !of.open && n >= 0 && n < int64(len(of.items)) {
			return of.items[n]
		}
	case string:
		n, ok := key.(int64)
		if n < 0 {
			n += int64(len(of))
		}
		if ok && n >= 0 && n < int64(len(of)) {
			return of[n : n+1]
		}
	}
	return unknown{}
}

func (r *reader) slice(e *syntax.SliceExpr, s *scope) any {
	of := r.eval(e.X, s)
	bound := func(e syntax.Expr, missing, length int) (int, bool) {
		if e == nil {
			return missing, true
		}
		n, ok := r.eval(e, s).(int64)
		if n < 0 {
			n += int64(length)
		}
		return int(min(max(n, 0), int64(length))), ok
	}
	length := 0
	switch of := of.(type) {
	case string:
		length = len(of)
	case *list:
		length = len(of.items)
	}
	low, ok := bound(e.Lo, 0, length)
	high, also := bound(e.Hi, length, length)
	if !ok || !also || e.Step != nil {
		return unknown{}
	}
	switch of := of.(type) {
	case string:
		return of[min(low, high):high]
	case *list:
		if !of.open {
			return &list{items: slices.Clone(of.items[min(low, high):high])}
		}
	}
	return unknown{}
}

func (r *reader) comprehension(e *syntax.Comprehension, outer *scope) any {
	s := newScope(outer)
	l, d, open := &list{}, newDict(), false
	doubt := r.doubt
	defer func() { r.doubt = doubt }()
	var visit func(clauses []syntax.Node)
	visit = func(clauses []syntax.Node) {
		if r.steps > maxSteps || len(l.items) > maxList {
			open = true
			return
		}
		if len(clauses) == 0 {
			if pair, ok := e.Body.(*syntax.DictEntry); ok {
				d.set(r.eval(pair.Key, s), r.eval(pair.Value, s))
			} else {
				l.items = append(l.items, r.eval(e.Body, s))
			}
			return
		}
		switch c := clauses[0].(type) {
		case *syntax.ForClause:
			items, known := elements(r.eval(c.X, s))
			open = open || !known
			for _, item := range items {
				r.assign(c.Vars, item, s)
				visit(clauses[1:])
			}
		case *syntax.IfClause:
			is, known := truth(r.eval(c.Cond, s))
			if open = open || !known; known && is {
				visit(clauses[1:])
			}
		}
	}
	visit(e.Clauses)
	if e.Curly {
		d.open = d.open || open
		return d
	}
	l.open = open
	return l
}
