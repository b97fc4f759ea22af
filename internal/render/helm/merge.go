package helm

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
)

// merger puts a chart's values below those that are given, as Helm's MergeValues (which keeps null)
// and CoalesceValues (in which it removes a value) do. Helm's own bring 8 ms of compiling schemas to
// each start of the program, and write their warnings to the log.
type merger struct{ keepNull bool }

// values returns a copy of the given values merged with those of a chart and the charts in it.
func (m merger) values(c *chart.Chart, given map[string]any) (map[string]any, error) {
	into := copyOf(given)
	return into, m.chart(c, into)
}

func (m merger) chart(c *chart.Chart, into map[string]any) error {
	m.own(c, into)
	for _, sub := range c.Dependencies() {
		if _, ok := into[sub.Name()]; !ok {
			into[sub.Name()] = map[string]any{}
		}
		below, ok := into[sub.Name()].(map[string]any)
		if !ok {
			return fmt.Errorf("values: %s is a chart: its values must be a mapping", sub.Name())
		}
		globals(below, into)
		if err := m.chart(sub, below); err != nil {
			return err
		}
	}
	return nil
}

// own merges a chart's own values below.
func (m merger) own(c *chart.Chart, into map[string]any) {
	for key, def := range copyOf(c.Values) {
		given, ok := into[key]
		below, isMap := given.(map[string]any)
		table, wasMap := def.(map[string]any)
		switch {
		case !ok && !m.keepNull && def == nil:
		case !ok:
			if wasMap && !m.keepNull {
				dropNull(table)
			}
			into[key] = def
		case given == nil && !m.keepNull:
			delete(into, key)
		case isMap && wasMap:
			// What is for a chart within keeps its null until that chart's own turn.
			inner := m
			if slices.ContainsFunc(c.Dependencies(), func(s *chart.Chart) bool { return s.Name() == key }) {
				inner.keepNull = true
			}
			if !inner.keepNull {
				dropNull(table)
			}
			inner.tables(below, table)
		}
	}
}

// tables merges one table below another and returns it.
func (m merger) tables(into, from map[string]any) map[string]any {
	if from == nil {
		return into
	}
	if into == nil {
		return from
	}
	for key, v := range from {
		given, ok := into[key]
		below, isMap := given.(map[string]any)
		table, wasMap := v.(map[string]any)
		switch {
		case !ok:
			into[key] = v
		case given == nil && v != nil && !m.keepNull:
			delete(into, key)
		case isMap && wasMap:
			m.tables(below, table)
		}
	}
	return into
}

// globals passes global values to a subchart, where they win.
func globals(into, from map[string]any) {
	below, ok := tableAt(into)
	above, also := tableAt(from)
	if !ok || !also {
		return
	}
	for key, v := range above {
		own, there := below[key]
		table, isMap := v.(map[string]any)
		ownTable, ownMap := own.(map[string]any)
		switch {
		case !isMap && ownMap:
		case !isMap:
			below[key] = v
		case !there:
			below[key] = maps.Clone(table)
		case ownMap:
			below[key] = merger{keepNull: true}.tables(maps.Clone(table), ownTable)
		}
	}
	into[common.GlobalKey] = below
}

// tableAt returns the table of globals, which may be empty; not ok: it is not a table.
func tableAt(values map[string]any) (map[string]any, bool) {
	g, there := values[common.GlobalKey]
	if !there {
		return map[string]any{}, true
	}
	table, ok := g.(map[string]any)
	return table, ok
}

func dropNull(m map[string]any) {
	for key, v := range m {
		if v == nil {
			delete(m, key)
		} else if table, ok := v.(map[string]any); ok {
			dropNull(table)
		}
	}
}

// copyOf makes a deep copy of values.
func copyOf(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = copyValue(v)
	}
	return out
}

func copyValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if v == nil {
			return v
		}
		return copyOf(v)
	case common.Values:
		return common.Values(copyOf(v))
	case []any:
		list := make([]any, len(v))
		for i, x := range v {
			list[i] = copyValue(x)
		}
		return list
	}
	return v
}

