package project

import "go.yaml.in/yaml/v3"

func (r *reader) health(p *Project, n *yaml.Node) error {
	h := HealthRule{Line: n.Line}
	err := r.fields(n, "a rule of health", map[string]func(*yaml.Node) error{
		"kind":    r.text(&h.Kind, "kind", groupKind),
		"healthy": r.text(&h.Healthy, "healthy", nil),
		"failed":  r.text(&h.Failed, "failed", nil),
		"message": r.text(&h.Message, "message", nil),
		"ignore":  r.boolean(&h.Ignore, "ignore"),
	})
	switch {
	case err != nil:
		return err
	case h.Kind == "":
		return r.fail(n, "a rule of health needs a kind")
	case h.Ignore && h.Healthy+h.Failed+h.Message != "":
		return r.fail(n, "health of %s: it has both ignore and expressions", h.Kind)
	case !h.Ignore && h.Healthy == "":
		return r.fail(n, "health of %s: it needs healthy, or ignore: true", h.Kind)
	}
	for _, other := range p.Health {
		if other.Kind == h.Kind {
			return r.fail(n, "duplicate health of %s (first in line %d)", h.Kind, other.Line)
		}
	}
	p.Health = append(p.Health, h)
	return nil
}
