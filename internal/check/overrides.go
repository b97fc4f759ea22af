package check

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"slipway/internal/check/finding"
	"slipway/internal/check/origin"
	"slipway/internal/check/rule"
	"slipway/internal/project"
)

const (
	imageUnmatched = rule.ID("image-unmatched")
	valueUnread    = rule.ID("value-unread")
	overrideDead   = rule.ID("override-dead")
)

// deadOverride is one with the environments in which it is dead.
type deadOverride struct {
	origin.Dead
	environments []string
}

// withOthers are the project's environments, and those that are checked and were found beside them.
func withOthers(s *subject) []project.Environment {
	envs := slices.Clone(s.Project.Environments)
	for _, env := range s.Environments {
		if !slices.ContainsFunc(envs, func(e project.Environment) bool { return e.Name == env.Name }) {
			envs = append(envs, env)
		}
	}
	return envs
}

// skipOverrides says that an environment is rendered without objects, a patch or values: an override that has
// no effect then may have one with them.
func skipOverrides(s *subject, env project.Environment) (finding.Unchecked, bool) {
	e := s.environment(env.Name)
	if e == nil {
		return finding.Unchecked{}, false
	}
	i := slices.IndexFunc(e.leftOut, func(l LeftOut) bool { return !l.onlyGenerated() })
	if i < 0 {
		return finding.Unchecked{}, false
	}
	why := e.leftOut[i].Why()
	return finding.Unchecked{Environments: []string{e.Name}, What: "the overrides", Why: why}, true
}

// namesLeftOut reports whether an override names a file that is left out, and has no effect because of that.
func namesLeftOut(s *subject, env project.Environment, d origin.Dead) bool {
	return slices.ContainsFunc(s.environment(env.Name).leftOut, func(l LeftOut) bool {
		_, last, _ := strings.Cut(d.Name, "\" ")
		dir := path.Dir(d.File)
		return path.Join(dir, last) == l.File || path.Join(dir, d.Text) == l.File
	})
}

// deadFinding reports an override that does nothing.
func deadFinding(l *locator, d deadOverride) finding.Finding {
	id, fix := overrideDead, "Remove it."
	message := d.Name + " has no effect: it matches nothing"
	var edits []finding.Edit
	switch {
	case d.By != nil:
		message = fmt.Sprintf("%s has no effect: %s at %s overrides it", d.Name, d.By.Name, d.By.Place)
	case d.Elsewhere != nil:
		id = imageUnmatched
		message, fix = imageElsewhere(d.Name, *d.Elsewhere)
	case strings.EqualFold(d.Kind, "images"):
		id = imageUnmatched
		message = d.Name + " matches no image"
		if len(d.Known) > 0 {
			message += fmt.Sprintf(", so the base's image runs (images: %s)", strings.Join(d.Known, ", "))
		}
		fix = "Write the name of one of the images as the base has it, with its registry."
		if d.Meant != "" {
			fix = "Write `name: " + d.Meant + "`."
			edits = renameEntry(l.text(d.File), d)
		}
	case d.Entry != "":
		message = fmt.Sprintf("%s has no effect: the chart renders nothing for %s", d.Name, d.Entry)
		fix = "Add the values that make the chart render the entry, or remove it."
	case d.Unread:
		id = valueUnread
		message = "no template of the chart reads " + d.Name + ": the chart's default stays"
		fix = "Correct the key, or remove it."
		if d.Meant != "" {
			fix = "Write `" + d.Meant + "`."
		}
	case strings.HasPrefix(strings.ToLower(d.Kind), "patch"):
		message = d.Name + " has no effect: its target does not exist, or already has this value"
		if name := meantTarget(l, d); name != "" {
			message = d.Name + " has no effect: its target does not exist"
			fix = "Write " + name + " if you meant that, or remove the patch."
		}
	case d.Kind == "replacements" || d.Kind == "transformers":
		message = d.Name + " has no effect: the target already has this value, or does not exist"
	}
	f := id.In(d.Place, "%s", message)
	f.Environments, f.Fix, f.Edits = d.environments, fix, edits
	return f
}

// imageElsewhere says that an entry of images is for a field which Kustomize does not know.
func imageElsewhere(entry string, at origin.ImageField) (message, fix string) {
	message = fmt.Sprintf("%s matches no container: the image is %s of %s %s, where Kustomize looks for none, "+
		"so the base's image runs", entry, at.Field, at.Object.Kind, at.Object.Name)
	if !at.Whole {
		return message, "Set the repository and the tag with a patch instead."
	}
	return message, fmt.Sprintf("Add a file under `configurations` with `images: [{path: %s, kind: %s}]`.",
		at.FieldSpec(), at.Object.Kind)
}

// meantTarget suggests an object for a patch whose target does not exist.
func meantTarget(l *locator, d deadOverride) string {
	_, target, _ := strings.Cut(d.Name, " on ")
	kind, name, _ := strings.Cut(target, "/")
	var names []string
	for _, e := range l.envs {
		for _, o := range e.objects {
			if o.Ref().Kind == kind && slices.Contains(d.environments, e.Name) {
				names = append(names, l.written(e.Name, o.Ref()))
			}
		}
	}
	if name == "" || slices.Contains(names, name) {
		return ""
	}
	return project.Suggest(name, names)
}

// renameEntry is the edit that gives an entry the name of the image that it is meant for.
func renameEntry(text []byte, d deadOverride) []finding.Edit {
	line, column, name := d.EntryName()
	if line == 0 {
		return nil
	}
	start, ok := finding.Offset(text, line, column)
	if !ok {
		return nil
	}
	if start < len(text) && (text[start] == '"' || text[start] == '\'') {
		start++
	}
	if !strings.HasPrefix(string(text[min(start, len(text)):]), name) {
		return nil
	}
	return []finding.Edit{{File: d.File, Start: start, End: start + len(name), New: d.Meant}}
}
