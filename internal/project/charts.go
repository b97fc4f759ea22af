package project

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Where people keep charts, or directories of charts, the likeliest first.
var chartRoots = []string{"chart", "charts", "helm", "deploy/chart", "deploy/charts", "deploy/helm"}

// Names of values files that belong to every environment.
var common = strings.Fields("common base default defaults shared global all values")

// Those of them that a file in a chart is not called for another reason.
var sharedNames = strings.Fields("common shared global")

// Words of the names of values files, and of directories of them, that are no part of an environment's
// name.
var valuesWords = strings.Fields("values value helm")

var valuesFolders = append(strings.Fields("values value-files values-files helm-values"), collectors...)

// Words of the names of files beside values files that are none for a release.
var noValues = strings.Fields("secret secrets example sample schema template ci")

// chart is a directory with a Chart.yaml, and the chart's name.
type chart struct{ path, name string }

// allCharts are the charts that are applications': no libraries, no dependencies of others.
func (l layout) allCharts() []chart {
	var charts []chart
	included := map[string]bool{}
	for _, dir := range l.dirs {
		text := l.text(path.Join(dir, "Chart.yaml"))
		if text == nil {
			continue
		}
		var doc struct {
			Name, Type   string
			Dependencies []struct{ Repository string }
		}
		_ = yaml.Unmarshal(text, &doc) // broken says what is wrong in it
		for _, d := range doc.Dependencies {
			if p, local := strings.CutPrefix(d.Repository, "file://"); local {
				included[path.Join(dir, p)] = true
			}
		}
		parent := path.Dir(dir)
		packed := path.Base(parent) == "charts" && l.file(path.Join(path.Dir(parent), "Chart.yaml"))
		if packed || doc.Type == "library" {
			continue
		}
		charts = append(charts, chart{path: dir, name: doc.Name})
	}
	return slices.DeleteFunc(charts, func(c chart) bool { return included[c.path] })
}

// inChart says whether a directory is a part of a chart.
func (l layout) inChart(dir string) bool {
	for d := dir; d != "."; d = path.Dir(d) {
		if l.file(path.Join(d, "Chart.yaml")) {
			return true
		}
	}
	return path.Base(dir) == "templates" && l.file("Chart.yaml")
}

// charts are those of the likeliest place that has any; of a repository without such a place, all.
func (l layout) charts() []chart {
	all := l.allCharts()
	for _, r := range append([]string{"."}, chartRoots...) {
		found := slices.DeleteFunc(slices.Clone(all), func(c chart) bool {
			return c.path != r && (r == "." || path.Dir(c.path) != r)
		})
		if i := slices.IndexFunc(found, func(c chart) bool { return c.path == r }); i >= 0 {
			return found[i : i+1]
		}
		if len(found) > 0 {
			return found
		}
	}
	all = slices.DeleteFunc(all, func(c chart) bool { return c.name == "" }) // a Chart.yaml of something else
	own := slices.DeleteFunc(slices.Clone(all), func(c chart) bool { return isBeside(c.path) })
	if len(own) > 0 {
		return own
	}
	return all
}

// releases finds charts with values files: one environment for each name of such a file. Names make
// environments where one of them at least is an environment's, or each of them states a host or a namespace
// of its own: a chart's variants have values files, too.
func (l layout) releases() []Environment {
	charts := l.charts()
	values, names := map[string]map[string][]string{}, map[string]bool{}
	known := false
	for _, c := range charts {
		values[c.path] = l.values(c, charts)
		for name := range values[c.path] {
			if prefix, ok := strings.CutSuffix(name, sharing); ok {
				if isShared(values[c.path], prefix) {
					continue
				}
				name = prefix
			}
			known = known || isEnvironmentName(name)
			names[name] = name != "" && (isEnvironmentName(name) || !isFeature(name))
		}
	}
	if !known && !l.statePlaces(values, names) {
		return nil
	}
	var envs []Environment
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if names[name] {
			envs = append(envs, Environment{Name: name, Charts: released(charts, values, name)})
		}
	}
	return envs
}

var placeKey = regexp.MustCompile(`(?i)^(host|hostname|domain|namespace|tenant|customer|region)s?$`)

