package origin

import (
	"fmt"
	"regexp"
	"strings"
)

// member is an override of a group.
type member struct {
	Override
	reach
}

// group is overrides of one kind, in the same parts of an environment, whose reaches do not overlap. They can
// be tried in one render: each object that then differs is due to one of them.
type group struct {
	members []member
	places  places
	images  map[string]bool
}

// groupable are the kinds of overrides that are tried in groups. Overrides of different kinds are not:
// without a patch, another entry of images may match.
var groupable = map[string]string{
	"images": "images", "replicas": "replicas", "labels": "labels", "commonlabels": "labels",
	"commonannotations": "annotations", "operation": "operations", "patches": "patches",
	"patchesstrategicmerge": "patches", "patchesjson6902": "patches", "configmapgenerator": "generators",
	"secretgenerator": "generators",
}

// plainImage matches names that mean the same as a regular expression.
var plainImage = regexp.MustCompile(`^[A-Za-z0-9._:/-]+$`)

// grouped sorts overrides into groups, in the order of their ranks. Those that reach nothing are in none:
// they have no effect. One that cannot share a render is a group by itself.
func grouped(x experiment, asked []Override, base baseline) (groups []*group, idle []Override) {
	open := map[string][]*group{}
	for _, o := range asked {
		m := member{o, reachOf(x, o, base.parts)}
		if len(m.parts) == 0 {
			idle = append(idle, o)
			continue
		}
		kind := groupable[strings.ToLower(o.Kind)]
		if kind == "" || x.tangled || isSelective(o) {
			groups = append(groups, newGroup(m))
			continue
		}
		key := fmt.Sprint(kind, m.parts)
		joined := false
		for _, g := range open[key] {
			if joined = g.takes(m); joined {
				g.join(m)
				break
			}
		}
		if !joined {
			g := newGroup(m)
			groups, open[key] = append(groups, g), append(open[key], g)
		}
	}
	return groups, idle
}

func newGroup(members ...member) *group {
	g := &group{places: places{}, images: map[string]bool{}}
	for _, m := range members {
		g.join(m)
	}
	return g
}

func (g *group) takes(m member) bool {
	for _, name := range imageNames(m.Override) {
		if g.images[name] {
			return false
		}
	}
	return !g.places.overlaps(m.places)
}

func (g *group) join(m member) {
	g.members = append(g.members, m)
	for at := range m.places {
		g.places[at] = true
	}
	for _, name := range imageNames(m.Override) {
		g.images[name] = true
	}
}

func (g *group) overrides() []Override {
	list := make([]Override, len(g.members))
	for i, m := range g.members {
		list[i] = m.Override
	}
	return list
}

// halves splits a group whose members cannot be tried together.
func (g *group) halves() []*group {
	n := len(g.members) / 2
	return []*group{newGroup(g.members[:n]...), newGroup(g.members[n:]...)}
}

// attribute gives each change to the member of the group that reaches the object. It is false where none
// does. A group of one has all changes.
func (g *group) attribute(changes []Change) (attributed [][]Change, ok bool) {
	attributed = make([][]Change, len(g.members))
	if len(g.members) == 1 {
		attributed[0] = changes
		return attributed, true
	}
	owner := map[any]int{}
	for i, m := range g.members {
		for at := range m.places {
			owner[at] = i
		}
	}
	for _, c := range changes {
		i, found := owner[c.origin]
		if !found {
			return nil, false
		}
		attributed[i] = append(attributed[i], c)
	}
	return attributed, true
}
