package tilt

import (
	"maps"
	"path"
	"strings"

	"go.starlark.net/syntax"
)

// flow is how a statement ends.
type flow int

const (
	next flow = iota
	breaks
	continues
	returns
)

func (r *reader) run(stmts []syntax.Stmt, s *scope) flow {
	for _, stmt := range stmts {
		if r.steps++; r.steps > maxSteps {
			return next
		}
		if f := r.statement(stmt, s); f != next {
			return f
		}
	}
	return next
}

func (r *reader) statement(stmt syntax.Stmt, s *scope) flow {
	switch stmt := stmt.(type) {
	case *syntax.ExprStmt:
		r.eval(stmt.X, s)
	case *syntax.AssignStmt:
		v := r.eval(stmt.RHS, s)
		if stmt.Op != syntax.EQ {
			v = r.augmented(stmt, v, s)
		}
		r.assign(stmt.LHS, v, s)
	case *syntax.DefStmt:
		s.vars[stmt.Name.Name] = &function{params: stmt.Params, defaults: r.defaults(stmt.Params, s),
			body: stmt.Body, scope: s}
	case *syntax.LoadStmt:
		r.load(stmt, s)
	case *syntax.IfStmt:
		return r.branch(stmt, s)
	case *syntax.ForStmt:
		return r.loop(stmt, s)
	case *syntax.WhileStmt: // Tilt has none
	case *syntax.ReturnStmt:
		s.frame.result = nil
		if stmt.Result != nil {
			s.frame.result = r.eval(stmt.Result, s)
		}
		return returns
	case *syntax.BranchStmt:
		switch stmt.Token {
		case syntax.BREAK:
			return breaks
		case syntax.CONTINUE:
			return continues
		}
	}
	return next
}

var plain = map[syntax.Token]syntax.Token{
	syntax.PLUS_EQ: syntax.PLUS, syntax.MINUS_EQ: syntax.MINUS, syntax.STAR_EQ: syntax.STAR,
	syntax.PERCENT_EQ: syntax.PERCENT, syntax.PIPE_EQ: syntax.PIPE,
}

// augmented is the new value of a variable; a list is extended in place.
func (r *reader) augmented(stmt *syntax.AssignStmt, v any, s *scope) any {
	before := r.eval(stmt.LHS, s)
	if l, ok := before.(*list); ok && stmt.Op == syntax.PLUS_EQ {
		r.extend(l, v)
		return l
	}
	return r.operate(plain[stmt.Op], before, v)
}

// extend appends to a list. In a branch that may not run, the list is open from then on.
func (r *reader) extend(l *list, v any) {
	more, known := elements(v)
	l.open = l.open || !known || r.doubt > 0 || len(l.items)+len(more) > maxList
	if r.doubt == 0 && len(l.items)+len(more) <= maxList {
		l.items = append(l.items, more...)
	}
}

func (r *reader) assign(to syntax.Expr, v any, s *scope) {
	switch to := to.(type) {
	case *syntax.Ident:
		s.vars[to.Name] = v
	case *syntax.ParenExpr:
		r.assign(to.X, v, s)
	case *syntax.TupleExpr:
		r.unpack(to.List, v, s)
	case *syntax.ListExpr:
		r.unpack(to.List, v, s)
	case *syntax.IndexExpr:
		key := r.eval(to.Y, s)
		switch of := r.eval(to.X, s).(type) {
		case *dict:
			if r.doubt > 0 {
				v = unknown{}
			}
			of.set(key, v)
		case *list:
			of.open = true
		}
	}
}

func (r *reader) unpack(to []syntax.Expr, v any, s *scope) {
	items, known := elements(v)
	for i, e := range to {
		if known && len(items) == len(to) {
			r.assign(e, items[i], s)
		} else {
			r.assign(e, unknown{}, s)
		}
	}
}

// branch runs one branch; both, as ones that may not run, where the condition is not known.
func (r *reader) branch(stmt *syntax.IfStmt, s *scope) flow {
	is, known := truth(r.eval(stmt.Cond, s))
	switch {
	case known && is:
		return r.run(stmt.True, s)
	case known:
		return r.run(stmt.False, s)
	}
	before := maps.Clone(s.vars)
	r.doubt++
	first := r.run(stmt.True, s)
	taken, result := s.vars, s.frame.result
	s.vars = before
	second := r.run(stmt.False, s)
	r.doubt--
	for name := range taken {
		if _, ok := s.vars[name]; !ok {
			s.vars[name] = unknown{}
		}
	}
	for name, v := range s.vars {
		if other, ok := taken[name]; !ok {
			s.vars[name] = unknown{}
		} else {
			s.vars[name] = either(v, other)
		}
	}
	switch {
	case first == returns && second == returns:
		s.frame.result = either(result, s.frame.result)
		return returns
	case first == returns || second == returns:
		s.frame.returns++
		r.doubt++ // the rest of the function
	case first != next || second != next:
		r.doubt++ // the rest of the loop
	}
	return next
}

func (r *reader) loop(stmt *syntax.ForStmt, s *scope) flow {
	items, known := elements(r.eval(stmt.X, s))
	doubt, returned := r.doubt, s.frame.returns
	defer func() { r.doubt = doubt + s.frame.returns - returned }()
	if !known {
		r.doubt++
		items = append(items, unknown{})
	}
	for _, item := range items {
		if r.steps > maxSteps {
			return next
		}
		r.assign(stmt.Vars, item, s)
		switch r.run(stmt.Body, s) {
		case breaks:
			return next
		case returns:
			if known {
				return returns
			}
			s.frame.returns++
		}
	}
	return next
}

// load binds names of another file of the project, or of an extension.
func (r *reader) load(stmt *syntax.LoadStmt, s *scope) {
	name, _ := stmt.Module.Value.(string)
	vars := record{}
	if !strings.Contains(name, "://") {
		vars = r.loaded(name, placeOf(stmt))
	}
	for i, from := range stmt.From {
		v, ok := vars[from.Name]
		if _, extends := r.builtins[from.Name]; !ok && extends && strings.HasPrefix(name, "ext://") {
			v, ok = builtin(from.Name), true
		}
		if !ok {
			v = unknown{}
		}
		s.vars[stmt.To[i].Name] = v
	}
}

// loaded are the variables of another Tiltfile.
func (r *reader) loaded(name string, at Place) record {
	file, ok := r.resolve(name)
	if !ok {
		r.undecided(Call{Place: at, Text: r.line(at), Why: "the file is outside the repository"})
		return nil
	}
	if info, err := r.stat(file); err == nil && info.IsDir() {
		file = path.Join(file, "Tiltfile")
	}
	if s := r.module(file, at); s != nil {
		return s.vars
	}
	return nil
}