// statePlaces says whether values files say by hosts, namespaces and the like that each is for another place.
func (l layout) statePlaces(values map[string]map[string][]string, names map[string]bool) bool {
	seen := map[string]string{}
	count := 0
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !names[name] {
			continue
		}
		var places []string
		for _, files := range values {
			for _, file := range files[name] {
				var doc map[string]any
				_ = yaml.Unmarshal(l.text(file), &doc) // broken says what is wrong in it
				for key, v := range flattened("", doc, map[string]string{}) {
					if placeKey.MatchString(key[strings.LastIndex(key, ".")+1:]) {
						places = append(places, v)
					}
				}
			}
		}
		for _, p := range places {
			if seen[p] != "" && seen[p] != name {
				return false
			}
			seen[p] = name
		}
		if len(places) == 0 {
			return false
		}
		count++
	}
	return count > 1
}

// chart finds charts without values files: what they say by themselves is somebody's own.
func (l layout) chart() []Environment {
	charts := l.charts()
	if len(charts) == 0 {
		return nil
	}
	return []Environment{{Name: "default", Class: Local, Charts: released(charts, nil, "")}}
}

// sharedBy is the name under which an environment's values files are that it shares with others; empty where
// there are none.
func sharedBy(values map[string][]string, env string) string {
	for name := range values {
		prefix, ok := strings.CutSuffix(name, sharing)
		if ok && (env == prefix || strings.HasPrefix(env, prefix+"-")) {
			return name
		}
	}
	return "none"
}

// isShared says whether there are environments whose names begin so.
func isShared(values map[string][]string, prefix string) bool {
	return slices.ContainsFunc(slices.Collect(maps.Keys(values)), func(name string) bool {
		return strings.HasPrefix(name, prefix+"-") && !strings.HasSuffix(name, sharing)
	})
}

// released gives each of several charts its own name; a single one gets the project's.
func released(charts []chart, values map[string]map[string][]string, env string) []Chart {
	var out []Chart
	for _, from := range charts {
		mine := values[from.path]
		c := Chart{Path: from.path}
		if env != "" {
			c.Values = slices.Concat(mine[""], mine[sharedBy(mine, env)], mine[env])
		}
		if len(charts) > 1 {
			c.Release = nameOf(from.path)
			if slices.ContainsFunc(charts, func(o chart) bool {
				return o.path != from.path && nameOf(o.path) == c.Release
			}) { // SERVICE/chart
				c.Release = nameOf(strings.ReplaceAll(path.Dir(from.path), "/", "-"))
			}
		}
		out = append(out, c)
	}
	return out
}

// values finds the values files of a chart in it, beside it, in directories of values files there, and at
// the root, by environment; those that belong to every environment have an empty name.
func (l layout) values(c chart, charts []chart) map[string][]string {
	found := map[string][]string{}
	where := map[string]string{} // the directory that the files of an environment come from: the nearest counts
	take := func(base, dir string) {
		for _, name := range l.files[dir] {
			within := strings.TrimPrefix(path.Join(dir, name), base+"/")
			env, ok := l.valuesFor(c, charts, base, within)
			if ok && (where[env] == "" || where[env] == base) {
				where[env] = base
				found[env] = append(found[env], path.Join(dir, name))
			}
		}
	}
	bases := []string{c.path, path.Dir(c.path)}
	above := path.Dir(path.Dir(c.path))
	if slices.Contains(chartRoots, above) || strings.HasPrefix(path.Base(above), "helm") {
		bases = append(bases, above)
	}
	for i, base := range append(bases, ".") {
		if slices.Contains(bases[:min(i, len(bases))], base) {
			continue
		}
		take(base, base)
		for _, dir := range l.dirs {
			if isBelow(dir, base) && dir != "." && l.holdsValues(base, dir) {
				take(base, dir)
			}
		}
	}
	return found
}

// holdsValues says whether a directory below base is one of values files: values, environments,
// values/prod, prod.
func (l layout) holdsValues(base, dir string) bool {
	parts := strings.Split(strings.TrimPrefix(dir, base+"/"), "/")
	if len(parts) > 3 || l.file(path.Join(dir, "Chart.yaml")) || l.kustomized(dir) {
		return false
	}
	return slices.Contains(valuesFolders, parts[0]) || isEnvironmentName(parts[0]) && len(parts) < 3
}

