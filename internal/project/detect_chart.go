package project

import (
	"bytes"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

var (
	valuesFile = regexp.MustCompile(`^values[-.](.+)\.ya?ml$`)
	yamlFile   = regexp.MustCompile(`^(.+)\.ya?ml$`)
	library    = regexp.MustCompile(`(?m)^type:\s*["']?library`)
)

// common are the names of values files for all environments.
var common = []string{"common", "base", "default", "defaults", "shared", "global", "values"}

// charts returns the charts in the first of chartRoots that has any.
func (l layout) charts() []string {
	if l.isChart(".") {
		return []string{"."}
	}
	for _, r := range chartRoots {
		if l.isChart(r) {
			return []string{r}
		}
		var found []string
		for _, name := range l.folders(r) {
			if p := path.Join(r, name); l.isChart(p) {
				found = append(found, p)
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

func (l layout) isChart(p string) bool {
	text, err := fs.ReadFile(l.fs, path.Join(p, "Chart.yaml"))
	return err == nil && !library.Match(text)
}

// releases finds charts with values files, and makes an environment of each name of such a file.
func (l layout) releases() []Environment {
	charts := l.charts()
	values, names := map[string]map[string]string{}, map[string]bool{}
	for _, c := range charts {
		values[c] = l.values(c)
		for name := range values[c] {
			names[name] = !slices.Contains(common, name)
		}
	}
	var envs []Environment
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if names[name] {
			envs = append(envs, Environment{Name: name, Charts: released(charts, values, name)})
		}
	}
	return envs
}

// chart finds charts without values files, and takes them as the only environment, a local one.
func (l layout) chart() []Environment {
	charts := l.charts()
	if len(charts) == 0 {
		return nil
	}
	return []Environment{{Name: "default", Class: Local, Charts: released(charts, nil, "")}}
}

// released returns the charts with the values files of an environment. Of several charts each has its own
// release name.
func released(charts []string, values map[string]map[string]string, env string) []Chart {
	var out []Chart
	for _, path := range charts {
		c := Chart{Path: path}
		if len(charts) > 1 {
			c.Release = nameOf(path)
		}
		for _, name := range append(slices.Clone(common), env) {
			if f := values[path][name]; f != "" {
				c.Values = append(c.Values, f)
			}
		}
		out = append(out, c)
	}
	return out
}

// values returns the values files in a chart, beside it and at the root, by environment.
func (l layout) values(chart string) map[string]string {
	found := map[string]string{}
	take := func(dir string, pattern *regexp.Regexp, known bool) {
		entries, _ := fs.ReadDir(l.fs, dir)
		for _, e := range entries {
			m := pattern.FindStringSubmatch(e.Name())
			if m == nil || e.IsDir() || !label.matches(m[1]) || found[m[1]] != "" || known && classNames[m[1]] == "" {
				continue
			}
			found[m[1]] = path.Join(dir, e.Name())
		}
	}
	for _, dir := range []string{chart, path.Dir(chart), "."} {
		take(dir, valuesFile, false)
		take(dir, yamlFile, true) // only files with the name of an environment
		take(path.Join(dir, "values"), yamlFile, false)
		take(path.Join(dir, "environments"), yamlFile, false)
	}
	return found
}

// skaffold finds a skaffold.yaml and the names of its profiles.
func (l layout) skaffold() []Environment {
	var file string
	var text []byte
	for _, file = range []string{"skaffold.yaml", "skaffold.yml"} {
		var err error
		if text, err = fs.ReadFile(l.fs, file); err == nil {
			break
		}
	}
	if text == nil {
		return nil
	}
	envs := []Environment{{Name: "default", Class: Local, Skaffold: &Skaffold{File: file}}}
	stream := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var config struct {
			Profiles []struct {
				Name string `yaml:"name"`
			} `yaml:"profiles"`
		}
		if err := stream.Decode(&config); err != nil {
			return unique(envs) // rendering reports the error
		}
		for _, p := range config.Profiles {
			if name := strings.ToLower(p.Name); label.matches(name) {
				envs = append(envs, Environment{Name: name, Skaffold: &Skaffold{File: file, Profiles: []string{p.Name}}})
			}
		}
	}
}
