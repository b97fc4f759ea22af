package check

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"slipway/internal/check/finding"
	"slipway/internal/check/origin"
	"slipway/internal/object"
	"slipway/internal/project"
)

var ruleImageUnmatched = finding.Rule{
	ID: "image-unmatched", Group: "crossing", Severity: finding.Error,
	Title: "An entry of images matches no image",
	Why: "Kustomize compares the whole name of an image, its registry included, and says nothing where an " +
		"entry matches none. " +
		"The build succeeds, and the environment gets the image that the base names: often the one of a laptop.",
	Fix: "Write the name as the base has it:\n\n```yaml\nimages:\n  - name: " +
		"k3d-registry.localhost:5000/myapp\n    newName: ghcr.io/acme/myapp\n```",
}

var ruleValueUnread = finding.Rule{
	ID: "value-unread", Group: "crossing", Severity: finding.Error,
	Title: "A value that no template reads",
	Why: "Helm takes any key in a values file. One that is misspelt, or that a newer chart calls otherwise, " +
		"is not an error: " +
		"the chart goes on with its default, and the environment is not what its values say.",
	Fix: "Correct the key, or delete it. The chart's `values.yaml` lists those that it reads.",
}

var ruleOverrideDead = finding.Rule{
	ID: "override-dead", Group: "crossing", Severity: finding.Warning,
	Title: "An override that does nothing",
	Why: "Slipway renders the environment without the override, and with the override saying something else. " +
		"Neither changes anything: " +
		"it matches nothing, or a stronger one says the same field. Whoever edits it later will wonder why " +
		"nothing happens.",
	Fix: "Delete it, or correct what it is meant to match. `slipway why ENV KIND/NAME FIELD` shows what " +
		"decides a field.",
}

var overrideRules = []finding.Rule{ruleImageUnmatched, ruleValueUnread, ruleOverrideDead}

// overrideBudget is how long check looks for dead overrides in one environment.
const overrideBudget = 5 * time.Second

// deadIn is a dead override with the environments in which it is.
type deadIn struct {
	origin.Dead
	environments []string
}

// overrides finds what does nothing in any of the environments that read it: a base may well say what one
// of them overrides.
func overrides(r *run) {
	var dead []*deadIn
	live := map[finding.Place]bool{}
	envs := slices.Clone(r.Project.Environments)
	for _, env := range r.Environments {
		if !slices.ContainsFunc(envs, func(e project.Environment) bool { return e.Name == env.Name }) {
			envs = append(envs, env) // found beside them
		}
	}
	for _, env := range envs {
		asked := slices.ContainsFunc(r.envs, func(e environment) bool { return e.Name == env.Name })
		report, err := origin.Analyze(r.ctx, r.Renderer, env, origin.Options{Budget: overrideBudget})
		if err != nil {
			continue // it does not render, which is a finding of its own where it was asked for
		}
		if asked {
			r.reports[env.Name] = report
			r.notTried(env, report)
		}
		none, err := report.Dead(r.ctx)
		if err != nil {
			return
		}
		for _, o := range report.Effects {
			if !slices.ContainsFunc(none, func(d origin.Dead) bool { return d.Place == o.Place }) {
				live[o.Place] = true
			}
		}
		for _, d := range none {
			if !asked {
				continue
			}
			i := slices.IndexFunc(dead, func(other *deadIn) bool { return other.Place == d.Place })
			if i < 0 {
				i = len(dead)
				dead = append(dead, &deadIn{Dead: d})
			}
			dead[i].environments = append(dead[i].environments, env.Name)
		}
	}
	for _, d := range dead {
		// What a base says is for the environments that do not say it.
		if base := d.By != nil && path.Dir(d.By.File) != path.Dir(d.File); !base && !live[d.Place] {
			r.dead(*d)
		}
	}
}

func (r *run) notTried(env project.Environment, report *origin.Report) {
	add := func(place finding.Place, what, why string) {
		r.unchecked(finding.Unchecked{Environments: []string{env.Name}, Place: place, What: what, Why: why})
	}
	for _, o := range report.NotTried {
		add(o.Place, "whether "+o.Name+" does anything", fmt.Sprintf("trying all overrides took more than %s",
			overrideBudget))
	}
	for _, name := range report.Several {
		add(finding.Place{File: name}, "its overrides", "the file has several documents")
	}
}