var yamlFile = regexp.MustCompile(`^(.+)\.ya?ml$`)

// valuesFor is the environment that a values file is for, by its path below the directory where they are
// looked for; false where it is none, or another chart's. The name of a chart, "values" and the like are
// taken out of the path: what is left is the environment's name.
func (l layout) valuesFor(c chart, charts []chart, base, within string) (string, bool) {
	m := yamlFile.FindStringSubmatch(within)
	if m == nil || path.Base(within) == "Chart.yaml" {
		return "", false
	}
	if within == "values.yaml" || within == "values.yml" {
		return "", false // the chart's own, or another one's
	}
	parts := strings.Split(m[1], "/")
	var left []string
	named, inFolder, from := false, false, 0
	for i, part := range parts {
		if i < len(parts)-1 && slices.Contains(valuesFolders, part) {
			inFolder = true
			continue
		}
		if slices.ContainsFunc(charts, func(o chart) bool {
			return o.path != c.path && isNameOf(o, part) && !isNameOf(c, part)
		}) {
			return "", false
		}
		before := len(left)
		for _, w := range strings.FieldsFunc(withoutName(c, part), isSeparator) {
			if slices.Contains(valuesWords, w) {
				named = true
			} else {
				left = append(left, w)
			}
		}
		if len(left) > before {
			from++
		}
	}
	left = withoutSynonyms(left)
	if n := len(left) - 1; n > 0 && from > 1 && slices.Contains(common, left[n]) && isPlaced(left[:n]) {
		return strings.Join(left[:n], "-") + sharing, true
	}
	env := strings.Join(left, "-")
	switch {
	case slices.ContainsFunc(left, func(w string) bool { return slices.Contains(noValues, w) }):
		return "", false
	case !named && (from > 1 && !isPlaced(left) || IsManifest(l.text(path.Join(base, within)))):
		return "", false
	case env == "" || slices.Contains(common, env):
		beside := base != "." && len(parts) == 1 && slices.Contains(sharedNames, env)
		return "", named || inFolder || beside
	case !label.matches(env):
		return "", false
	case named || inFolder:
		return env, true
	}
	// Of all files there, those that are called like an environment and nothing else.
	return env, isEnvironmentName(env) && !slices.ContainsFunc(left, func(w string) bool {
		return !isEnvironmentName(w) && !isRegion(w)
	})
}

// withoutSynonyms leaves out words that say an environment again: prod of production/values-prod.yaml.
func withoutSynonyms(words []string) []string {
	var kept []string
	for _, w := range words {
		class, rank, known := classOf(w)
		if !known || !slices.ContainsFunc(kept, func(k string) bool {
			c, r, ok := classOf(k)
			return ok && c == class && r == rank
		}) {
			kept = append(kept, w)
		}
	}
	return kept
}

// sharing ends the name of what the values files of several environments share, such as prod-eu and prod-us.
const sharing = "-*"

// isPlaced says whether words are an environment's name and its region.
func isPlaced(words []string) bool {
	return isEnvironmentName(words[0]) && !slices.ContainsFunc(words, func(w string) bool {
		return !isEnvironmentName(w) && !isRegion(w)
	})
}

func isSeparator(r rune) bool { return r == '.' || r == '_' || r == '-' }

func isNameOf(c chart, part string) bool { return withoutName(c, part) != part }

// withoutName takes a chart's name out of a part of a path: api-values-prod, values.api.prod, api.
func withoutName(c chart, part string) string {
	for _, name := range []string{c.name, path.Base(c.path)} {
		if name == "" || name == "." || slices.Contains(valuesWords, name) {
			continue
		}
		at := regexp.MustCompile(`(^|[._-])` + regexp.QuoteMeta(name) + `([._-]|$)`).FindStringIndex(part)
		if at != nil && !isEnvironmentName(name) {
			return part[:at[0]] + "." + part[at[1]:]
		}
	}
	return part
}
