package deploy

import (
	"fmt"
	"slices"
	"strings"

	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/release"
)

// rename is a Helm release that has another name than in the last release of the environment. Its objects are
// created anew, and the old ones are deleted.
type rename struct {
	From, To string
	// Moves are the objects that both have.
	Moves []move
}

// move is an object with another name.
type move struct{ From, To object.Ref }

// instanceLabel names the Helm release in most charts.
const instanceLabel = "app.kubernetes.io/instance"

// renames finds the Helm releases that a plan renames. An object is the same under another name where the
// same template makes it, and its name differs in that of the release alone.
func renames(t Target, p Prepared, made plan.Plan, latest release.Release) []rename {
	names := releaseNames(t, p)
	var gone []object.Object
	for _, c := range made.Changes {
		if was, ok := latest.Objects.Get(c.Ref); ok && c.Action == plan.Delete {
			gone = append(gone, was)
		}
	}
	var found []rename
	for _, c := range made.Changes {
		now, ok := p.Set.Get(c.Ref)
		if !ok || c.Action != plan.Create {
			continue
		}
		for i, was := range gone {
			from, to := otherName(was, now, names)
			if from == "" {
				continue
			}
			found = addMove(found, from, to, move{was.Ref(), c.Ref})
			gone = slices.Delete(gone, i, i+1)
			break
		}
	}
	return found
}

// releaseNames are the Helm releases of the objects to deploy. Those of a rollback are known by their label.
func releaseNames(t Target, p Prepared) []string {
	var names []string
	for _, o := range p.Set.Objects() {
		if name, _ := o.At("metadata", "labels", instanceLabel).(string); name != "" {
			names = append(names, name)
		}
	}
	for _, c := range t.Environment.Charts {
		if p.RollbackOf == 0 && c.Release != "" {
			names = append(names, c.Release)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func addMove(list []rename, from, to string, m move) []rename {
	i := slices.IndexFunc(list, func(r rename) bool { return r.From == from && r.To == to })
	if i < 0 {
		list, i = append(list, rename{From: from, To: to}), len(list)
	}
	list[i].Moves = append(list[i].Moves, m)
	return list
}

// otherName returns the names of the Helm release before and now, if two objects are the same one of it;
// empty where they are not. names are the releases of the objects to deploy.
func otherName(was, now object.Object, names []string) (from, to string) {
	a, b := was.Ref(), now.Ref()
	if a.Group != b.Group || a.Kind != b.Kind || was.Origin.File != now.Origin.File {
		return "", ""
	}
	before, _ := was.At("metadata", "labels", instanceLabel).(string)
	label, _ := now.At("metadata", "labels", instanceLabel).(string)
	for _, to := range names {
		prefix, suffix, ok := strings.Cut(b.Name, to)
		if !ok || label != "" && label != to || len(a.Name) <= len(prefix)+len(suffix) ||
			!strings.HasPrefix(a.Name, prefix) || !strings.HasSuffix(a.Name, suffix) {
			continue
		}
		from := a.Name[len(prefix) : len(a.Name)-len(suffix)]
		if from != to && !slices.Contains(names, from) && (before == "" || before == from) {
			return from, to
		}
	}
	return "", ""
}

// nameMoves says in the plan what becomes of the objects of renamed Helm releases.
func nameMoves(made plan.Plan, list []rename) {
	for _, r := range list {
		for _, m := range r.Moves {
			for i, c := range made.Changes {
				switch {
				case c.Ref == m.To && c.Action == plan.Create && c.Reason == "":
					made.Changes[i].Reason = fmt.Sprintf("was %s", m.From.Name)
				case c.Ref == m.From && c.Action == plan.Delete:
					made.Changes[i].Reason = strings.Replace(c.Reason, "no longer in the source", "becomes "+m.To.Name, 1)
				}
			}
		}
	}
}

// renameLines say which Helm releases get another name.
func renameLines(list []rename) []string {
	var lines []string
	for _, r := range list {
		var moved []string
		for _, m := range r.Moves {
			moved = append(moved, fmt.Sprintf("%s %s → %s", m.From.Kind, m.From.Name, m.To.Name))
		}
		lines = append(lines, fmt.Sprintf("move: Helm release %s becomes %s: %s; its history follows", r.From, r.To,
			strings.Join(moved, ", ")))
	}
	return lines
}
