package origin

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render/tree"
)

var words = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_-]*`)

// missing is the first part of a value's name that no template of its chart has.
type missing struct {
	steps     []object.Step // of the value's name
	at        int           // the part's place among them
	above     string        // what the value above it is called
	templates string
	known     map[string]bool // all words of the chart
}

// missingIn finds the part of a value's name that no template of a chart has. It is false where all parts are
// known, or nothing can be said: a value for a subchart must be in no template of either chart, and is left
// alone where the subchart may know it by another name.
func missingIn(x experiment, name string, c project.Chart) (missing, bool) {
	steps, err := object.Steps(name)
	if err != nil || slices.ContainsFunc(steps, func(s object.Step) bool { return s.Element }) {
		return missing{}, false
	}
	t := x.chartText(c.Path)
	m := missing{steps: steps, above: "Values", templates: t.templates, known: t.words}
	if slices.Contains(words.FindAllString(t.about, -1), steps[0].Key) {
		sub := x.chartText(c.Path + "/charts/" + steps[0].Key)
		renames := strings.Contains(t.about, "alias:") || strings.Contains(t.about, "import-values:")
		if renames || sub.templates == "" || takesWhole(sub.templates, "Values") {
			return missing{}, false
		}
		// Charts below the subchart may read it too.
		if strings.Contains(sub.about, "Chart.yaml") || strings.Contains(sub.about, ".tgz") {
			return missing{}, false
		}
		m.templates += sub.templates
		m.known = wordsOf(m.templates + t.about + sub.about)
	}
	isGlobal := func(s object.Step) bool { return s.Key == "global" }
	if m.templates == "" || slices.ContainsFunc(steps, isGlobal) {
		return missing{}, false
	}
	for ; m.at < len(steps) && m.known[steps[m.at].Key]; m.at++ {
		m.above = steps[m.at].Key
	}
	return m, m.at < len(steps)
}

// isSuspect reports whether an override seems to be without an effect, whatever it says.
func isSuspect(x experiment, o Override) bool {
	switch {
	case strings.EqualFold(o.Kind, "images"):
		return len(reachOf(x, o, x.result.Parts).parts) == 0 || x.tangled
	case o.Kind != values:
		return false
	}
	return slices.ContainsFunc(x.charts, func(c project.Chart) bool {
		m, ok := missingIn(x, o.Name, c)
		ok = ok && (m.at > 0 || !takesWhole(m.templates, m.above))
		return ok && (slices.Contains(c.Values, o.File) || o.flag != nil)
	})
}

// explainUnread reports whether no template of a chart can read a value: some part of its name is in none of
// them, and none takes what is above it as a whole.
func explainUnread(r *Report, d *Dead, c project.Chart) bool {
	m, ok := missingIn(r.experiment, d.Name, c)
	if !ok || takesWhole(m.templates, m.above) && !explainEntry(r, d, m.steps, m.at, m.known) {
		return false
	}
	if d.Entry != "" {
		return true
	}
	for _, o := range r.experiment.overrides {
		if o.isDefault() {
			d.Known = append(d.Known, o.Name)
		}
	}
	d.Unread, d.Meant = true, project.Suggest(d.Name, d.Known)
	if d.Meant == d.Name { // the chart has a default for it, and does not read that either
		d.Meant = ""
	}
	return true
}

// explainEntry is about a value in an entry of a mapping that a template takes as a whole, such as one that
// it ranges over. The value is dead where the chart renders other entries, and nothing for this one: then
// the entry is named. Where it renders the entry, the value is dead if no template mentions its key.
func explainEntry(r *Report, d *Dead, steps []object.Step, n int, known map[string]bool) bool {
	if n == 0 {
		return false
	}
	whole := ""
	for _, s := range steps[:n] {
		whole = object.Join(whole, s.Key)
	}
	entry := object.Join(whole, steps[n].Key)
	for _, o := range r.experiment.overrides {
		if o.isDefault() && object.IsWithin(o.Name, entry) {
			return false // the chart knows the entry, and may render it under other conditions
		}
	}
	others, own := false, false
	for _, e := range r.Effects {
		if e.Kind != values || len(e.Changes) == 0 || !object.IsWithin(e.Name, whole) {
			continue
		}
		if object.IsWithin(e.Name, entry) {
			own = true
		} else {
			others = true
		}
	}
	if own {
		return slices.ContainsFunc(steps[n+1:], func(s object.Step) bool { return !known[s.Key] })
	}
	if others {
		d.Entry = entry
	}
	return others
}

// chartText is what a chart's files say, subcharts excepted.
type chartText struct {
	templates string
	about     string          // its Chart.yaml, and the paths of its subcharts
	words     map[string]bool // of both
}

// chartTexts are those of the charts of an environment, by their directories.
type chartTexts struct {
	mu    sync.Mutex
	known map[string]chartText
}

// chartText reads a chart once. All is empty where a file cannot be read.
func (x experiment) chartText(dir string) chartText {
	x.texts.mu.Lock()
	defer x.texts.mu.Unlock()
	if t, ok := x.texts.known[dir]; ok {
		return t
	}
	t := readChart(x, dir)
	x.texts.known[dir] = t
	return t
}

func readChart(x experiment, dir string) chartText {
	var templates, about strings.Builder
	for _, seen := range x.result.Reads.List() {
		below, ok := strings.CutPrefix(seen.Path, dir+"/")
		if !ok || seen.Kind != tree.File {
			continue
		}
		content, err := x.view.File(seen.Path)
		if err != nil {
			return chartText{}
		}
		switch {
		case strings.HasPrefix(below, "templates/"):
			templates.Write(content)
		case strings.HasPrefix(below, "charts/"):
			about.WriteString(" " + strings.ReplaceAll(below, "/", " ") + " ")
		case below == "Chart.yaml":
			about.Write(content)
		}
	}
	t := chartText{templates: templates.String(), about: about.String()}
	t.words = wordsOf(t.templates + t.about)
	return t
}

func wordsOf(text string) map[string]bool {
	all := map[string]bool{}
	for _, w := range words.FindAllString(text, -1) {
		all[w] = true
	}
	return all
}

// takesWhole reports whether a template uses a value as it is, and not only its parts.
func takesWhole(text, name string) bool {
	for rest := text; ; {
		_, after, found := strings.Cut(rest, "."+name)
		if !found {
			return false
		}
		switch {
		case after != "" && (after[0] == '_' || after[0] == '-' || isLetter(after[0])): // a longer name
		case len(after) < 2 || after[0] != '.' || !isLetter(after[1]) && after[1] != '_':
			return true
		}
		rest = after
	}
}

func isLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
