package contract

import (
	"reflect"
	"regexp"
	"slices"
	"strings"

	"slipway/internal/object"
	"slipway/internal/project"
)

// pair is one object on both sides; nil where a side has none.
type pair struct{ a, b *object.Object }

// match pairs each object of A with one of B: by name; by place, for overlays of one base; last by name
// without what the environment adds to it.
func match(a, b Side) []pair {
	as, bs := a.Set.Objects(), b.Set.Objects()
	to := make([]int, len(as)) // the position in bs
	taken := make([]bool, len(bs))
	for i := range to {
		to[i] = -1
	}
	by := func(keyA, keyB func(object.Object) string) {
		atA := unique(as, keyA, func(i int) bool { return to[i] < 0 })
		atB := unique(bs, keyB, func(j int) bool { return !taken[j] })
		for key, i := range atA {
			if j, ok := atB[key]; ok && i >= 0 && j >= 0 {
				to[i], taken[j] = j, true
			}
		}
	}
	same := func(key func(object.Object) string) { by(key, key) }
	same(func(o object.Object) string { return o.Ref().Group + " " + o.Ref().String() })
	same(func(o object.Object) string {
		if o.Origin.Line == 0 {
			return ""
		}
		return kind(o) + " " + o.Origin.String()
	})
	prefixesA, prefixesB := added(a.Environment), added(b.Environment)
	for i, j := range to {
		if j >= 0 {
			x, y := affixes(bareHash(as[i]), bareHash(bs[j]))
			prefixesA, prefixesB = append(prefixesA, x), append(prefixesB, y)
		}
	}
	by(func(o object.Object) string { return kind(o) + " " + bare(o, prefixesA) },
		func(o object.Object) string { return kind(o) + " " + bare(o, prefixesB) })
	var pairs []pair
	for i := range as {
		p := pair{a: &as[i]}
		if to[i] >= 0 {
			p.b = &bs[to[i]]
		}
		pairs = append(pairs, p)
	}
	for j := range bs {
		if !taken[j] {
			pairs = append(pairs, pair{b: &bs[j]})
		}
	}
	return pairs
}

// unique returns the position of each key's object among those that are free; -1 where several have the key.
// An object with an empty key is skipped.
func unique(objects []object.Object, key func(object.Object) string, free func(int) bool) map[string]int {
	at := map[string]int{}
	for i, o := range objects {
		k := key(o)
		if k == "" || !free(i) {
			continue
		}
		if _, twice := at[k]; twice {
			i = -1
		}
		at[k] = i
	}
	return at
}

func kind(o object.Object) string { return o.Ref().Group + "/" + o.Ref().Kind }

// hash matches Kustomize's suffix of generated names.
var hash = regexp.MustCompile(`-[2456789bcdfghkmt]{10}$`)

func bareHash(o object.Object) string {
	r := o.Ref()
	if r.Group == "" && (r.Kind == "ConfigMap" || r.Kind == "Secret") {
		return hash.ReplaceAllString(r.Name, "")
	}
	return r.Name
}

// bare is an object's name without what an environment adds to it.
func bare(o object.Object, added []string) string {
	name := bareHash(o)
	for _, a := range added {
		if a == "" {
			continue
		}
		if rest, ok := strings.CutPrefix(name, a+"-"); ok {
			return rest
		}
		if rest, ok := strings.CutSuffix(name, "-"+a); ok {
			return rest
		}
	}
	return name
}

// words are usual names of environments of a class.
var words = map[project.Class][]string{
	project.Local:      {"dev", "development", "local", "laptop"},
	project.Staging:    {"staging", "stage", "stg", "qa", "test", "uat"},
	project.Production: {"prod", "production", "live"},
}

// added returns what an environment may add to names.
func added(e project.Environment) []string { return append([]string{e.Name}, words[e.Class]...) }

// affixes returns what two names have around the part that they share, without dashes.
func affixes(x, y string) (ofX, ofY string) {
	if x == y {
		return "", ""
	}
	px, py := strings.Split(x, "-"), strings.Split(y, "-")
	for len(px) > 0 && len(py) > 0 && px[len(px)-1] == py[len(py)-1] {
		px, py = px[:len(px)-1], py[:len(py)-1]
	}
	for len(px) > 0 && len(py) > 0 && px[0] == py[0] {
		px, py = px[1:], py[1:]
	}
	return strings.Join(px, "-"), strings.Join(py, "-")
}

// names are pairs of words with the same meaning on the two sides.
type names map[[2]string]bool

// renames returns the names of the environments, of their namespaces and of the objects.
func renames(a, b project.Environment, pairs []pair) names {
	n := names{{a.Namespace, b.Namespace}: true}
	for _, x := range added(a) {
		for _, y := range added(b) {
			n[[2]string{x, y}] = true
		}
	}
	for _, p := range pairs {
		if p.a != nil && p.b != nil {
			x, y := p.a.Ref(), p.b.Ref()
			n[[2]string{x.Name, y.Name}], n[[2]string{x.Namespace, y.Namespace}] = true, true
		}
	}
	return n
}

var word = regexp.MustCompile(`[A-Za-z0-9-]+`)

// alike reports whether two values differ only in names.
func (n names) alike(a, b any) bool { return !reflect.DeepEqual(a, b) && n.equal(a, b) }

func (n names) equal(a, b any) bool {
	switch a := a.(type) {
	case string:
		b, ok := b.(string)
		return ok && n.texts(a, b)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, n.equal)
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k, v := range a {
			if w, there := b[k]; !there || !n.equal(v, w) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(a, b)
}

// texts compares word by word, and within words that have parts, part by part.
func (n names) texts(a, b string) bool {
	if a == b || n[[2]string{a, b}] {
		return true
	}
	wordsA, wordsB := word.FindAllString(a, -1), word.FindAllString(b, -1)
	if len(wordsA) != len(wordsB) || word.ReplaceAllString(a, "x") != word.ReplaceAllString(b, "x") {
		return false
	}
	for i, x := range wordsA {
		y := wordsB[i]
		if x == y || n[[2]string{x, y}] {
			continue
		}
		partsX, partsY := strings.Split(x, "-"), strings.Split(y, "-")
		if len(partsX) != len(partsY) {
			return false
		}
		for j := range partsX {
			if partsX[j] != partsY[j] && !n[[2]string{partsX[j], partsY[j]}] {
				return false
			}
		}
	}
	return true
}
