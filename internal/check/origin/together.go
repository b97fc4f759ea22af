package origin

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"slipway/internal/object"
)

// claim is what an override can touch at most. Those of several services do not meet: they can be left out
// together, and what then differs is still known to be because of one of them.
type claim struct {
	file string // that the override is written in
	dir  string // of the objects that it can touch; "." for all
	kind string // images, replicas or the kind of the only object; else empty
	key  string // the image, or the object's name
}

// fewest overrides are worth a render of their own.
const fewest = 3

// together tries overrides in groups. What it gives back is to be tried one by one: what has no claim, and
// what could not be told apart after all.
func (l *lab) together(ctx context.Context, asked []Override, until time.Time, on ground) (effects []Effect,
	single []Override) {
	groups, single := l.groups(asked)
	for _, g := range groups {
		if ctx.Err() != nil || time.Now().After(until) {
			single = append(single, overrides(g)...)
			continue
		}
		shared, alone := l.share(ctx, g, until, on)
		effects, single = append(effects, shared...), append(single, alone...)
	}
	return effects, single
}

// member is an override of a group.
type member struct {
	Override
	claim claim
}

// groups puts overrides together whose claims do not meet.
func (l *lab) groups(asked []Override) (groups [][]member, single []Override) {
	for _, o := range asked {
		c, ok := l.claim(o)
		if !ok || l.tangled {
			single = append(single, o)
			continue
		}
		i := slices.IndexFunc(groups, func(g []member) bool {
			return !slices.ContainsFunc(g, func(m member) bool { return !c.apart(m.claim) })
		})
		if i < 0 {
			groups = append(groups, nil)
			i = len(groups) - 1
		}
		groups[i] = append(groups[i], member{o, c})
	}
	return slices.DeleteFunc(groups, func(g []member) bool {
		few := len(g) < fewest
		if few {
			single = append(single, overrides(g)...)
		}
		return few
	}), single
}

func overrides(g []member) []Override {
	var list []Override
	for _, m := range g {
		list = append(list, m.Override)
	}
	return list
}

// share leaves out a group and gives each of it what it does. Nothing is known where something differs
// that nobody claims, or where one that seems to do nothing does something by itself: then it has done so
// to what another one claims.
func (l *lab) share(ctx context.Context, group []member, until time.Time, on ground) (effects []Effect,
	alone []Override) {
	without, err := l.render(ctx, append(slices.Clone(on.gone), overrides(group)...))
	if err != nil {
		return nil, overrides(group)
	}
	of := make([][]Change, len(group))
	for _, c := range differences(on.with, without) {
		if !l.hand(c, group, of) {
			return nil, overrides(group)
		}
	}
	var idle []Override
	for i, m := range group {
		if len(of[i]) == 0 {
			idle = append(idle, m.Override)
		} else {
			effects = append(effects, Effect{Override: m.Override, Changes: of[i]})
		}
	}
	tried, left := l.each(ctx, idle, until, on)
	if slices.ContainsFunc(tried, func(e Effect) bool { return len(e.Changes) > 0 || e.Err != nil }) {
		return nil, overrides(group)
	}
	return append(effects, tried...), left
}

// bending lets overrides say something else, in groups, and gives what then is different because of each,
// by its rank. What could not be told apart is not in it.
func (l *lab) bending(ctx context.Context, asked []Override, on ground) map[int][]Change {
	effects := map[int][]Change{}
	groups, _ := l.groups(asked)
	for _, group := range groups {
		var members []member
		var other []*bent
		for _, m := range group {
			said, ok := m.claim.said(m.Override)
			if b := l.bend(m.Override); b != nil && ok {
				members, other = append(members, member{m.Override, said}), append(other, b)
			}
		}
		objects, err := l.render(ctx, on.gone, other...)
		of := make([][]Change, len(members))
		if err != nil || slices.ContainsFunc(differences(on.with, objects), func(c Change) bool {
			return !l.hand(c, members, of)
		}) {
			continue
		}
		for i, m := range members {
			effects[m.rank] = of[i]
		}
	}
	return effects
}

