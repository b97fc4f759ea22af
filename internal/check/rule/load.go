// Package rule has all rules: their texts, and those over one object as expressions in CEL. Check evaluates
// these here, and the API server evaluates the same ones as the policies that Policies returns. The package
// renders nothing and contacts no cluster.
package rule

import (
	"embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"slipway/internal/check/finding"
	"slipway/internal/object"
	"slipway/internal/project"
)

// File is a file with rules; its name is for errors.
type File struct {
	Name string
	Text []byte
}

// FileError is a fault in a file with rules.
type FileError struct {
	File string
	Line int
	Err  error
}

func (e *FileError) Error() string {
	return finding.Place{File: e.File, Line: e.Line}.String() + ": " + e.Err.Error()
}

func (e *FileError) Unwrap() error { return e.Err }

// Set is a list of rules. Each is compiled when the first object of its kind is checked.
type Set struct{ rules []*rule }

// rule is one rule as its file has it.
type rule struct {
	ID       string           `yaml:"id"`
	Group    string           `yaml:"group"`
	Classes  []project.Class  `yaml:"classes"`
	Severity finding.Severity `yaml:"severity"`
	Tier     finding.Tier     `yaml:"tier"`
	Title    string           `yaml:"title"`
	Why      string           `yaml:"why"`
	Fix      string           `yaml:"fix"`
	// Kinds are "Kind.group"; "workloads" stands for all kinds that run pods.
	Kinds []string `yaml:"kinds"`
	// Each are lists, each within the elements of the one before; the expression must hold for each element
	// ("item") of the last. Without lists it must hold for the object.
	Each texts `yaml:"each"`
	// Field is the one to report, below the item or the object: the first of several that exists.
	Field             texts  `yaml:"field"`
	Expression        string `yaml:"expression"`
	Message           string `yaml:"message"`
	MessageExpression string `yaml:"messageExpression"`

	// described: the check itself is Go code.
	described bool
	file      string
	lines     map[string]int // of the keys
	compile   func() (*program, error)
}

// texts is a string or a list of them.
type texts []string

func (t *texts) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*t = texts{n.Value}
		return nil
	}
	return n.Decode((*[]string)(t))
}

//go:embed code.yaml schema.yaml workflow.yaml rules.yaml
var embedded embed.FS

// shipped reads the rules that come with Slipway, once, when something asks for them. Those of rules.yaml
// have an expression; the others are checked in Go, which names them by ID.
var shipped = sync.OnceValues(func() (*Set, error) {
	s := &Set{}
	for _, name := range []string{"code.yaml", "schema.yaml", "workflow.yaml", "rules.yaml"} {
		text, err := embedded.ReadFile(name)
		if err == nil {
			err = s.read(File{Name: name, Text: text}, name != "rules.yaml")
		}
		if err != nil {
			return nil, err
		}
	}
	return s, nil
})

// ID names a rule that is checked in Go. Its text is in the YAML files of this package.
type ID string

// New begins a finding about a field of an object, with the rule's fix.
func (id ID) New(o object.Object, field, format string, args ...any) finding.Finding {
	r := id.rule()
	f := r.New(o, field, format, args...)
	f.Fix = brief(r.Fix, false)
	return f
}

// In begins a finding about a place in a file, with the rule's fix.
func (id ID) In(p finding.Place, format string, args ...any) finding.Finding {
	r := id.rule()
	f := r.In(p, format, args...)
	f.Fix = brief(r.Fix, false)
	return f
}

func (id ID) rule() finding.Rule {
	s, err := shipped()
	if err != nil {
		panic(err) // a mistake of ours
	}
	for _, r := range s.rules {
		if r.ID == string(id) {
			return r.rule()
		}
	}
	panic("rule " + id + " has no entry in the YAML files") // a mistake of ours: code names rules by constants
}

