package skaffold

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"slipway/internal/project"
)

// Resolve applies the profiles that fire to configurations of one file and to what they require,
// which comes before them, as Skaffold orders it. read is called with the path of a required file.
func Resolve(configs []Config, a Activation, read func(file string) ([]byte, error)) ([]Resolved, error) {
	w := walk{a: a, read: read, fired: map[string]string{}, files: map[string]string{},
		parsed: map[string][]Config{configs[0].File: configs}}
	var asked []ask
	for _, p := range a.Profiles {
		asked = append(asked, ask{p, "-p " + p})
	}
	if err := w.visit(configs, nil, asked); err != nil {
		return nil, err
	}
	for _, p := range a.Profiles {
		name := strings.TrimPrefix(p, "-")
		if !slices.Contains(w.profiles, name) {
			return nil, &UnknownProfileError{configs[0].File, name, w.profiles, project.Suggest(name, w.profiles)}
		}
	}
	return w.out, nil
}

type walk struct {
	a        Activation
	read     func(file string) ([]byte, error)
	fired    map[string]string // by configuration that was visited
	files    map[string]string // by configuration's name
	parsed   map[string][]Config
	profiles []string // of every configuration visited
	out      []Resolved
}

// visit resolves the configurations of one file that are selected; none named: all.
func (w *walk) visit(configs []Config, selected []string, asked []ask) error {
	for i := range configs {
		c := &configs[i]
		if other, twice := w.files[c.Name]; c.Name != "" && twice && other != c.File {
			return &FileError{c.File, c.lines["/metadata/name"], fmt.Errorf("%s has a configuration %q too",
				other, c.Name)}
		}
		w.files[c.Name] = c.File
		if len(selected) > 0 && !slices.Contains(selected, c.Name) {
			continue
		}
		if err := w.one(c, asked); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) one(c *Config, asked []ask) error {
	for _, p := range list(c.doc, "profiles") {
		if name := text(p, "name"); !slices.Contains(w.profiles, name) {
			w.profiles = append(w.profiles, name)
		}
	}
	r, err := c.resolve(w.a, asked)
	if err != nil {
		return err
	}
	fired := slices.Sorted(slices.Values(r.Profiles()))
	key, now := fmt.Sprint(c.File, "#", c.index), strings.Join(fired, ",")
	if before, again := w.fired[key]; again {
		if before != now {
			return &FileError{c.File, 0,
				fmt.Errorf("configuration %q is required with profiles [%s] and with [%s]: use one set of profiles",
					c.Name, before, now)}
		}
		return nil
	}
	w.fired[key] = now
	for i := range list(r.Config, "requires") {
		if err := w.require(&r, i, fired); err != nil {
			return err
		}
	}
	w.out = append(w.out, r)
	return nil
}

// require visits what one entry of requires names.
func (w *walk) require(r *Resolved, i int, fired []string) error {
	d, at := list(r.Config, "requires")[i], fmt.Sprintf("/requires/%d", i)
	fail := func(err error) error {
		_, line := r.Origin(at)
		return &FileError{r.File, line, err}
	}
	for _, remote := range []string{"git", "googleCloudStorage", "googleCloudBuildRepoV2"} {
		if field(d, remote) != nil {
			return fail(fmt.Errorf("requires %s: nothing is fetched while rendering", remote))
		}
	}
	file, err := required(r.File, text(d, "path"))
	if err != nil {
		return fail(err)
	}
	configs, ok := w.parsed[file]
	if !ok {
		raw, err := w.read(file)
		if err != nil {
			return fail(fmt.Errorf("requires %s: %w", file, err))
		}
		if configs, err = Parse(raw, file); err != nil {
			return err
		}
		w.parsed[file] = configs
	}
	for _, name := range texts(d, "configs") {
		if !slices.ContainsFunc(configs, func(c Config) bool { return c.Name == name }) {
			return fail(fmt.Errorf("requires %s: it has no configuration %q", file, name))
		}
	}
	for j, p := range list(d, "activeProfiles") {
		name := text(p, "name")
		if !slices.ContainsFunc(configs, func(c Config) bool { return c.profile(name) >= 0 }) {
			_, line := r.Origin(fmt.Sprintf("%s/activeProfiles/%d", at, j))
			r.warn(line, "%s has no profile %q: requiring it changes nothing", file, name)
		}
	}
	return w.visit(configs, texts(d, "configs"), w.pass(r, d, fired))
}

// pass lists the profiles that a required configuration is asked for.
func (w *walk) pass(r *Resolved, d any, fired []string) []ask {
	var out []ask
	for _, p := range list(d, "activeProfiles") {
		by := texts(p, "activatedBy")
		why := "required by " + r.File
		if len(by) > 0 {
			n := slices.IndexFunc(fired, func(f string) bool { return slices.Contains(by, f) })
			if n < 0 {
				continue
			}
			why += fmt.Sprintf(" with profile %q", fired[n])
		}
		out = append(out, ask{text(p, "name"), why})
	}
	for _, p := range w.a.Profiles {
		if !w.a.NoPropagate && !slices.ContainsFunc(out, func(k ask) bool { return k.name == p }) {
			out = append(out, ask{p, "-p " + p})
		}
	}
	return out
}

// required is the file that a requirement of a file names: itself where it names none.
func required(from, name string) (string, error) {
	switch {
	case name == "":
		return from, nil
	case strings.Contains(name, "://"):
		return "", fmt.Errorf("requires %s: nothing is fetched while rendering", name)
	case path.IsAbs(name):
		return "", errors.New("requires " + name + ": outside the project")
	}
	file := path.Join(path.Dir(from), name)
	if ext := path.Ext(file); ext != ".yaml" && ext != ".yml" {
		file = path.Join(file, "skaffold.yaml")
	}
	if file == ".." || strings.HasPrefix(file, "../") {
		return "", errors.New("requires " + name + ": outside the project")
	}
	return file, nil
}
