package plan

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"slipway/internal/object"
)

// Classes are the StorageClasses of a cluster. Grow says whether the volumes of a class may grow; nil:
// unknown.
type Classes struct {
	Grow    map[string]bool
	Default string
}

// resized is a field that asks for another size of volumes.
type resized struct {
	path     string
	from, to resource.Quantity
	class    string // empty: the default one
}

// resizes returns the sizes of volumes that a change asks for: those in custom resources, whose operator
// makes the claims, and in the templates of a StatefulSet.
func resizes(c Change, o Observed) []resized {
	isCustom := strings.Contains(c.Ref.Group, ".") && !strings.HasSuffix(c.Ref.Group, ".k8s.io")
	var all []resized
	for _, f := range c.Fields {
		isTemplate := KeepsPods(c.Ref) && strings.HasPrefix(f.Path, "spec.volumeClaimTemplates")
		if !isTemplate && (!isCustom || !namesStorage(f.Path)) {
			continue
		}
		before, isText := f.Before.(string)
		after, isToo := f.After.(string)
		from, err := resource.ParseQuantity(before)
		to, errTo := resource.ParseQuantity(after)
		if !isText || !isToo || err != nil || errTo != nil || from.Cmp(to) == 0 {
			continue
		}
		all = append(all, resized{f.Path, from, to, classAt(o.Merged, f.Path)})
	}
	return all
}

// namesStorage says that a path is that of the size of a volume, as operators call it.
func namesStorage(path string) bool {
	isSeparator := func(r rune) bool { return strings.ContainsRune(".[]", r) }
	keys := strings.FieldsFunc(strings.ToLower(path), isSeparator)
	if len(keys) == 0 {
		return false
	}
	last := keys[len(keys)-1]
	about := func(key string) bool {
		isIn := func(word string) bool { return strings.Contains(key, word) }
		return slices.ContainsFunc([]string{"storage", "volume", "disk", "pvc", "persisten"}, isIn)
	}
	return last != "ephemeral-storage" && (last == "storage" || strings.Contains(last, "storagesize") ||
		(strings.HasSuffix(last, "size") || last == "capacity") && slices.ContainsFunc(keys, about))
}

// classAt returns the StorageClass that is named nearest above a field.
func classAt(o object.Object, path string) string {
	steps, err := object.Steps(path)
	if err != nil {
		return ""
	}
	for n := len(steps) - 1; n > 0; n-- {
		v, _ := object.Value(o.Body, steps[:n])
		above, _ := v.(map[string]any)
		for _, key := range []string{"storageClassName", "storageClass", "storageClassname"} {
			if name, ok := above[key].(string); ok && name != "" {
				return name
			}
		}
	}
	return ""
}

// storageRisks are about volumes that cannot get the size that a change asks for.
func storageRisks(c Change, o Observed, classes Classes) []Risk {
	if c.Action != Update && c.Action != Replace {
		return nil
	}
	at := ""
	if place := o.Desired.Origin.String(); place != "" {
		at = " (" + place + ")"
	}
	var risks []Risk
	say := func(text string, args ...any) {
		risks = append(risks, Risk{Kind: "data", Ref: c.Ref, Text: fmt.Sprintf(text, args...) + at})
	}
	for _, r := range resizes(c, o) {
		class := r.class
		if class == "" {
			class = classes.Default
		}
		grows, known := classes.Grow[class]
		switch {
		case KeepsPods(c.Ref):
			say("asks for %s in place of %s for new claims only: those that exist keep their size. Run `kubectl "+
				"patch pvc` for each of them if their class lets volumes grow", r.to.String(), r.from.String())
		case r.to.Cmp(r.from) < 0:
			say("%s shrinks from %s to %s, and a volume does not shrink: its operator will refuse it or ignore it. "+
				"Write %s, or copy the data to a new one", r.path, r.from.String(), r.to.String(), r.from.String())
		case known && !grows:
			say("%s grows from %s to %s, and StorageClass %s does not let volumes grow: set allowVolumeExpansion "+
				"if its driver can, or write %s", r.path, r.from.String(), r.to.String(), class, r.from.String())
		}
	}
	return risks
}

// renamedRisks are about StatefulSets that get another name, as a changed Helm release gives them: the new
// one does not use the claims of the old one.
func renamedRisks(p Plan, observed []Observed) []Risk {
	var risks []Risk
	for _, o := range observed {
		if !KeepsPods(o.Ref) || !isChange(p, o.Ref, Create) || o.Desired.At("spec", "volumeClaimTemplates") == nil {
			continue
		}
		spec, _, _ := o.Desired.PodSpec()
		for _, old := range observed {
			was, _, _ := old.Live.PodSpec()
			if !KeepsPods(old.Ref) || !isChange(p, old.Ref, Delete) || old.Ref.Namespace != o.Ref.Namespace ||
				old.Live.At("spec", "volumeClaimTemplates") == nil || !sharesImage(spec, was) {
				continue
			}
			text := "starts with empty volumes: what " + old.Ref.Name + " has stays in the claims of its pods"
			risks = append(risks, Risk{Kind: "data", Ref: o.Ref, Text: text})
		}
	}
	return risks
}

func isChange(p Plan, ref object.Ref, a Action) bool {
	return slices.ContainsFunc(p.Changes, func(c Change) bool { return c.Ref == ref && c.Action == a })
}
