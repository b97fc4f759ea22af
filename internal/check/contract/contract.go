// Package contract compares two environments: what differs between them, why, and whether it may. It renders
// nothing and reads no clock: the caller passes both sides and the day.
package contract

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"slipway/internal/check/finding"
	"slipway/internal/object"
	"slipway/internal/project"
)

// Class says whether a difference is a fault.
type Class string

// The classes. The first three are faults.
const (
	MustNotShip Class = "must not ship" // belongs on a laptop, and is elsewhere
	Missing     Class = "missing"       // A has it, B needs it and does not have it
	Unexplained Class = "unexplained"   // without a known reason
	Accepted    Class = "accepted"      // the project's exceptions give the reason
	Expected    Class = "expected"      // the purpose of having several environments
)

// Classes are all of them, in the order in which they are shown.
var Classes = []Class{MustNotShip, Missing, Unexplained, Accepted, Expected}

// Side is one of the two.
type Side struct {
	// Name is shown to users: "prod", "prod@HEAD~3".
	Name        string
	Environment project.Environment
	Set         object.Set
	// Because returns the overrides that set a field. Locate returns where an object's field, or what should
	// hold it, is written. nil: only the object's own place is known.
	Because func(r object.Ref, field string) []finding.Place
	Locate  func(at object.Origin, field string) finding.Place
	// Written returns how a file spells the value of a field, as origin.Report does; nil: the usual way.
	Written func(r object.Ref, field string, value any) string
}

// Input is what is compared: how B differs from A.
type Input struct {
	A, B       Side
	Exceptions []project.Exception
	// Today is the day, as "2027-03-31", by which exceptions expire.
	Today string
}

// Difference is one field or object that differs between the sides. Secrets are masked.
type Difference struct {
	Class Class `json:"class"`
	// What names it in a word or two: "replicas", "probe".
	What string `json:"what"`
	// Object is B's, or A's where B has none. Was is A's name for it, where that is another one.
	Object object.Ref  `json:"object"`
	Was    *object.Ref `json:"was,omitempty"`
	// Field is empty for a whole object, which only the side called Only has.
	Field string `json:"field,omitempty"`
	Only  string `json:"only,omitempty"`
	A     any    `json:"a,omitempty"`
	B     any    `json:"b,omitempty"`
	// WrittenA and WrittenB are how files spell A and B, where that is not the usual way: 1.50, 0644.
	WrittenA string `json:"writtenA,omitempty"`
	WrittenB string `json:"writtenB,omitempty"`
	// Reason is the exception's, or says why it must not ship.
	Reason  string          `json:"reason,omitempty"`
	Because []finding.Place `json:"because,omitempty"`
}

// Result is what Compare returns.
type Result struct {
	A           string       `json:"a"`
	B           string       `json:"b"`
	Equal       int          `json:"equal"` // fields
	Differences []Difference `json:"differences"`
	// Findings are about exceptions that expired or match nothing.
	Findings []finding.Finding `json:"findings,omitempty"`
	// Notes are what the user should know about the comparison itself.
	Notes []string `json:"notes,omitempty"`
}

// Count counts the differences of a class.
func (r Result) Count(c Class) int {
	n := 0
	for _, d := range r.Differences {
		if d.Class == c {
			n++
		}
	}
	return n
}

// Kinds counts what differs: "image 2 · replicas 1".
func (r Result) Kinds(c Class) string {
	counts := map[string]int{}
	for _, d := range r.Differences {
		if d.Class == c {
			counts[d.What]++
		}
	}
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", what, counts[what]))
	}
	return strings.Join(parts, " · ")
}

// IsFault says that differences of the class should be corrected.
func (c Class) IsFault() bool { return c == MustNotShip || c == Missing || c == Unexplained }

// Faults counts the differences that should be corrected.
func (r Result) Faults() int {
	n := 0
	for _, d := range r.Differences {
		if d.Class.IsFault() {
			n++
		}
	}
	return n
}

// Cause is the common cause of some differences.
type Cause struct {
	Places      []finding.Place
	Differences []Difference
}

