package origin

import (
	"context"
	"errors"
	"path"
	"regexp"
	"slices"
	"strings"

	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render/tree"
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
		return a.Kind == b.Kind && (isWithin(a.Name, b.Name) || isWithin(b.Name, a.Name))
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

var words = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_-]*`)

// explainUnread reports whether no template of a chart can read a value: some part of its name is in none of
// them, and none takes what is above it as a whole. A value for a subchart must be in no template of either
// chart, and is left alone where the subchart may know it by another name.
func explainUnread(r *Report, d *Dead, c project.Chart) bool {
	x := r.experiment
	steps, err := object.Steps(d.Name)
	if err != nil || slices.ContainsFunc(steps, func(s object.Step) bool { return s.Element }) {
		return false
	}
	templates, about := chartTexts(x, c)
	if slices.Contains(words.FindAllString(about, -1), steps[0].Key) {
		subchart, more := chartTexts(x, project.Chart{Path: c.Path + "/charts/" + steps[0].Key})
		renames := strings.Contains(about, "alias:") || strings.Contains(about, "import-values:")
		if renames || subchart == "" || takesWhole(subchart, "Values") {
			return false
		}
		// Charts below the subchart may read it too.
		if strings.Contains(more, "Chart.yaml") || strings.Contains(more, ".tgz") {
			return false
		}
		templates, about = templates+subchart, about+more
	}
	known := map[string]bool{}
	for _, w := range words.FindAllString(templates+about, -1) {
		known[w] = true
	}
	if templates == "" || slices.ContainsFunc(steps, func(s object.Step) bool { return s.Key == "global" }) {
		return false
	}
	missing, above := 0, "Values"
	for ; missing < len(steps) && known[steps[missing].Key]; missing++ {
		above = steps[missing].Key
	}
	if missing == len(steps) {
		return false
	}
	if takesWhole(templates, above) && !explainEntry(r, d, steps, missing, known) {
		return false
	}
	if d.Entry != "" {
		return true
	}
	for _, o := range x.overrides {
		if o.isDefault() {
			d.Known = append(d.Known, o.Name)
		}
	}
	d.Unread, d.Meant = true, project.Suggest(d.Name, d.Known)
	return true
}

// explainEntry is about a value in an entry of a mapping that a template takes as a whole, such as one that
// it ranges over. The value is dead where the chart renders other entries, and nothing for this one: then
// the entry is named. Where it renders the entry, the value is dead if no template mentions its key.
func explainEntry(r *Report, d *Dead, steps []object.Step, n int, known map[string]bool) bool {
	if n == 0 {
		return false
	}
	whole := ""
	for _, s := range steps[:n] {
		whole = object.Join(whole, s.Key)
	}
	entry := object.Join(whole, steps[n].Key)
	for _, o := range r.experiment.overrides {
		if o.isDefault() && isWithin(o.Name, entry) {
			return false // the chart knows the entry, and may render it under other conditions
		}
	}
	others, own := false, false
	for _, e := range r.Effects {
		if e.Kind != values || len(e.Changes) == 0 || !isWithin(e.Name, whole) {
			continue
		}
		if isWithin(e.Name, entry) {
			own = true
		} else {
			others = true
		}
	}
	if own {
		return slices.ContainsFunc(steps[n+1:], func(s object.Step) bool { return !known[s.Key] })
	}
	if others {
		d.Entry = entry
	}
	return others
}

// chartTexts returns the text of a chart's templates, and what its Chart.yaml and the paths of its subcharts
// say. Both are empty where a file cannot be read.
func chartTexts(x experiment, c project.Chart) (templates, about string) {
	var texts, others strings.Builder
	for _, seen := range x.result.Reads.List() {
		below, ok := strings.CutPrefix(seen.Path, c.Path+"/")
		if !ok || seen.Kind != tree.File {
			continue
		}
		content, err := x.view.File(seen.Path)
		if err != nil {
			return "", ""
		}
		switch {
		case strings.HasPrefix(below, "templates/"):
			texts.Write(content)
		case strings.HasPrefix(below, "charts/"):
			others.WriteString(" " + strings.ReplaceAll(below, "/", " ") + " ")
		case below == "Chart.yaml":
			others.Write(content)
		}
	}
	return texts.String(), others.String()
}

// takesWhole reports whether a template uses a value as it is, and not only its parts.
func takesWhole(text, name string) bool {
	for rest := text; ; {
		_, after, found := strings.Cut(rest, "."+name)
		if !found {
			return false
		}
		switch {
		case after != "" && (after[0] == '_' || after[0] == '-' || isLetter(after[0])): // a longer name
		case len(after) < 2 || after[0] != '.' || !isLetter(after[1]) && after[1] != '_':
			return true
		}
		rest = after
	}
}

func isLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
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
