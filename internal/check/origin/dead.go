package origin

import (
	"context"
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
	// Unread: no template has a word for it.
	Unread bool
	// Known is what it could have matched: the images of the environment, the keys of the chart.
	Known []string
	// Meant is the one of them that it probably should.
	Meant string
}

// Dead are the overrides that do nothing. One that says what is there anyway is none of them: it does
// something as soon as either changes.
func (r *Report) Dead(ctx context.Context) ([]Dead, error) {
	var dead []Dead
	with := r.Set.Objects()
	var idle []Override
	for _, e := range r.Effects {
		if len(e.Changes) == 0 && e.Err == nil {
			idle = append(idle, e.Override)
		}
	}
	restating := r.lab.bending(ctx, idle, ground{with: with})
	for _, e := range r.Effects {
		if len(e.Changes) > 0 || e.Err != nil || len(restating[e.rank]) > 0 {
			continue
		}
		b := r.lab.bend(e.Override)
		if b != nil {
			objects, err := r.lab.render(ctx, nil, b)
			if err != nil || len(differences(with, objects)) > 0 {
				continue
			}
		}
		d := Dead{Override: e.Override}
		if b != nil {
			d.By = r.hiding(ctx, e.Override, b)
		}
		if d.By == nil && !r.explain(ctx, &d) {
			continue
		}
		dead = append(dead, d)
	}
	return dead, ctx.Err()
}

// hiding finds the override without which another would do something. Those of its kind come first: patches
// can hide anything, and there may be many.
func (r *Report) hiding(ctx context.Context, o Override, b *bent) *Override {
	for _, kin := range []bool{true, false} {
		for _, e := range slices.Backward(r.Effects) {
			if e.rank == o.rank || strings.EqualFold(e.Kind, o.Kind) != kin || !rivals(e.Override, o) {
				continue
			}
			without, err := r.lab.render(ctx, []Override{e.Override})
			if err != nil {
				continue
			}
			other, err := r.lab.render(ctx, []Override{e.Override}, b)
			if err != nil || len(differences(without, other)) > 0 {
				return &e.Override
			}
		}
	}
	return nil
}

// rivals says whether one override could hide another.
func rivals(a, b Override) bool {
	if b.Kind == values || a.Kind == values {
		return a.Kind == b.Kind && (within(a.Name, b.Name) || within(b.Name, a.Name))
	}
	merging := func(o Override) bool {
		return strings.HasPrefix(strings.ToLower(o.Kind), "patch") || o.Kind == "operation"
	}
	return strings.EqualFold(a.Kind, b.Kind) || merging(a) || merging(b)
}

// explain says what a dead override could have matched. It is false where nobody can know: a value that
// some template has a word for may be read under other conditions.
func (r *Report) explain(ctx context.Context, d *Dead) bool {
	switch {
	case strings.EqualFold(d.Kind, "images"):
		d.Known = r.unnamed(ctx)
		name := text(value(d.node.Node, "name"))
		if slices.Contains(d.Known, name) {
			return false // it matches, and says nothing: a pipeline fills it in
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
	for _, c := range r.lab.charts {
		if slices.Contains(c.Values, d.File) || d.set != nil {
			return r.unread(d, c)
		}
	}
	return false
}

var tagOrDigest = regexp.MustCompile(`(:[A-Za-z0-9_.-]+)?(@[a-z0-9]+:[0-9a-f]+)?$`)

// unnamed are the images as they are called before any entry of images gives them another name.
func (r *Report) unnamed(ctx context.Context) []string {
	var without []Override
	for _, e := range r.Effects {
		if strings.EqualFold(e.Kind, "images") {
			without = append(without, e.Override)
		}
	}
	objects, err := r.lab.render(ctx, without)
	if err != nil {
		objects = r.Set.Objects()
	}
	return images(objects)
}

// images are the repositories of all containers of the objects.
func images(objects []object.Object) []string {
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

// unread says whether no template of a chart can read a value: some part of its name is in none of them,
// and none takes what is above it as a whole. What is for a chart within must be in neither's, and is left
// alone where it may have other names there.
func (r *Report) unread(d *Dead, c project.Chart) bool {
	steps, err := object.Steps(d.Name)
	if err != nil || slices.ContainsFunc(steps, func(s object.Step) bool { return s.Element }) {
		return false
	}
	templates, about := r.templates(c)
	if slices.Contains(words.FindAllString(about, -1), steps[0].Key) {
		within, more := r.templates(project.Chart{Path: c.Path + "/charts/" + steps[0].Key})
		if named := strings.Contains(about, "alias:") || strings.Contains(about, "import-values:"); named ||
			within == "" || whole(within, "Values") {
			return false
		}
		// whose templates may read it, too
		if strings.Contains(more, "Chart.yaml") || strings.Contains(more, ".tgz") {
			return false
		}
		templates, about = templates+within, about+more
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
	if missing == len(steps) || whole(templates, above) {
		return false
	}
	for _, o := range r.lab.overrides {
		if o.isDefault() {
			d.Known = append(d.Known, o.Name)
		}
	}
	d.Unread, d.Meant = true, project.Suggest(d.Name, d.Known)
	return true
}

// templates are the texts of a chart's templates, those of charts within it too, and what its Chart.yaml
// and the names of its folders say; empty where one cannot be read.
func (r *Report) templates(c project.Chart) (templates, about string) {
	var texts, others strings.Builder
	for _, seen := range r.lab.with.Reads.List() {
		below, ok := strings.CutPrefix(seen.Path, c.Path+"/")
		if !ok || seen.Kind != tree.File {
			continue
		}
		content, err := r.lab.view.File(seen.Path)
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

// whole says whether a text takes what has a name as it is, and not only parts of it.
func whole(text, name string) bool {
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

// EntryName is where the name of an entry of images stands, and how it is written; line 0: nowhere.
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