// IsOnBothSides says that the sides do not differ: what must not ship is in both.
func (d Difference) IsOnBothSides() bool {
	return d.Class == MustNotShip && reflect.DeepEqual(d.A, d.B)
}

// CountLines counts the lines of the files that some causes are in.
func CountLines(causes []Cause) int {
	lines := map[finding.Place]bool{}
	for _, c := range causes {
		for _, p := range c.Places {
			lines[finding.Place{File: p.File, Line: p.Line}] = true
		}
	}
	return len(lines)
}

// Causes groups the differences of a class by their cause, largest groups first.
func (r Result) Causes(c Class) []Cause {
	var causes []Cause
	for _, d := range r.Differences {
		if d.Class != c {
			continue
		}
		i := slices.IndexFunc(causes, func(c Cause) bool { return slices.Equal(c.Places, d.Because) })
		if i < 0 {
			i, causes = len(causes), append(causes, Cause{Places: d.Because})
		}
		causes[i].Differences = append(causes[i].Differences, d)
	}
	slices.SortStableFunc(causes, func(a, b Cause) int { return len(b.Differences) - len(a.Differences) })
	return causes
}

// Compare returns how B differs from A.
func Compare(in Input) Result {
	c := comparison{Input: in, result: Result{A: in.A.Name, B: in.B.Name, Differences: []Difference{}}}
	c.secrets = object.Forms(append(in.A.Set.Concealed(), in.B.Set.Concealed()...))
	c.pairs = match(in.A, in.B)
	c.names = renames(in.A.Environment, in.B.Environment, c.pairs)
	for _, p := range c.pairs {
		switch {
		case p.b == nil:
			c.lost(*p.a)
		case p.a == nil:
			c.gained(*p.b)
		default:
			c.both(p)
		}
		if p.b != nil && in.B.Environment.Class != project.Local {
			c.mustNotShip(p)
		}
	}
	c.except()
	slices.SortStableFunc(c.result.Differences, func(a, b Difference) int {
		return slices.Index(Classes, a.Class) - slices.Index(Classes, b.Class)
	})
	return c.result
}

// comparison is one run of Compare.
type comparison struct {
	Input
	pairs   []pair
	names   names
	secrets []string
	result  Result
}

// lost reports an object that only A has.
func (c *comparison) lost(o object.Object) {
	d := Difference{Class: Missing, What: "object", Object: o.Ref(), Only: c.A.Name}
	if o.Ref().Kind == "Namespace" || o.Ref().Kind == "Secret" && makes(c.B.Set, o.Ref().Name) ||
		c.B.Environment.Class == project.Local && protects(o.Ref()) {
		d.Class = Expected
	}
	c.note(d, pair{a: &o})
}

// makes reports whether a controller makes a Secret of that name from an object of the set.
func makes(set object.Set, name string) bool {
	return slices.ContainsFunc(set.Objects(), func(o object.Object) bool {
		switch o.Ref().Kind {
		case "SealedSecret", "SopsSecret":
			return o.Ref().Name == name
		case "ExternalSecret":
			target, _ := o.At("spec", "target", "name").(string)
			return target == name || target == "" && o.Ref().Name == name
		case "Certificate":
			return o.At("spec", "secretName") == name
		}
		return false
	})
}

// gained reports an object that only B has.
func (c *comparison) gained(o object.Object) {
	d := Difference{Class: Unexplained, What: "object", Object: o.Ref(), Only: c.B.Name}
	if protects(o.Ref()) {
		d.Class = Expected
	}
	c.note(d, pair{b: &o})
}

func (c *comparison) both(p pair) {
	c.result.Equal += countScalars(p.a.Body)
	shown := object.Shown{Before: object.Masked(*p.a).Body, After: object.Masked(*p.b).Body}
	fields := object.Differences(p.a.Body, p.b.Body, shown, false)
	for _, f := range moved(fields, *p.b) {
		if reordered(f) {
			continue
		}
		c.result.Equal -= countScalars(f.Before)
		c.classify(p, c.hidden(f))
	}
}

