package finding

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"slipway/internal/object"
)

// Fold is several findings that a report shows as one.
type Fold []Finding

// FoldBy puts findings of one key together, in the order in which the keys first occur.
func FoldBy(all []Finding, key func(Finding) string) []Fold {
	index := map[string]int{}
	var out []Fold
	for _, f := range all {
		k := key(f)
		i, ok := index[k]
		if !ok {
			i = len(out)
			index[k] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], f)
	}
	return out
}

// Environments returns those of all findings, each once.
func (f Fold) Environments() []string {
	var all []string
	for _, one := range f {
		all = union(all, one.Environments)
	}
	return all
}

// Objects names the objects by kind, or the places of findings without one, in about so many characters:
// "Deployment api, web; CronJob night and 3 more". It names at least one.
func (f Fold) Objects(width int) string {
	var names []string
	kinds := map[string]string{}
	for _, one := range f {
		kind, name := "", one.Place.String()
		if one.Object != nil {
			kind, name = one.Object.Kind, one.Object.Name
		}
		if key := strings.TrimSpace(kind + " " + name); !slices.Contains(names, key) {
			names = append(names, key)
			kinds[key] = kind
		}
	}
	// Objects of a kind stand together, kinds in the order of their first object.
	var order []string
	for _, n := range names {
		if !slices.Contains(order, kinds[n]) {
			order = append(order, kinds[n])
		}
	}
	slices.SortStableFunc(names, func(a, b string) int {
		return slices.Index(order, kinds[a]) - slices.Index(order, kinds[b])
	})
	text := ""
	for i, n := range names {
		more := n
		switch {
		case i > 0 && kinds[n] != "" && kinds[n] == kinds[names[i-1]]:
			more = ", " + strings.TrimPrefix(n, kinds[n]+" ")
		case i > 0:
			more = "; " + n
		}
		reserve := len(" and 99 more")
		if i == len(names)-1 {
			reserve = 0
		}
		if i > 0 && utf8.RuneCountInString(text+more)+reserve > width {
			return fmt.Sprintf("%s and %d more", text, len(names)-i)
		}
		text += more
	}
	return text
}

// Summarize joins what was not checked for one reason in the same environments: "the schema of A, B".
// Of more than three things it names three, unless all are asked for.
func Summarize(all []Unchecked, everything bool) []Unchecked {
	var once []Unchecked
	for _, u := range all {
		i := slices.IndexFunc(once, func(o Unchecked) bool {
			return o.What == u.What && o.Why == u.Why && o.Place == u.Place && sameRef(o.Object, u.Object)
		})
		if i < 0 {
			once = append(once, u)
			continue
		}
		once[i].Environments = union(once[i].Environments, u.Environments)
	}
	var out []Unchecked
	var parts [][]string
	for _, u := range once {
		i := slices.IndexFunc(out, func(o Unchecked) bool {
			return o.Why == u.Why && slices.Equal(o.Environments, u.Environments)
		})
		if i < 0 {
			i = len(out)
			out = append(out, Unchecked{Environments: u.Environments, Why: u.Why})
			parts = append(parts, nil)
		}
		parts[i] = append(parts[i], u.subject())
	}
	for i := range out {
		most := len(parts[i])
		if !everything {
			most = min(most, 3)
		}
		out[i].What = enumerate(parts[i][:most])
		if n := len(parts[i]) - most; n > 0 {
			out[i].What += fmt.Sprintf(" and %d more", n)
		}
	}
	return out
}

// subject is what was not checked, of which object, and where.
func (u Unchecked) subject() string {
	text := u.What
	if u.Object != nil {
		text += " of " + u.Object.String()
	}
	if p := u.Place.String(); p != "" {
		text += " (" + p + ")"
	}
	return text
}

// enumerate joins texts with commas. What several have before " of " is said once.
func enumerate(parts []string) string {
	text, last := "", ""
	for i, p := range parts {
		head, rest, ok := strings.Cut(p, " of ")
		switch {
		case i == 0:
			text = p
		case ok && head == last:
			text += ", " + rest
		default:
			text += ", " + p
		}
		last = ""
		if ok {
			last = head
		}
	}
	return text
}

func sameRef(a, b *object.Ref) bool { return a == b || a != nil && b != nil && *a == *b }

// union adds the names that a list lacks, to a copy of it.
func union(names, more []string) []string {
	out := slices.Clone(names)
	for _, n := range more {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}
