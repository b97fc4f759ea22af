package origin

import (
	"maps"
	"slices"
	"strings"

	"slipway/internal/object"
)

// ImageField is a field with an image that Kustomize does not take for one: it knows those of containers, and
// those that a `configurations` file lists.
type ImageField struct {
	Object object.Ref
	Field  string
	// Whole: it holds the whole image, and not only its repository.
	Whole bool
}

// FieldSpec is the field as `configurations` names it.
func (f ImageField) FieldSpec() string {
	steps, err := object.Steps(f.Field)
	if err != nil {
		return f.Field
	}
	var keys []string
	for _, s := range steps {
		if !s.Element {
			keys = append(keys, strings.ReplaceAll(s.Key, "/", `\/`))
		}
	}
	return strings.Join(keys, "/")
}

// imageField finds the first field with an image of that name.
func imageField(objects []object.Object, name string) *ImageField {
	for _, o := range objects {
		if field, text, ok := fieldWith(o.Body, "", name); ok {
			return &ImageField{Object: o.Ref(), Field: field, Whole: text != name || lastKey(field) != "repository"}
		}
	}
	return nil
}

func fieldWith(v any, at, name string) (field, text string, ok bool) {
	switch v := v.(type) {
	case string:
		return at, v, tagOrDigest.ReplaceAllString(v, "") == name && isImage(lastKey(at), v, name)
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if field, text, ok = fieldWith(v[k], object.Join(at, k), name); ok {
				return field, text, true
			}
		}
	case []any:
		for i, step := range object.Elements(v) {
			if field, text, ok = fieldWith(v[i], at+step, name); ok {
				return field, text, true
			}
		}
	}
	return "", "", false
}

// isImage tells an image from other texts of that name: those of Services, and their ports.
func isImage(key, text, name string) bool {
	if strings.Contains(strings.ToLower(key), "image") {
		return true
	}
	return strings.Contains(name, "/") && (text != name || key == "repository")
}

func lastKey(field string) string { return field[strings.LastIndex(field, ".")+1:] }
