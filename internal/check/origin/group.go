package origin

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/internal/object"
)

// claim is the most that an override can change. Overrides whose claims do not overlap can be left out in one
// render: what then differs is still attributed to one of them.
type claim struct {
	file string // that the override is written in
	dir  string // of the objects that it can change; "." for all
	kind string // images, mutated images, replicas, or the kind of the only object; else empty
	key  string // the image, or the object's name
}

// mutatedImages is the kind of a claim on containers whose image an entry of images has given another name.
const mutatedImages = "mutated images"

// minGroup is how many overrides are worth a render of their own.
const minGroup = 3

// member is an override of a group.
type member struct {
	Override
	claim claim
}

// groups puts overrides together whose claims do not overlap. Single are those that belong to no group.
func groups(x experiment, asked []Override) (groups [][]member, single []Override) {
	for _, o := range asked {
		c, ok := claimOf(o)
		if !ok || x.tangled {
			single = append(single, o)
			continue
		}
		i := slices.IndexFunc(groups, func(g []member) bool {
			return !slices.ContainsFunc(g, func(m member) bool { return c.overlaps(m.claim) })
		})
		if i < 0 {
			groups = append(groups, nil)
			i = len(groups) - 1
		}
		groups[i] = append(groups[i], member{o, c})
	}
	return slices.DeleteFunc(groups, func(g []member) bool {
		few := len(g) < minGroup
		if few {
			single = append(single, overridesOf(g)...)
		}
		return few
	}), single
}

func overridesOf(g []member) []Override {
	var list []Override
	for _, m := range g {
		list = append(list, m.Override)
	}
	return list
}

// removeGroups leaves out overrides in groups. Single are to be left out one by one: they have no claim, or
// their effects could not be told apart.
func removeGroups(
	ctx context.Context, x experiment, asked []Override, base baseline,
) (effects []Effect, single []Override) {
	all, single := groups(x, asked)
	for _, g := range all {
		if x.isOver(ctx) {
			single = append(single, overridesOf(g)...)
			continue
		}
		shared, alone := removeGroup(ctx, x, g, base)
		effects, single = append(effects, shared...), append(single, alone...)
	}
	return effects, single
}

// removeGroup leaves out a group and attributes what changes to its members. It returns all of them in alone
// where a change belongs to none, or where one that seems to do nothing does something by itself: then its
// effect was attributed to another member.
func removeGroup(
	ctx context.Context, x experiment, group []member, base baseline,
) (effects []Effect, alone []Override) {
	without, err := renderWith(ctx, x, append(slices.Clone(base.removed), overridesOf(group)...))
	if err != nil {
		return nil, overridesOf(group)
	}
	attributed, ok := attribute(differences(base.objects, without), group, x.written)
	if !ok {
		return nil, overridesOf(group)
	}
	var idle []Override
	for i, m := range group {
		if len(attributed[i]) == 0 {
			idle = append(idle, m.Override)
		} else {
			effects = append(effects, Effect{Override: m.Override, Changes: attributed[i]})
		}
	}
	tried, left := removeEach(ctx, x, idle, base)
	if slices.ContainsFunc(tried, func(e Effect) bool { return len(e.Changes) > 0 || e.Err != nil }) {
		return nil, overridesOf(group)
	}
	return append(effects, tried...), left
}

// mutateGroups lets overrides say something else, in groups, and returns what changes because of each, by its
// rank. Overrides whose effects could not be told apart are not in it.
func mutateGroups(ctx context.Context, x experiment, asked []Override, base baseline) map[int][]Change {
	effects := map[int][]Change{}
	all, _ := groups(x, asked)
	for _, group := range all {
		var members []member
		var mutations []*mutation
		for _, m := range group {
			mutated, ok := m.claim.mutated(m.Override)
			if mutation := mutate(m.Override); mutation != nil && ok {
				members, mutations = append(members, member{m.Override, mutated}), append(mutations, mutation)
			}
		}
		if len(members) == 0 {
			continue
		}
		objects, err := renderWith(ctx, x, base.removed, mutations...)
		if err != nil {
			continue
		}
		attributed, ok := attribute(differences(base.objects, objects), members, x.written)
		for i, m := range members {
			if ok {
				effects[m.rank] = attributed[i]
			}
		}
	}
	return effects
}

