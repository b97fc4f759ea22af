package helm

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// compare finds the fields that differ between two renders of one release.
func compare(docs, second []document, used map[string][]use) []Unstable {
	var list []Unstable
	for i, d := range docs {
		if i >= len(second) || len(d.objects) != len(second[i].objects) {
			break
		}
		for j, o := range d.objects {
			for _, field := range differing("", o.Body, second[i].objects[j].Body) {
				u := Unstable{Template: o.Origin.File, Ref: o.Ref(), Field: field}
				var names []string
				for _, call := range used[d.template] {
					names = append(names, call.function)
				}
				if u.Functions = strings.Join(names, ", "); len(names) > 0 {
					u.Call = used[d.template][0].at
				}
				list = append(list, u)
			}
		}
	}
	return list
}

func differing(at string, a, b any) []string {
	var list []string
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok {
			break
		}
		merged := maps.Clone(a)
		maps.Copy(merged, b)
		for _, k := range slices.Sorted(maps.Keys(merged)) {
			list = append(list, differing(strings.TrimPrefix(at+"."+k, "."), a[k], b[k])...)
		}
		return list
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			break
		}
		for i := range a {
			list = append(list, differing(at+"["+strconv.Itoa(i)+"]", a[i], b[i])...)
		}
		return list
	}
	if reflect.DeepEqual(a, b) {
		return nil
	}
	return []string{at}
}
