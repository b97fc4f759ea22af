package origin

import (
	"context"
	"errors"
	"path"
	"regexp"
	"slices"
	"strings"

	"slipway/internal/object"
)

// Dead is an override that does nothing, whatever it says.
type Dead struct {
	Override
	// By hides it; nil: it matches nothing.
	By *Override
	// Unread: no template mentions the value.
	Unread bool
	// Entry is the entry of a mapping that the chart renders nothing for, such as apps.importer; empty: another
	// reason.
	Entry string
	// Known is what it could have matched: the images of the environment, the keys of the chart.
	Known []string
	// Meant is the one of them that is the likely target; empty: unknown.
	Meant string
	// Elsewhere has the image of an entry that matches none; nil: nothing has it.
	Elsewhere *ImageField
}

// Idle returns the overrides that do nothing, whatever they say. One that repeats a value that is there
// anyway is not among them: it has an effect as soon as either changes. Left are those that the budget did
// not reach.
func (r *Report) Idle(ctx context.Context) (idle, left []Override, err error) {
	var without []Override
	for _, e := range r.Effects {
		if len(e.Changes) == 0 && e.Err == nil {
			without = append(without, e.Override)
		}
	}
	mutated, left := mutateEach(ctx, r.experiment, without, r.experiment.whole())
	for _, e := range mutated {
		if e.Err == nil && len(e.Changes) == 0 || errors.Is(e.Err, errSameWhatever) {
			idle = append(idle, e.Override)
		}
	}
	return idle, left, ctx.Err()
}

// Explain says why overrides that Idle has returned are dead. It leaves out those that may be read under
// other conditions. Left are those that the budget did not reach.
func (r *Report) Explain(ctx context.Context, idle []Override) (dead []Dead, left []Override, err error) {
	s := search{r.experiment, r.experiment.whole(), r.Effects, map[int]reach{}}
	for _, o := range idle {
		d, looked := Dead{Override: o}, true
		if m := mutate(o); m != nil {
			d.By, looked = s.findHiding(ctx, o, m)
		}
		if !looked {
			left = append(left, o)
		} else if d.By != nil || explainDead(ctx, r, &d) {
			dead = append(dead, d)
		}
	}
	return dead, left, ctx.Err()
}

// canHide reports whether one override could hide another.
func canHide(a, b Override) bool {
	if b.Kind == values || a.Kind == values {
		return a.Kind == b.Kind && (object.IsWithin(a.Name, b.Name) || object.IsWithin(b.Name, a.Name))
	}
	return strings.EqualFold(a.Kind, b.Kind) || isPatch(a) || isPatch(b)
}

// explainDead says what a dead override could have matched. It is false where that cannot be known: a value
// that some template mentions may be read under other conditions.
func explainDead(ctx context.Context, r *Report, d *Dead) bool {
	switch {
	case strings.EqualFold(d.Kind, "images"):
		objects := beforeImages(ctx, r)
		d.Known = repositories(objects)
		name := text(value(d.node.Node, "name"))
		if slices.Contains(d.Known, name) {
			return false // it matches and says nothing: a pipeline fills it in
		}
		if d.Elsewhere = imageField(objects, name); d.Elsewhere != nil {
			return true
		}
		var meant []string
		for _, image := range d.Known {
			if path.Base(image) == path.Base(name) {
				meant = append(meant, image)
			}
		}
		if len(meant) == 1 {
			d.Meant = meant[0]
		}
		return true
	case d.Kind != values:
		return d.Kind != "components"
	}
	for _, c := range r.experiment.charts {
		if slices.Contains(c.Values, d.File) || d.flag != nil {
			return explainUnread(r, d, c)
		}
	}
	return false
}

var tagOrDigest = regexp.MustCompile(`(:[A-Za-z0-9_.-]+)?(@[a-z0-9]+:[0-9a-f]+)?$`)

// beforeImages returns the objects with the images that they have before any entry of images renames them.
func beforeImages(ctx context.Context, r *Report) []object.Object {
	var entries []Override
	for _, e := range r.Effects {
		if strings.EqualFold(e.Kind, "images") {
			entries = append(entries, e.Override)
		}
	}
	parts, err := renderWith(ctx, r.experiment, r.experiment.whole(), entries)
	if err != nil {
		return r.Set.Objects()
	}
	return objectsOf(parts)
}

// repositories returns the image repositories of all containers of the objects.
func repositories(objects []object.Object) []string {
	var list []string
	for _, o := range objects {
		spec, path, _ := o.PodSpec()
		for _, c := range object.Containers(spec, path) {
			if image, _ := c.Body["image"].(string); image != "" {
				list = append(list, tagOrDigest.ReplaceAllString(image, ""))
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// EntryName returns where the name of an entry of images is written, and the name; line 0: nowhere.
func (o Override) EntryName() (line, column int, name string) {
	if o.node == nil {
		return 0, 0, ""
	}
	n := value(o.node.Node, "name")
	if n == nil {
		return 0, 0, ""
	}
	return n.Line, n.Column, n.Value
}