// otherName offers what a patch may be meant for, where nothing is called as it says.
func (r *run) otherName(d deadIn) string {
	_, target, _ := strings.Cut(d.Name, " on ")
	kind, name, _ := strings.Cut(target, "/")
	var names []string
	for _, e := range r.envs {
		for _, o := range e.set.Objects() {
			if o.Ref().Kind == kind && slices.Contains(d.environments, e.Name) {
				names = append(names, r.locator.written(e.Name, o.Ref()))
			}
		}
	}
	if name == "" || slices.Contains(names, name) {
		return ""
	}
	return project.Suggest(name, names)
}

// dead makes a finding of an override that does nothing.
func (r *run) dead(d deadIn) {
	rule, fix := ruleOverrideDead, "delete it"
	message := d.Name + " changes nothing: it matches nothing"
	var edits []finding.Edit
	switch {
	case d.By != nil:
		message = fmt.Sprintf("%s changes nothing: %s at %s is stronger", d.Name, d.By.Name, d.By.Place)
	case strings.EqualFold(d.Kind, "images"):
		rule = ruleImageUnmatched
		message = fmt.Sprintf("%s matches none of %s: %s", d.Name, count(len(d.Known), "image"),
			strings.Join(d.Known, ", "))
		fix = "write the name of one of them as the base has it, with its registry"
		if d.Meant != "" {
			fix = "name: " + d.Meant
			edits = r.rename(d)
		}
	case d.Unread:
		rule = ruleValueUnread
		message = d.Name + " is read by no template of the chart"
		fix = "correct the key, or delete it"
		if d.Meant != "" {
			fix = "write " + d.Meant
		}
	case strings.HasPrefix(strings.ToLower(d.Kind), "patch"):
		message = d.Name + " changes nothing: its target is not there, or has it already"
		if name := r.otherName(d); name != "" {
			message = d.Name + " changes nothing: nothing is called so"
			fix = "write " + name + ", if that is meant, or delete it"
		}
	case d.Kind == "replacements" || d.Kind == "transformers":
		message = d.Name + " changes nothing: what it writes is there already, or there is nothing to write it to"
	}
	f := rule.In(d.Place, "%s", message)
	f.Environments, f.Fix, f.Edits = d.environments, fix, edits
	r.find(f)
}

// rename is the edit that gives an entry the name of the image that it is meant for.
func (r *run) rename(d deadIn) []finding.Edit {
	text, err := r.view.File(d.File)
	line, column, name := d.EntryName()
	if err != nil || line == 0 {
		return nil
	}
	start := 0
	for range line - 1 {
		i := strings.IndexByte(string(text[start:]), '\n')
		if i < 0 {
			return nil
		}
		start += i + 1
	}
	start += column - 1
	if quote := start < len(text) && (text[start] == '"' || text[start] == '\''); quote {
		start++
	}
	if !strings.HasPrefix(string(text[min(start, len(text)):]), name) {
		return nil
	}
	return []finding.Edit{{File: d.File, Start: start, End: start + len(name), New: d.Meant}}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// overridden is where the override is that gave a field its value, or the value that it is computed from.
func (r *run) overridden(env string, ref object.Ref, field string) (finding.Place, bool) {
	report := r.reports[env]
	if report == nil || field == "" {
		return finding.Place{}, false
	}
	for _, e := range slices.Backward(report.Effects) { // the strongest is the last
		for _, c := range e.Changes {
			if c.Ref == ref && slices.ContainsFunc(c.Fields, func(f object.Field) bool {
				return covers(f.Path, field) && f.Before != nil
			}) {
				return r.inPatch(e.Override, field), true
			}
		}
	}
	return finding.Place{}, false
}

// inPatch is the field's own place in the file of a patch, or the override's.
func (r *run) inPatch(o origin.Override, field string) finding.Place {
	_, quoted, _ := strings.Cut(o.Name, " ")
	name, err := strconv.Unquote(quoted)
	if err != nil || !strings.HasPrefix(strings.ToLower(o.Kind), "patches") {
		return o.Place
	}
	steps, err := object.Steps(field)
	if err != nil {
		return o.Place
	}
	file := path.Join(path.Dir(o.File), name)
	text, err := r.view.File(file)
	if err != nil {
		return o.Place
	}
	for _, doc := range documents(text) {
		if n, depth := object.Find(doc.node, steps); depth == len(steps) {
			return finding.Place{File: file, Line: n.Line, Column: n.Column}
		}
	}
	return o.Place
}
