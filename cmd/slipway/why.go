package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/check/origin"
	"slipway/internal/project"
)

func newWhyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "why ENV KIND/NAME [FIELD]", Short: "Explain where a field's value comes from",
		Long: `Prints the lines that set the field, with file, line and column: the base first, then each
override, such as an entry of a kustomization or a value of a chart. To find them, it renders the
environment again without each override. Values that a later override hides are marked with "-". why
contacts no cluster.

KIND is any name of a kind that kubectl accepts. NAME is the rendered name, or the name in the base. If
several namespaces have it, write KIND/NAMESPACE/NAME. Write FIELD as spec.replicas or
spec.template.spec.containers[name=api].image, or as kubectl's jsonpath or a JSON patch does. Without
FIELD, why explains the whole object.`,
		Args: a.envArgs(3),
	}
	out := a.outputFlag(cmd, asText, asJSON)
	cmd.RunE = func(c *cobra.Command, args []string) error {
		if len(args) < 2 {
			return &usageError{fmt.Errorf("%s needs an object: KIND/NAME", c.CommandPath())}
		}
		q := question(args[1:])
		return runWhy(c.Context(), a, args[0], q, *out)
	}
	return cmd
}

// question reads KIND/NAME or KIND NAME, and a field.
func question(args []string) origin.Question {
	q := origin.Question{Object: args[0]}
	if args = args[1:]; !strings.Contains(q.Object, "/") && len(args) > 0 {
		q.Object, args = q.Object+" "+args[0], args[1:]
	}
	q.Field = strings.Join(args, "")
	return q
}

func runWhy(ctx context.Context, a *app, name string, q origin.Question, out format) error {
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
	chain, err := origin.Explain(ctx, p, env, q, a.renderOptions("render"))
	if err != nil {
		return err
	}
	if out == asJSON {
		return a.json(chain)
	}
	return printChain(a.cli, chain)
}

func printChain(c *cli, chain origin.Chain) error {
	s := styleOf(c.stdout)
	fmt.Fprintf(c.stdout, "%s  %s\n", s.bold(chain.Object.String()), chain.Field)
	if chain.Field != "" {
		fmt.Fprintf(c.stdout, "  = %s\n", oneLineValue(fieldValue(chain.Field, chain.Value, chain.Written)))
	}
	t := &table{paint: func(row, column int, cell string) string {
		if row < len(chain.Links) && chain.Links[row].Lost {
			return s.struck(cell)
		}
		return cell
	}}
	for _, l := range chain.Links {
		mark, name, says := "✓", l.Override, ""
		if name == "" {
			mark, name = "·", "base"
		}
		if l.Lost {
			mark = "-"
		}
		if l.Condition {
			mark, says = "?", "whether it is there"
		} else if chain.Field != "" {
			says = oneLineValue(fieldValue(chain.Field, l.Value, l.Written))
		}
		t.add("  "+mark, l.Place.String(), name, says)
	}
	err := t.print(c.stdout)
	if chain.Unexplained {
		c.warn("warning: the value of %s differs from the file, and no override explains it", chain.Field)
	}
	const shown = 5
	for i, o := range chain.NotTried {
		if i == shown {
			c.warn("warning: not tried within the time limit: %d more", len(chain.NotTried)-shown)
			break
		}
		c.warn("warning: not tried within the time limit: %s", o)
	}
	return err
}

// oneLineValue is a value for people.
func oneLineValue(v any) string {
	if v == nil {
		return "(not set)"
	}
	text, ok := v.(string)
	if written, isWritten := v.(spelling); isWritten {
		text, ok = string(written), true
	}
	if !ok {
		text = compact(v)
	}
	if r := []rune(clean(oneLine(text))); len(r) > 100 {
		return string(r[:99]) + "…"
	}
	return clean(oneLine(text))
}
