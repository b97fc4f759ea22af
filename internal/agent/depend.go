package agent

import (
	"fmt"
	"slices"
	"strings"
)

// named is the environment of that name: in the entry of the configuration, or the only one elsewhere.
func (a *Agent) named(name string, in *mirror) *environment {
	var found *environment
	for _, f := range a.followers() {
		for _, e := range f.environments {
			if e.name == name && (found == nil || f.mirror == in) {
				found = e
			}
		}
	}
	return found
}

// unready says why an environment is not healthy, at the commit where it is of the same branch as m; empty:
// it is.
func unready(e *environment, m *mirror, commit string) string {
	if e == nil {
		return "this agent does not keep"
	}
	is := e.Status()
	isSame := e.mirror.remote == m.remote && e.mirror.Branch == m.Branch
	switch {
	case isSame && is.judged != commit:
		return "has not looked at it yet"
	case is.Verdict != Synced:
		return "is " + string(is.Verdict)
	case is.Error != "":
		return "has an error"
	}
	return ""
}

// checkAfter fails where an environment waits for one that the configuration does not have, or for itself.
func (c Config) checkAfter() error {
	entries := map[string][]int{} // by the name of an environment
	for i, r := range c.Repositories {
		for name := range r.Environments {
			entries[name] = append(entries[name], i)
		}
	}
	type node struct {
		entry int
		name  string
	}
	var visit func(at node, path []node) error
	visit = func(at node, path []node) error {
		if i := slices.Index(path, at); i >= 0 {
			var names []string
			for _, n := range append(path[i:], at) {
				names = append(names, n.name)
			}
			return fmt.Errorf("after: %s: they wait for each other", strings.Join(names, ", "))
		}
		for _, name := range c.Repositories[at.entry].Environments[at.name].After {
			entry := at.entry
			if !slices.Contains(entries[name], entry) {
				switch len(entries[name]) {
				case 0:
					return fmt.Errorf("environments.%s.after: no environment is named %q", at.name, name)
				case 1:
					entry = entries[name][0]
				default:
					return fmt.Errorf("environments.%s.after: several repositories have an environment %q", at.name, name)
				}
			}
			if err := visit(node{entry, name}, append(slices.Clone(path), at)); err != nil {
				return err
			}
		}
		return nil
	}
	for i, r := range c.Repositories {
		for name := range r.Environments {
			if err := visit(node{i, name}, nil); err != nil {
				return fmt.Errorf("repositories[%d]: %w", i, err)
			}
		}
	}
	return nil
}
