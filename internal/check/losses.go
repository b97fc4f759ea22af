package check

import (
	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/object"
)

// lossRules are the rules about losses, with the fix of each in one line.
var lossRules = map[object.LossKind]struct {
	rule.ID
	fix string
}{
	object.LostElement: {"merge-element",
		"Give each element a key of its own (`protocol` is part of it), or replace the list with a JSON patch."},
	object.MergedTags: {"image-tags-merged",
		"Give each program an image name of its own, or patch the images."},
	object.IgnoredNull: {"null-ignored",
		"Write the null into a values file of the environment, or pass it with --set."},
	object.Deprecated: {"deprecated",
		"Write what replaces it; `slipway render --all --digest` must print the same afterwards."},
	object.NullText: {"null-text",
		"Remove the key with a JSON patch, or name the object in the patch without `target`."},
}

// losses reports what the source states and Kustomize or Helm drops silently.
func losses(_ *subject, e *environment) found {
	var all []finding.Finding
	for _, l := range e.Losses {
		r := lossRules[l.Kind]
		f := r.In(finding.At(l.Origin), "%s", l.Text)
		f.Fix = r.fix
		all = append(all, f)
	}
	return found{findings: all}
}