// hand gives each field of a change to the one that claims it. It is false where none does, or several do.
func (l *lab) hand(c Change, group []member, of [][]Change) bool {
	fields := c.Fields
	kind, name := l.named(c.at)
	if len(fields) == 0 {
		fields = []object.Field{{}}
	}
	for _, f := range fields {
		owns := func(m member) bool { return m.claim.owns(c, f, kind, name) }
		i := slices.IndexFunc(group, owns)
		if i < 0 || slices.ContainsFunc(group[i+1:], owns) {
			return false
		}
		if n := len(of[i]); n == 0 || of[i][n-1].Ref != c.Ref {
			of[i] = append(of[i], Change{Ref: c.Ref, at: c.at})
		}
		if len(c.Fields) > 0 {
			mine := &of[i][len(of[i])-1]
			mine.Fields = append(mine.Fields, f)
		}
	}
	return true
}

// apart says that nothing can be touched by both. An object may be named as it is written, or as a base
// has prefixed it.
func (c claim) apart(other claim) bool {
	if c.file == other.file {
		return c.key != "" && c.kind == other.kind && !strings.Contains(c.key, other.key) &&
			!strings.Contains(other.key, c.key)
	}
	return !beneath(c.dir, other.dir) && !beneath(other.dir, c.dir)
}

// said is the claim of an override that says something else: an image is known by what it was called, if
// no other entry of the file calls one so, or is for the same image.
func (c claim) said(o Override) (claim, bool) {
	if c.kind != "images" {
		return c, true
	}
	called := func(n *yaml.Node) string { return cmp.Or(text(value(n, "newName")), text(value(n, "name"))) }
	same := 0
	for _, other := range items(value(resolved(o.file.doc.Content[0]), "images")) {
		if called(other) == called(o.node.Node) || text(value(other, "name")) == c.key {
			same++
		}
	}
	c.kind, c.key = "said", called(o.node.Node)
	return c, same == 1
}

func (c claim) owns(change Change, f object.Field, kind, name string) bool {
	if change.at.Line == 0 || !beneath(change.at.File, c.dir) {
		return false
	}
	called := func(v any) bool {
		image, _ := v.(string)
		return strings.HasSuffix(f.Path, ".image") && tagOrDigest.ReplaceAllString(image, "") == c.key
	}
	switch c.kind {
	case "images":
		return called(f.After) // without the entry
	case "said":
		return called(f.Before)
	case "replicas":
		return name == c.key
	case "":
		return true
	}
	return kind == c.kind && name == c.key
}

// beneath says whether a file or folder is in a folder.
func beneath(name, dir string) bool {
	return dir == "." || name == dir || strings.HasPrefix(name, dir+"/")
}

// plain are names that mean themselves as regular expressions, too.
var plain = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// claim gives false for what can touch anything.
func (l *lab) claim(o Override) (claim, bool) {
	if o.file == nil || o.file.reach == "" || o.node == nil || o.node.inside != nil {
		return claim{}, false
	}
	c := claim{file: o.file.name, dir: o.file.reach}
	switch kind := strings.ToLower(o.Kind); kind {
	case "images", "replicas":
		c.kind, c.key = kind, text(value(o.node.Node, "name"))
		return c, c.key != "" && !chained(o.file)
	case "patches", "patchesstrategicmerge", "patchesjson6902":
		c.kind, c.key = l.target(o)
		return c, c.key != ""
	case "labels", "commonlabels", "commonannotations":
		return c, c.dir != "."
	}
	return claim{}, false
}

// chained says whether an entry of images gives a name that another one is for.
func chained(f *file) bool {
	images := items(value(resolved(f.doc.Content[0]), "images"))
	return slices.ContainsFunc(images, func(a *yaml.Node) bool {
		return slices.ContainsFunc(images, func(b *yaml.Node) bool {
			return text(value(a, "newName")) == text(value(b, "name"))
		})
	})
}

// target is the only object that a patch can be for; empty where there may be several.
func (l *lab) target(o Override) (kind, name string) {
	n := o.node.Node
	about := value(n, "target")
	if about == nil {
		if doc, _, _ := l.patchText(o); doc != nil {
			about = resolved(doc.Content[0])
		}
	}
	kind, name = text(value(about, "kind")), text(value(about, "name"))
	if meta := value(about, "metadata"); meta != nil {
		name = text(value(meta, "name"))
	}
	if !plain.MatchString(kind) || !plain.MatchString(name) {
		return "", ""
	}
	return kind, name
}

// named is what an object is called where it is written.
func (l *lab) named(at object.Origin) (kind, name string) {
	doc, ok := l.documents[at]
	if !ok {
		doc = document(l.view, at)
		l.documents[at] = doc
	}
	return text(value(doc, "kind")), text(value(value(doc, "metadata"), "name"))
}
