package project

import (
	"fmt"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"
)

var (
	objectPattern = newPattern(`^[A-Za-z0-9.*?]+/[a-z0-9.*?-]+$`,
		"KIND/NAME, with * for any text, such as Deployment/api")
	ruleID = newPattern(`^[a-z0-9]+(-[a-z0-9]+)*$`, "`slipway check --explain` lists them")
)

func (r *reader) exception(p *Project, n *yaml.Node) error {
	e := Exception{Line: n.Line}
	err := r.fields(n, "an exception", map[string]func(*yaml.Node) error{
		"rule":         r.text(&e.Rule, "rule", ruleID),
		"object":       r.text(&e.Object, "object", objectPattern),
		"field":        r.text(&e.Field, "field", nil),
		"environments": r.texts(&e.Environments, "environments", "environment", label),
		"reason":       r.text(&e.Reason, "reason", nil),
		"until": func(n *yaml.Node) error {
			if _, err := time.Parse(time.DateOnly, n.Value); err != nil || n.Kind != yaml.ScalarNode {
				return r.fail(n, "invalid date %q: want a date such as 2027-03-31", n.Value)
			}
			e.Until = n.Value
			return nil
		},
	})
	switch {
	case err != nil:
		return err
	case e.Reason == "":
		return r.fail(n, "an exception needs a reason")
	case e.Rule == "" && e.Object == "" && e.Field == "":
		return r.fail(n, "an exception needs a rule, an object or a field")
	}
	p.Exceptions = append(p.Exceptions, e)
	return nil
}

// exceptFor checks that exceptions name known environments, which the file may define after them.
func (r *reader) exceptFor(p *Project) error {
	known := make([]string, len(p.Environments))
	for i, e := range p.Environments {
		known[i] = e.Name
	}
	for _, e := range p.Exceptions {
		for _, name := range e.Environments {
			if !slices.Contains(known, name) {
				hint := ""
				if s := Suggest(name, known); s != "" {
					hint = fmt.Sprintf(" (did you mean %q?)", s)
				}
				return &FileError{File: File, Line: e.Line,
					Err: fmt.Errorf("the exception names an unknown environment %q%s", name, hint)}
			}
		}
	}
	return nil
}

// ExceptedRules returns the rules that an environment is excepted from on a day: those of exceptions that
// name neither an object nor a field.
func (p Project) ExceptedRules(environment string, day time.Time) []string {
	var rules []string
	for _, e := range p.Exceptions {
		applies := len(e.Environments) == 0 || slices.Contains(e.Environments, environment)
		expired := e.Until != "" && e.Until < day.Format(time.DateOnly)
		if applies && !expired && e.Object == "" && e.Field == "" {
			rules = append(rules, e.Rule)
		}
	}
	return rules
}