// hidden masks decrypted values. The value on the other side is as secret: it may be an older one.
func (c *comparison) hidden(f object.Field) object.Field {
	a, b := object.HideIn(f.Before, c.secrets), object.HideIn(f.After, c.secrets)
	kept := reflect.DeepEqual(a, f.Before) && reflect.DeepEqual(b, f.After)
	f.Before, f.After = a, b
	if !kept && a != nil && b != nil {
		f.Before, f.After = object.Hidden, object.Hidden
	}
	return f
}

// classify reports a field by the first line of the table that covers it, or the fields below it.
func (c *comparison) classify(p pair, f object.Field) {
	if f.Before != nil && f.After != nil {
		f.Before, f.After = filled(f.Before), filled(f.After)
	}
	d := Difference{Class: Expected, What: "names", Object: p.b.Ref(), Field: f.Path, A: f.Before, B: f.After}
	if c.names.alike(f.Before, f.After) {
		c.note(d, p)
		return
	}
	ch := change{pair: p, field: f, path: shape(*p.b, f.Path), a: c.A, b: c.B}
	for _, l := range table {
		switch l.on(ch) {
		case speaks:
			d.Class, d.What = l.class, l.what
			if d.Class != nothing {
				c.note(d, p)
			}
			return
		case below:
			for _, f := range parts(f) {
				c.classify(p, f)
			}
			return
		}
	}
	d.Class, d.What = Unexplained, ch.path[len(ch.path)-1]
	if d.What == "[]" {
		d.What = ch.path[max(0, len(ch.path)-2)]
	}
	c.note(d, p)
}

// note appends a difference with its causes.
func (c *comparison) note(d Difference, p pair) {
	if p.a != nil && p.b != nil && p.a.Ref() != p.b.Ref() {
		was := p.a.Ref()
		d.Was = &was
	}
	d.Field = object.Mask(d.Field, c.secrets)
	d.Because = c.because(p, d.Field)
	d.WrittenA, d.WrittenB = c.A.written(p.a, d.Field, d.A), c.B.written(p.b, d.Field, d.B)
	c.result.Differences = append(c.result.Differences, d)
}

// because returns the overrides that only one side has, or else those of both, or else the field's own place.
func (c *comparison) because(p pair, field string) []finding.Place {
	a, b := c.A.because(p.a, field), c.B.because(p.b, field)
	shared := func(f finding.Place) bool { return slices.Contains(a, f) && slices.Contains(b, f) }
	all := append(slices.Clone(a), b...)
	if own := slices.DeleteFunc(slices.Clone(all), shared); len(own) > 0 {
		all = own
	}
	slices.SortFunc(all, finding.Place.Compare)
	if len(all) > 0 {
		return slices.Compact(all)
	}
	o, s := p.b, c.B
	if o == nil {
		o, s = p.a, c.A
	}
	switch {
	case o.Origin.File == "":
		return nil
	case s.Locate == nil || field == "":
		return []finding.Place{finding.At(o.Origin)}
	}
	return []finding.Place{s.Locate(o.Origin, field)}
}

func (s Side) because(o *object.Object, field string) []finding.Place {
	if s.Because == nil || o == nil || field == "" {
		return nil
	}
	return s.Because(o.Ref(), field)
}

func (s Side) written(o *object.Object, field string, value any) string {
	if s.Written == nil || o == nil || field == "" {
		return ""
	}
	return s.Written(o.Ref(), field, value)
}

// reordered reports whether only the order of elements differs. Where the order matters the values differ
// too.
func reordered(f object.Field) bool {
	text, _ := f.Before.(string)
	return strings.HasPrefix(text, "order [")
}

// filled is nil for an empty list or mapping.
func filled(v any) any {
	list, isList := v.([]any)
	mapping, isMapping := v.(map[string]any)
	if isList && len(list) == 0 || isMapping && len(mapping) == 0 {
		return nil
	}
	return v
}

// countScalars counts scalar values.
func countScalars(v any) int {
	n := 0
	switch v := v.(type) {
	case nil:
	case map[string]any:
		for _, x := range v {
			n += countScalars(x)
		}
	case []any:
		for _, x := range v {
			n += countScalars(x)
		}
	default:
		n = 1
	}
	return n
}
