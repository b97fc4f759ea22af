package project

import (
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

const maxApprovals = 9

func (r *reader) gates(env *Environment, n *yaml.Node) error {
	g := Gates{Line: n.Line}
	err := r.fields(n, "gates", map[string]func(*yaml.Node) error{
		"from":    r.text(&g.From, "from", label),
		"healthy": r.duration(&g.Healthy, "healthy"),
		"verdict": r.text(&g.Verdict, "verdict", publicKey),
		"checks":  r.texts(&g.Checks, "checks", "check", nil),
		"notes":   r.texts(&g.Notes, "notes", "note", nil),
		"windows": func(n *yaml.Node) error {
			return r.items(n, "windows", func(n *yaml.Node) error {
				var w Window
				if line, err := w.read(n); err != nil {
					return r.fail(&yaml.Node{Line: line}, "%w", err)
				}
				g.Windows = append(g.Windows, w)
				return nil
			})
		},
		"approvals": func(n *yaml.Node) error {
			var err error
			if g.Approvals, err = strconv.Atoi(n.Value); err != nil || g.Approvals < 1 || g.Approvals > maxApprovals {
				return r.fail(n, "invalid approvals %q: want a number from 1 to %d", n.Value, maxApprovals)
			}
			return nil
		},
	})
	switch {
	case err != nil:
		return err
	case g.From == "":
		return r.fail(n, "gates needs from: the environment that images come from")
	case g.From == env.Name:
		return r.fail(n, "gates: from is the environment itself")
	}
	env.Gates = &g
	return nil
}

// duration stores a time of at least a second, such as "30m".
func (r *reader) duration(into *time.Duration, what string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		var text string
		if err := r.text(&text, what, duration)(n); err != nil {
			return err
		}
		d, err := time.ParseDuration(text)
		if err != nil || d < time.Second {
			return r.fail(n, "invalid %s %q: want %s", what, text, duration.words)
		}
		*into = d
		return nil
	}
}

// fromKnown fails where gates name an environment that the project does not have.
func (r *reader) fromKnown(p Project) error {
	for _, env := range p.Environments {
		if env.Gates == nil {
			continue
		}
		if _, err := p.Environment(env.Gates.From); err != nil {
			return r.fail(&yaml.Node{Line: env.Gates.Line}, "gates of %s: from: %w", env.Name, err)
		}
	}
	return nil
}
