package deploy

import (
	"strings"

	"slipway/internal/words"
)

// Summary is "2 fields drifted, 1 object deleted", or that nothing did.
func (d Drift) Summary() string {
	fields, deleted, unknown := 0, 0, 0
	for _, o := range d.Changed {
		fields += len(o.Fields)
		switch o.What {
		case Deleted:
			deleted++
		case Unknown:
			unknown++
		}
	}
	var parts []string
	for _, p := range []struct {
		n          int
		what, verb string
	}{{fields, "field", "drifted"}, {deleted, "object", "deleted"}, {len(d.Added), "object", "added"},
		{unknown, "object", "not compared"}, {len(d.Tags), "tag", "moved"}} {
		if p.n > 0 {
			parts = append(parts, words.Count(p.n, p.what)+" "+p.verb)
		}
	}
	if len(parts) == 0 {
		return "no drift"
	}
	return strings.Join(parts, ", ")
}