// attribute gives each changed field to the member of a group that claims it. It is false where no member
// does, or more than one.
func attribute(changes []Change, group []member, w *written) (attributed [][]Change, ok bool) {
	attributed = make([][]Change, len(group))
	for _, c := range changes {
		fields := c.Fields
		kind, name := w.nameOf(c.origin)
		if len(fields) == 0 {
			fields = []object.Field{{}}
		}
		for _, f := range fields {
			owns := func(m member) bool { return m.claim.owns(c, f, kind, name) }
			i := slices.IndexFunc(group, owns)
			if i < 0 || slices.ContainsFunc(group[i+1:], owns) {
				return nil, false
			}
			if n := len(attributed[i]); n == 0 || attributed[i][n-1].Ref != c.Ref {
				attributed[i] = append(attributed[i], Change{Ref: c.Ref, origin: c.origin})
			}
			if len(c.Fields) > 0 {
				mine := &attributed[i][len(attributed[i])-1]
				mine.Fields = append(mine.Fields, f)
			}
		}
	}
	return attributed, true
}

// overlaps reports whether two claims may concern the same object. An object may be named as it is written,
// or as a base has prefixed it.
func (c claim) overlaps(other claim) bool {
	if c.file != other.file {
		return isBelow(c.dir, other.dir) || isBelow(other.dir, c.dir)
	}
	return c.key == "" || c.kind != other.kind ||
		strings.Contains(c.key, other.key) || strings.Contains(other.key, c.key)
}

// mutated is the claim of an override that says something else. An image is then known by the name that the
// entry gave it. It is false where another entry of the file gives that name, or is for the same image.
func (c claim) mutated(o Override) (claim, bool) {
	if c.kind != "images" {
		return c, true
	}
	newName := func(n *yaml.Node) string { return cmp.Or(text(value(n, "newName")), text(value(n, "name"))) }
	same := 0
	for _, other := range items(value(resolved(o.file.doc.Content[0]), "images")) {
		if newName(other) == newName(o.node.Node) || text(value(other, "name")) == c.key {
			same++
		}
	}
	c.kind, c.key = mutatedImages, newName(o.node.Node)
	return c, same == 1
}

// owns reports whether a claim covers a changed field of an object that is written with this kind and name.
func (c claim) owns(change Change, f object.Field, kind, name string) bool {
	if change.origin.Line == 0 || !isBelow(change.origin.File, c.dir) {
		return false
	}
	isImage := func(v any) bool {
		image, _ := v.(string)
		return strings.HasSuffix(f.Path, ".image") && tagOrDigest.ReplaceAllString(image, "") == c.key
	}
	switch c.kind {
	case "images":
		return isImage(f.After) // without the entry
	case mutatedImages:
		return isImage(f.Before)
	case "replicas":
		return name == c.key
	case "":
		return true
	}
	return kind == c.kind && name == c.key
}

// isBelow reports whether a file or directory is in a directory, or is that directory.
func isBelow(name, dir string) bool {
	return dir == "." || name == dir || strings.HasPrefix(name, dir+"/")
}

// plainName matches names that mean the same as a regular expression.
var plainName = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// claimOf is false for an override that can change anything.
func claimOf(o Override) (claim, bool) {
	if o.file == nil || o.file.scope == "" || o.node == nil || o.node.inside != nil {
		return claim{}, false
	}
	c := claim{file: o.file.name, dir: o.file.scope}
	switch kind := strings.ToLower(o.Kind); kind {
	case "images", "replicas":
		c.kind, c.key = kind, text(value(o.node.Node, "name"))
		return c, c.key != "" && !isChained(o.file)
	case "patches", "patchesstrategicmerge", "patchesjson6902":
		c.kind, c.key = patchTarget(o)
		return c, c.key != ""
	case "labels", "commonlabels", "commonannotations":
		return c, c.dir != "."
	}
	return claim{}, false
}

// isChained reports whether an entry of images gives a name that another entry matches.
func isChained(f *file) bool {
	images := items(value(resolved(f.doc.Content[0]), "images"))
	return slices.ContainsFunc(images, func(a *yaml.Node) bool {
		return slices.ContainsFunc(images, func(b *yaml.Node) bool {
			return text(value(a, "newName")) == text(value(b, "name"))
		})
	})
}

// patchTarget returns the only object that a patch can apply to. Both are empty where there may be several.
func patchTarget(o Override) (kind, name string) {
	target := value(o.node.Node, "target")
	if target == nil && o.patch != nil {
		target = resolved(o.patch.doc.Content[0])
	}
	kind, name = text(value(target, "kind")), text(value(target, "name"))
	if meta := value(target, "metadata"); meta != nil {
		name = text(value(meta, "name"))
	}
	if !plainName.MatchString(kind) || !plainName.MatchString(name) {
		return "", ""
	}
	return kind, name
}
