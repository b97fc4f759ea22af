package skaffold

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// ask is a requested profile; "-name" deactivates one.
type ask struct{ name, why string }

// verdict is the result of an activation entry, or of a whole profile.
type verdict struct {
	fires, context bool // context: because of the kube context
	why            string
	line           int
	warnings       []Warning
}

// activated decides which profiles apply, in order, and which were chosen by the kube context.
func (c *Config) activated(a Activation, asked []ask) (r Resolved, byContext []string, err error) {
	r = Resolved{Name: c.Name, File: c.File, source: c, active: a}
	why := map[string]string{} // of those that do not fire
	var names []string
	line := map[string]int{}
	for i, p := range list(c.doc, "profiles") {
		name := text(p, "name")
		names = append(names, name)
		line[name] = c.lines[fmt.Sprintf("/profiles/%d", i)]
		if a.NoAuto {
			why[name] = "activation is switched off"
			continue
		}
		v, err := c.fires(a, i, p)
		if err != nil {
			return r, nil, err
		}
		r.Warnings = append(r.Warnings, v.warnings...)
		if !v.fires {
			why[name] = v.why
			continue
		}
		r.Fired = append(r.Fired, Choice{name, v.why, v.line})
		if v.context {
			byContext = append(byContext, name)
		}
	}
	for _, k := range asked {
		name, without := strings.CutPrefix(k.name, "-")
		is := func(c Choice) bool { return c.Profile == name }
		switch {
		case without:
			r.Fired = slices.DeleteFunc(r.Fired, is)
			why[name] = k.why
		case slices.Contains(names, name) && !slices.ContainsFunc(r.Fired, is):
			r.Fired = append(r.Fired, Choice{name, k.why, line[name]})
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(r.Fired, func(c Choice) bool { return c.Profile == name }) {
			r.NotFired = append(r.NotFired, Choice{name, why[name], line[name]})
		}
	}
	return r, byContext, nil
}

// fires judges a profile's activation: any entry, or all of them where it says so.
func (c *Config) fires(a Activation, i int, profile any) (verdict, error) {
	entries, all := list(profile, "activation"), field(profile, "requiresAllActivations") == true
	out := verdict{why: "no activation: select it with -p"}
	var reasons []string
	for j, e := range entries {
		v, err := c.entry(a, e, c.lines[fmt.Sprintf("/profiles/%d/activation/%d", i, j)])
		if err != nil {
			return v, err
		}
		out.warnings = append(out.warnings, v.warnings...)
		if v.fires != all { // one that fires is enough; where all must, one that does not is
			v.warnings = out.warnings
			return v, nil
		}
		if out.line == 0 {
			out.line = v.line
		}
		out.context = out.context || v.context
		reasons = append(reasons, v.why)
		out.why = strings.Join(reasons, ", and ")
	}
	out.fires = all && len(entries) > 0
	return out, nil
}

// entry judges one activation entry: every criterion that it names must hold.
func (c *Config) entry(a Activation, e any, line int) (verdict, error) {
	v := verdict{fires: true, line: line}
	current := a.KubeContext
	if a.KubeContextFlag != "" {
		current = a.KubeContextFlag
	}
	var yes, no []string
	judge := func(what, pattern, value string) {
		ok, said, foot := match(pattern, value)
		said = fmt.Sprintf("%s %q %s %q", what, pattern, said, value)
		if foot != "" {
			v.warnings = append(v.warnings, Warning{c.File, line, what + " " + foot})
		}
		if ok {
			yes = append(yes, said)
		} else {
			no = append(no, said)
		}
	}
	if env := text(e, "env"); env != "" {
		name, pattern, ok := strings.Cut(env, "=")
		value, _ := a.env(name)
		switch {
		case !ok:
			return v, &FileError{c.File, line, fmt.Errorf("invalid env variable format: %s, should be KEY=VALUE", env)}
		case pattern != "":
			judge("env "+name, pattern, value)
		case value == "":
			yes = append(yes, fmt.Sprintf("env %s is empty", name))
		default:
			no = append(no, fmt.Sprintf("env %s is not empty", name))
		}
	}
	if pattern := text(e, "kubeContext"); pattern != "" {
		v.context = true
		judge("kubeContext", pattern, current)
	}
	if pattern := text(e, "command"); pattern != "" {
		judge("command", pattern, a.Command)
	}
	if v.fires = len(no) == 0; !v.fires {
		v.why = strings.Join(no, ", ")
	} else if v.why = strings.Join(yes, ", "); v.why == "" {
		v.why = "an activation without a criterion always fires"
	}
	return v, nil
}

// match compares as Skaffold does: equal, or the pattern is found anywhere in the value; "!" negates.
// foot warns where it was found in the midst of something longer, which its writer hardly meant.
func match(pattern, value string) (ok bool, said, foot string) {
	plain, negated := strings.CutPrefix(pattern, "!")
	found := plain == value
	if re, err := regexp.Compile(plain); !found && err == nil {
		at := re.FindStringIndex(value)
		found = at != nil
		if found && at[1]-at[0] < len(value) && !strings.HasPrefix(plain, "^") && !strings.HasSuffix(plain, "$") {
			foot = fmt.Sprintf("%q is found within %q: a pattern matches anywhere unless it is written as %s^%s$",
				plain, value, pattern[:len(pattern)-len(plain)], plain)
		}
	}
	if found {
		return !negated, "matches", foot
	}
	return negated, "does not match", foot
}