// settle keeps the dependencies that the values enable, under their aliases, and imports their values: Helm's
// ProcessDependencies.
func settle(c *chart.Chart, values map[string]any) error {
	if err := enable(c, values, ""); err != nil {
		return err
	}
	return importValues(c)
}

func enable(c *chart.Chart, values map[string]any, at string) error {
	wanted := c.Metadata.Dependencies
	if wanted == nil {
		return nil
	}
	// What Chart.yaml does not name stays; what it names comes as often as it does so.
	var there []*chart.Chart
	for _, sub := range c.Dependencies() {
		if !slices.ContainsFunc(wanted, func(d *chart.Dependency) bool { return fits(d, sub) }) {
			there = append(there, sub)
		}
	}
	for _, d := range wanted {
		if i := slices.IndexFunc(c.Dependencies(), func(s *chart.Chart) bool { return fits(d, s) }); i >= 0 {
			sub := copyChart(c.Dependencies()[i])
			if d.Alias != "" {
				sub.Metadata.Name = d.Alias
			}
			there = append(there, sub)
		}
		if d.Alias != "" {
			d.Name = d.Alias
		}
	}
	c.SetDependencies(there...)
	merged, err := merger{}.values(c, values)
	if err != nil {
		return err
	}
	off := map[string]bool{}
	for _, d := range wanted {
		if d.Enabled = enabled(d, merged, at); !d.Enabled {
			off[d.Name] = true
		}
	}
	c.SetDependencies(slices.DeleteFunc(there, func(s *chart.Chart) bool { return off[s.Name()] })...)
	c.Metadata.Dependencies = slices.DeleteFunc(wanted, func(d *chart.Dependency) bool { return off[d.Name] })
	for _, sub := range c.Dependencies() {
		if err := enable(sub, merged, at+sub.Name()+"."); err != nil {
			return err
		}
	}
	return nil
}

func fits(d *chart.Dependency, sub *chart.Chart) bool {
	return sub.Name() == d.Name && compatible(d.Version, sub.Metadata.Version)
}

// compatible reports whether a version is in a range; it is false for an invalid version or range.
func compatible(wanted, version string) bool {
	within, err := semver.NewConstraint(wanted)
	v, bad := semver.NewVersion(version)
	return err == nil && bad == nil && within.Check(v)
}

// enabled evaluates the tags, which the first condition with a value overrides.
func enabled(d *chart.Dependency, values common.Values, at string) bool {
	on := true
	if tags, err := values.Table("tags"); err == nil {
		var yes, no bool
		for _, tag := range d.Tags {
			if b, ok := tags[tag].(bool); ok {
				yes, no = yes || b, no || !b
			}
		}
		on = yes || !no
	}
	for condition := range strings.SplitSeq(strings.TrimSpace(d.Condition), ",") {
		if condition == "" {
			continue
		}
		if v, err := values.PathValue(at + condition); err == nil {
			if b, ok := v.(bool); ok {
				return b
			}
		}
	}
	return on
}

// importValues merges the values that import-values names below a chart's own, innermost charts first.
func importValues(c *chart.Chart) error {
	for _, sub := range c.Dependencies() {
		if err := importValues(sub); err != nil {
			return err
		}
	}
	if len(c.Metadata.Dependencies) == 0 {
		return nil
	}
	m := merger{keepNull: true}
	merged, err := m.values(c, nil)
	if err != nil {
		return err
	}
	imported := map[string]any{}
	for _, d := range c.Metadata.Dependencies {
		for _, wanted := range d.ImportValues {
			child, parent := "", "."
			switch w := wanted.(type) {
			case string:
				child = "exports." + w
			case map[string]any:
				child, parent = fmt.Sprint(w["child"]), fmt.Sprint(w["parent"])
			default:
				continue
			}
			table, err := common.Values(merged).Table(d.Name + "." + child)
			if err != nil {
				continue // Helm goes on without it
			}
			imported = m.tables(imported, below(parent, table.AsMap()))
		}
	}
	c.Values = m.tables(copyOf(merged), imported)
	return nil
}

// below puts a table at a path.
func below(at string, table map[string]any) map[string]any {
	if at == "." {
		return table
	}
	for _, key := range slices.Backward(strings.Split(at, ".")) {
		table = map[string]any{key: table}
	}
	return table
}
