package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/check/finding"
	"slipway/internal/check/origin"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render"
)

func newWhyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "why ENV KIND/NAME [FIELD]", Short: "Show which lines make a field what it is",
		Long: `Renders the environment once more for each override, with that override left out: each entry of a
kustomization, each value of a chart. Those without which the field would be different are printed with
file, line and column, the base first; what a stronger one hides is marked as lost. The name is the one
that is rendered, or the one that the base gives. A field is written spec.replicas or
spec.template.spec.containers[name=api].image; without one it is the whole object. No cluster is asked.`,
		Args: a.envArgs(2),
	}
	out := outputFlag(cmd, asText, asJSON)
	cmd.RunE = func(c *cobra.Command, args []string) error {
		if len(args) < 2 {
			return &usageError{fmt.Errorf("%s needs an object: KIND/NAME", c.CommandPath())}
		}
		return runWhy(c.Context(), a, args[0], args[1], strings.Join(args[2:], ""), *out)
	}
	return cmd
}

// noObjectError says that an environment renders no such object.
type noObjectError struct {
	Asked, Environment string
	Known              []string
}

func (e *noObjectError) Error() string {
	return fmt.Sprintf("environment %s renders no %s", e.Environment, e.Asked)
}

func runWhy(ctx context.Context, a *app, name, asked, field string, out format) error {
	p, err := project.Open(a.dir)
	if err != nil {
		return err
	}
	env, err := p.Environment(name)
	if err != nil {
		return err
	}
	if a.namespace != "" {
		env.Namespace = a.namespace
	}
	options := a.renderOptions("render")
	options.Remotes = p.Remotes
	r, err := render.Open(p.Dir, options)
	if err != nil {
		return err
	}
	defer r.Close()
	chain, err := origin.Why(ctx, r, env, func(objects []object.Object) (object.Object, error) {
		return pick(objects, asked, name)
	}, field, origin.Options{})
	if err != nil {
		return err
	}
	if out == asJSON {
		return a.json(chainJSON(chain))
	}
	return a.printChain(chain)
}

// pick finds an object by kind and name, as rendered or as the end of what an overlay made of it.
func pick(objects []object.Object, asked, env string) (object.Object, error) {
	kind, name, _ := strings.Cut(asked, "/")
	var exact, near []object.Object
	var known []string
	for _, o := range objects {
		ref := o.Ref()
		known = append(known, ref.Kind+"/"+ref.Name)
		if !strings.EqualFold(ref.Kind, kind) {
			continue
		}
		if ref.Name == name {
			exact = append(exact, o)
		} else if name != "" && strings.Contains("-"+ref.Name+"-", "-"+name+"-") {
			near = append(near, o)
		}
	}
	switch found := slices.Concat(exact, near); {
	case len(exact) == 1 || len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return object.Object{}, &noObjectError{asked + " alone: it is one of several", env, refNames(found)}
	}
	return object.Object{}, &noObjectError{asked, env, known}
}

func refNames(objects []object.Object) []string {
	var names []string
	for _, o := range objects {
		names = append(names, o.Ref().String())
	}
	return names
}

// chainLink is a line of the chain in JSON.
type chainLink struct {
	finding.Place
	Override string `json:"override,omitempty"` // empty: the base
	Value    any    `json:"value"`
	Lost     bool   `json:"lost,omitempty"`
}

func chainJSON(c origin.Chain) any {
	links := []chainLink{{Place: c.Base, Value: c.Found, Lost: len(c.Links) > 0}}
	for _, l := range c.Links {
		links = append(links, chainLink{l.Place, l.Name, l.Value, l.Lost})
	}
	var left []string
	for _, o := range c.NotTried {
		left = append(left, o.String())
	}
	return struct {
		Object   object.Ref  `json:"object"`
		Field    string      `json:"field,omitempty"`
		Value    any         `json:"value"`
		Chain    []chainLink `json:"chain"`
		NotTried []string    `json:"notTried,omitempty"`
	}{c.Object.Ref(), c.Field, c.Value, links, left}
}

func (a *app) printChain(c origin.Chain) error {
	s := styleOf(a.stdout)
	fmt.Fprintf(a.stdout, "%s  %s\n", s.bold(c.Object.Ref().String()), c.Field)
	if c.Field != "" {
		fmt.Fprintf(a.stdout, "  = %s\n", said(c.Value))
	}
	t := &table{paint: func(row, column int, cell string) string {
		if lost := row < len(c.Links) && (row == 0 || c.Links[row-1].Lost); lost {
			return s.struck(cell)
		}
		return cell
	}}
	row := func(mark string, at finding.Place, name string, v any) {
		says := ""
		if c.Field != "" {
			says = said(v)
		}
		t.add("  "+mark, at.String(), name, says)
	}
	mark := "·"
	if len(c.Links) > 0 {
		mark = "-"
	}
	row(mark, c.Base, "base", c.Found)
	for _, l := range c.Links {
		mark := "✓"
		if l.Lost {
			mark = "-"
		}
		row(mark, l.Place, l.Name, l.Value)
	}
	err := t.print(a.stdout)
	for _, o := range c.NotTried {
		a.warn("warning: not tried, for lack of time: %s", o)
	}
	return err
}

// said is a value for people, on one line.
func said(v any) string {
	if v == nil {
		return "(nothing)"
	}
	text, ok := v.(string)
	if !ok {
		text = compact(v)
	}
	if r := []rune(clean(oneLine(text))); len(r) > 100 {
		return string(r[:99]) + "…"
	}
	return clean(oneLine(text))
}
