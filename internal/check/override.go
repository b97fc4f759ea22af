package check

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"slipway/internal/finding"
	"slipway/internal/object"
	"slipway/internal/origin"
)

var overrideDead = finding.Rule{
	ID: "override-dead", Group: "crossing", Severity: finding.Error,
	Title: "An override matches nothing",
	Why: "The entry is there to change something, and changes nothing: without it, or with another text in its place, every " +
		"object comes out the same. Kustomize and Helm are silent about it, so the environment runs what the base says, " +
		"often the laptop's image.",
	Fix: "Write the name as the base has it. An image is matched by everything before its tag, its registry included:\n\n" +
		"```yaml\nimages:\n  - name: k3d-registry.localhost:5000/myapp\n    newName: ghcr.io/acme/myapp\n```\n\nOr delete the entry.",
}

var overrideHidden = finding.Rule{
	ID: "override-hidden", Group: "crossing", Severity: finding.Warning,
	Title: "An override is hidden by another one",
	Why:   "A later or stronger entry says something else for the same field, so whoever changes this one changes nothing.",
	Fix:   "Keep one of the two. `slipway why ENV KIND/NAME FIELD` shows the whole chain.",
}

var valueUnread = finding.Rule{
	ID: "value-unread", Group: "crossing", Severity: finding.Warning,
	Title: "No template reads a value",
	Why:   "The key is in a values file, and no template of the chart has a word for it. Mostly it is misspelt, or sits at another level than the template expects.",
	Fix:   "Write the key as the chart's `values.yaml` has it, or delete it.",
}

var overrides = group{
	rules: []finding.Rule{overrideDead, overrideHidden, valueUnread},
	all:   (*run).deadOverrides,
}

// The time that is spent on one environment's overrides, at most.
const overrideBudget = 3 * time.Second

// origins analyzes the overrides of each environment, once.
func (r *run) origins() map[string]*origin.Report {
	if r.overrides != nil {
		return r.overrides
	}
	r.overrides = map[string]*origin.Report{}
	for _, env := range r.envs {
		o, err := origin.Analyze(r.ctx, r.Renderer, env.Environment, origin.Options{Budget: overrideBudget})
		if err != nil {
			r.unchecked(finding.Unchecked{Environments: []string{env.Name}, What: "the overrides of " + env.Name, Why: err.Error()})
			continue
		}
		r.overrides[env.Name] = o
		if n := len(o.NotTried); n > 0 {
			r.unchecked(finding.Unchecked{Environments: []string{env.Name}, Place: o.NotTried[0].Place, What: "overrides of " + env.Name + ", this one and those after it",
				Why: strconv.Itoa(n) + " are left over after " + overrideBudget.String()})
		}
	}
	return r.overrides
}

// deadOverrides finds the overrides that do nothing in any environment that reads them.
func (r *run) deadOverrides() {
	type use struct {
		dead  []string
		alive bool
		first origin.Dead
	}
	uses := map[finding.Place]*use{}
	var order []finding.Place
	for _, env := range r.envs {
		report := r.origins()[env.Name]
		if report == nil {
			continue
		}
		dead, err := report.Dead(r.ctx)
		if err != nil {
			return
		}
		for _, e := range report.Effects {
			u := uses[e.Place]
			if u == nil {
				u = &use{}
				uses[e.Place], order = u, append(order, e.Place)
			}
			i := slices.IndexFunc(dead, func(d origin.Dead) bool { return d.Place == e.Place && d.Name == e.Name })
			if i < 0 {
				u.alive = true
				continue
			}
			u.dead, u.first = append(u.dead, env.Name), dead[i]
		}
	}
	partial := len(r.Environments) < len(r.Project.Environments)
	for _, at := range order {
		u := uses[at]
		// What a base says and every overlay says otherwise is a default, not a fault.
		def := u.first.By != nil && u.first.By.File != at.File
		if u.alive || len(u.dead) == 0 || at.File == "" || def || partial && !r.own(u.dead[0], at.File) {
			continue
		}
		f := dead(u.first)
		if u.first.Meant != "" && f.Rule == overrideDead.ID {
			f.Edits = r.rename(at, u.first.Meant)
		}
		f.Environments = u.dead
		r.find(f)
	}
}

// own says whether a file is an environment's own: one that it shares may do something elsewhere.
func (r *run) own(name, file string) bool {
	env, _ := r.named(name)
	return env.Path != "" && strings.HasPrefix(file, env.Path+"/")
}

func dead(d origin.Dead) finding.Finding {
	switch {
	case d.Unread:
		f := valueUnread.In(d.Place, "%s: no template of the chart reads it", d.Name)
		if d.Meant != "" {
			f.Fix = "did you mean " + d.Meant + "?"
		}
		return f
	case d.By != nil:
		f := overrideHidden.In(d.Place, "%s does nothing: %s at %s hides it", d.Name, d.By.Name, d.By.Place)
		f.Fix = "keep one of the two"
		return f
	}
	rule := overrideDead
	if !strings.EqualFold(d.Kind, "images") {
		rule.Severity = finding.Warning // it may be there for what other layers add later
		return rule.In(d.Place, "%s matches nothing: without it everything comes out the same", d.Name)
	}
	f := rule.In(d.Place, "%s matches none of: %s", d.Name, strings.Join(d.Known, ", "))
	if d.Meant != "" {
		f.Fix = "name: " + d.Meant
	}
	return f
}

// rename is the edit that gives the entry at a place another name. There is none where the name is written
// in a way of its own.
func (r *run) rename(at finding.Place, name string) []finding.Edit {
	text, err := r.view.File(at.File)
	if err != nil || !plainName.MatchString(name) {
		return nil
	}
	for _, doc := range documents(text) {
		if doc.node.Line != at.Line || doc.node.Column != at.Column {
			continue
		}
		for i := 0; i+1 < len(doc.node.Content); i += 2 {
			v := doc.node.Content[i+1]
			if start, ok := offset(text, v.Line, v.Column); ok && doc.node.Content[i].Value == "name" && bytes.HasPrefix(text[start:], []byte(v.Value)) {
				return []finding.Edit{{File: at.File, Start: start, End: start + len(v.Value), New: name}}
			}
		}
	}
	return nil
}

// plainName are texts that YAML takes without quotes for what they are.
var plainName = regexp.MustCompile(`^[a-z][a-zA-Z0-9._/:-]*[a-zA-Z0-9]$`)

// offset is the byte at a line and a column, which counts characters.
func offset(text []byte, line, column int) (int, bool) {
	start := 0
	for range line - 1 {
		i := bytes.IndexByte(text[start:], '\n')
		if i < 0 {
			return 0, false
		}
		start += i + 1
	}
	for range column - 1 {
		_, n := utf8.DecodeRune(text[start:])
		start += n
	}
	return start, start < len(text)
}

// overridden is where the override is that gave a field its value, or the value that it is computed from.
func (r *run) overridden(env string, ref object.Ref, field string) (finding.Place, bool) {
	report := r.origins()[env]
	if report == nil || field == "" {
		return finding.Place{}, false
	}
	for _, e := range slices.Backward(report.Effects) { // the strongest is the last
		for _, c := range e.Changes {
			if c.Ref == ref && slices.ContainsFunc(c.Fields, func(f object.Field) bool { return covers(f.Path, field) && f.Before != nil }) {
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
