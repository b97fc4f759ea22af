package skaffold

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// resolve applies the profiles that fire.
func (c *Config) resolve(a Activation, asked []ask) (Resolved, error) {
	r, byContext, err := c.activated(a, asked)
	if err != nil {
		return r, err
	}
	r.Config = c.doc
	for _, f := range r.Fired {
		if err := r.apply(f.Profile); err != nil {
			return r, err
		}
	}
	r.Config = maps.Clone(r.Config)
	delete(r.Config, "profiles")
	to := text(r.Config, "deploy", "kubeContext")
	if a.KubeContextFlag == "" && to != "" && to != a.KubeContext && len(byContext) > 0 {
		_, line := r.Origin("/deploy/kubeContext")
		return r, &FileError{c.File, line, fmt.Errorf(
			"profiles %q were activated by kube-context %q, but the effective kube-context is %q", byContext,
			a.KubeContext, to)}
	}
	return r, nil
}

// profile is a profile's index in the document, or -1.
func (c *Config) profile(name string) int {
	return slices.IndexFunc(list(c.doc, "profiles"), func(p any) bool { return text(p, "name") == name })
}

// apply lays a profile over the configuration, then applies its patches.
func (r *Resolved) apply(name string) error {
	i := r.source.profile(name)
	from := fmt.Sprintf("/profiles/%d", i)
	for _, path := range r.source.zeros[i] {
		k, _ := laid(path)
		what, line := strings.ReplaceAll(path[1:], "/", "."), r.source.lines[from+path]
		switch {
		case k.pointer && k.structure():
			r.warn(line, "profile %q: %s is null and changes nothing: write {} to set it, a patch to remove it", name,
				what)
		case field(r.Config, strings.Split(path[1:], "/")...) != nil:
			r.warn(line, "profile %q: %s is empty and changes nothing: only a patch can empty a field", name, what)
		}
	}
	profile := list(r.source.doc, "profiles")[i].(map[string]any)
	pipeline := map[string]any{}
	for field := range schema()["Pipeline"] {
		if v, ok := profile[field]; ok {
			pipeline[field] = v
		}
	}
	r.Config = r.overlay("Config", r.Config, pipeline, name, from, "")
	return r.patch(name, list(profile, "patches"), from+"/patches")
}

// overlay is the structure below, with what the profile sets in its place: field by field in a
// structure, whole in everything else. Of a group that excludes one another the profile's is left.
func (r *Resolved) overlay(of string, below, over map[string]any, profile, from, path string) map[string]any {
	out, fields := maps.Clone(below), schema()[of]
	if out == nil {
		out = map[string]any{}
	}
	for _, name := range slices.Sorted(maps.Keys(over)) {
		k, at := fields[name], path+"/"+name
		if k.nested() {
			sub, _ := out[name].(map[string]any)
			out[name] = r.overlay(k.of, sub, over[name].(map[string]any), profile, from, at)
			continue
		}
		for other := range out {
			if k.group != "" && fields[other].group == k.group {
				delete(out, other)
			}
		}
		out[name] = over[name]
		r.Changes = append(r.Changes, Change{at, profile, r.source.lines[from+at], from + at})
	}
	return out
}

func (r *Resolved) warn(line int, format string, args ...any) {
	r.Warnings = append(r.Warnings, Warning{r.File, line, fmt.Sprintf(format, args...)})
}

// Origin says which profile set the value at a JSON pointer (none: the configuration itself), and in
// which line; 0 where nothing did.
func (r *Resolved) Origin(path string) (profile string, line int) {
	at := path
	for _, c := range slices.Backward(r.Changes) {
		if rest, ok := strings.CutPrefix(path, c.Path); ok && (rest == "" || rest[0] == '/') {
			if c.from == "" {
				return c.Profile, c.Line
			}
			profile, at = c.Profile, c.from+rest
			break
		}
	}
	for ; at != ""; at = at[:strings.LastIndex(at, "/")] {
		if line, ok := r.source.lines[at]; ok {
			return profile, line
		}
	}
	return profile, 0
}

// laid returns the field at a path that a profile can set; not ok: the field is part of one that is replaced
// as a whole.
func laid(path string) (k kind, ok bool) {
	of := "Pipeline"
	for name := range strings.SplitSeq(path[1:], "/") {
		if of == "" {
			return k, false
		}
		if k, ok = schema()[of][name]; !ok {
			return k, false
		}
		if of = ""; k.nested() {
			of = k.of
		}
	}
	return k, true
}