// Load returns the rules that come with Slipway, and a project's own. It fails with a *FileError where one of
// the project's does not compile.
func Load(files ...File) (*Set, error) {
	base, err := shipped()
	if err != nil {
		return nil, err
	}
	s := &Set{rules: slices.Clone(base.rules)}
	for _, f := range files {
		known := len(s.rules)
		if err := s.read(f, false); err != nil {
			return nil, err
		}
		for _, r := range s.rules[known:] {
			if _, err := r.compile(); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

// Rules returns all rules of the set.
func (s *Set) Rules() []finding.Rule {
	out := make([]finding.Rule, len(s.rules))
	for i, r := range s.rules {
		out[i] = r.rule()
	}
	return out
}

func (r *rule) rule() finding.Rule {
	return finding.Rule{ID: r.ID, Group: r.Group, Classes: r.Classes, Severity: r.Severity, Tier: r.Tier,
		Title: r.Title, Why: r.Why, Fix: r.Fix}
}

// read adds the rules of a file; in described ones the check itself is Go code.
func (s *Set) read(f File, described bool) error {
	var doc struct {
		Rules []yaml.Node `yaml:"rules"`
	}
	if err := yaml.Unmarshal(f.Text, &doc); err != nil {
		return &FileError{File: f.Name, Err: errors.New(strings.TrimPrefix(err.Error(), "yaml: "))}
	}
	if len(doc.Rules) == 0 {
		return &FileError{File: f.Name, Err: errors.New("it has no list of rules under the key rules")}
	}
	for i := range doc.Rules {
		r, err := newRule(f.Name, &doc.Rules[i], described)
		if err == nil {
			err = s.add(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Set) add(r *rule) error {
	for _, other := range s.rules {
		if other.ID == r.ID {
			return r.fail("id", "rule %s is defined twice (first in %s)", r.ID, finding.Place{File: other.file,
				Line: other.lines["id"]})
		}
	}
	s.rules = append(s.rules, r)
	return nil
}

func (r *rule) fail(key, format string, args ...any) error {
	line := r.lines[key]
	if line == 0 {
		line = r.lines[""]
	}
	return &FileError{File: r.file, Line: line, Err: fmt.Errorf(format, args...)}
}

// keys are those of a rule.
var keys = []string{"id", "group", "classes", "severity", "tier", "title", "why", "fix", "kinds", "each",
	"field", "expression", "message", "messageExpression"}

func newRule(file string, n *yaml.Node, described bool) (*rule, error) {
	r := &rule{Group: "own", Severity: finding.Warning, described: described, file: file,
		lines: map[string]int{"": n.Line}}
	if n.Kind != yaml.MappingNode {
		return nil, r.fail("", "a rule must be a mapping")
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		r.lines[k.Value] = v.Line
		if v.Style == yaml.LiteralStyle || v.Style == yaml.FoldedStyle {
			r.lines[k.Value]++ // the text begins below its key
		}
		if !slices.Contains(keys, k.Value) {
			hint := " (known: " + strings.Join(keys, ", ") + ")"
			if s := project.Suggest(k.Value, keys); s != "" {
				hint = fmt.Sprintf(" (did you mean %q?)", s)
			}
			return nil, r.fail(k.Value, "unknown key %q%s", k.Value, hint)
		}
	}
	if err := n.Decode(r); err != nil {
		return nil, r.fail("", "%s", strings.ReplaceAll(strings.TrimPrefix(err.Error(),
			"yaml: unmarshal errors:\n  "), "\n  ", "; "))
	}
	r.compile = sync.OnceValues(r.build)
	return r, r.check()
}

var (
	id   = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	kind = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*(\.[a-z0-9.-]+)?$`)
)

// workloads are the kinds that run pods.
var workloads = []string{"Pod", "Deployment.apps", "StatefulSet.apps", "DaemonSet.apps", "ReplicaSet.apps",
	"Job.batch", "CronJob.batch"}

// check validates a rule, and expands its kinds.
func (r *rule) check() error {
	switch {
	case !id.MatchString(r.ID):
		return r.fail("id", "invalid id %q: want lower-case letters, digits and dashes", r.ID)
	case r.Title == "":
		return r.fail("", "rule %s has no title: add one line that names the fault", r.ID)
	case r.Expression == "" && !r.described:
		return r.fail("", "rule %s has no expression", r.ID)
	case len(r.Kinds) == 0 && !r.described:
		return r.fail("", "rule %s has no kinds: add them, such as [workloads] or [Service, "+
			"Ingress.networking.k8s.io]", r.ID)
	case r.Message != "" && r.MessageExpression != "":
		return r.fail("message", "rule %s has message and messageExpression: remove one of them", r.ID)
	case r.Severity != finding.Error && r.Severity != finding.Warning:
		return r.fail("severity", "severity %q is not error or warning", r.Severity)
	case r.Tier != "" && !slices.Contains(finding.Tiers, r.Tier):
		return r.fail("tier", "tier %q is not fault, gap or hardening", r.Tier)
	case r.Severity == finding.Error && r.Tier != "" && r.Tier != finding.Fault:
		return r.fail("tier", "an error is always a fault: remove tier, or write severity: warning")
	case !slices.Contains(finding.Groups, r.Group):
		return r.fail("group", "group %q is not one of %s", r.Group, strings.Join(finding.Groups, ", "))
	}
	for _, c := range r.Classes {
		if c != project.Local && c != project.Staging && c != project.Production {
			return r.fail("classes", "class %q is not local, staging or production", c)
		}
	}
	var kinds []string
	for _, k := range r.Kinds {
		switch {
		case k == "workloads":
			kinds = append(kinds, workloads...)
		case kind.MatchString(k):
			kinds = append(kinds, k)
		default:
			return r.fail("kinds", "invalid kind %q: want workloads, Kind or Kind.group", k)
		}
	}
	r.Kinds = kinds
	return nil
}
