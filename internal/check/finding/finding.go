// Package finding has the types of a check's report: rules, findings and places. It checks nothing itself.
package finding

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"slipway/internal/object"
	"slipway/internal/project"
)

// Severity is how serious a finding is.
type Severity string

// The severities. An uncertain finding is a Warning at most.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Tier is how much attention findings of a rule ask for.
type Tier string

// The tiers, in the order in which they should be read.
const (
	// Fault breaks something, or will: reports show each one in full.
	Fault Tier = "fault"
	// Gap is what production needs and does not have: reports show one line for each rule.
	Gap Tier = "gap"
	// Hardening limits what an attacker or a leak can do: reports count it.
	Hardening Tier = "hardening"
)

// Tiers are all tiers, in the order in which they should be read.
var Tiers = []Tier{Fault, Gap, Hardening}

// Rule describes a fault that check finds.
type Rule struct {
	// ID is stable, and is never reused for another rule: "image-mutable".
	ID string `json:"id"`
	// Group is one of Groups, by which --explain sorts.
	Group string `json:"group"`
	// Classes are those of the environments that it applies to; none: all.
	Classes  []project.Class `json:"classes,omitempty"`
	Severity Severity        `json:"severity"`
	Tier     Tier            `json:"tier"`
	// Title says in one line what is wrong.
	Title string `json:"title"`
	// Why describes the consequence, and Fix the correction. Both are Markdown.
	Why string `json:"why"`
	Fix string `json:"fix"`
}

// Groups are the groups of rules, in the order of --explain.
var Groups = []string{"crossing", "references", "must not ship", "must exist", "schema", "workflow",
	"project", "own"}

// Holds reports whether the rule applies to environments of a class.
func (r Rule) Holds(c project.Class) bool {
	return len(r.Classes) == 0 || slices.Contains(r.Classes, c)
}

// TierOf returns the tier of the rule's findings of a severity: an error is always a fault.
func (r Rule) TierOf(s Severity) Tier {
	if s == Error {
		return Fault
	}
	return cmp.Or(r.Tier, Fault)
}

// Place is a position in a file. File is relative to the project; Line and Column are 1-based, 0 where
// unknown.
type Place struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// At returns the place of an object.
func At(o object.Origin) Place { return Place{File: o.File, Line: o.Line} }

// String prints "overlays/prod/kustomization.yaml:9:5".
func (p Place) String() string {
	s := object.Origin{File: p.File, Line: p.Line}.String()
	if p.Line > 0 && p.Column > 0 {
		s += fmt.Sprintf(":%d", p.Column)
	}
	return s
}

// Compare orders by file, line and column.
func (p Place) Compare(o Place) int {
	return cmp.Or(strings.Compare(p.File, o.File), cmp.Compare(p.Line, o.Line), cmp.Compare(p.Column, o.Column))
}

// Finding is one fault.
type Finding struct {
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	Tier     Tier     `json:"tier,omitempty"`
	// Environments are those with the fault; none: it concerns no particular one.
	Environments []string `json:"environments,omitempty"`
	// Object and Field are what is wrong; Field is in the grammar of object.Step. A finding without either is
	// about a file.
	Object *object.Ref `json:"object,omitempty"`
	Field  string      `json:"field,omitempty"`
	// Place is where to correct it. Rules over objects leave it empty: check then finds the field's place.
	Place Place `json:"place,omitzero"`
	// Other is a second field of the object that the fault is about: the message ends with its place.
	Other string `json:"-"`
	// Value is a number or a boolean that ends the message. Check writes it as the file does, such as 1.50.
	Value   any    `json:"-"`
	Message string `json:"message"`
	// Fix is the correction in one line. Edits make it, where it is unambiguous.
	Fix   string `json:"fix,omitempty"`
	Edits []Edit `json:"edits,omitempty"`
}

// Quote is the fix for a number or a boolean that must be a string. Check adds the value as its file has it.
const Quote = "Put the value in quotes."

// Offset returns the byte offset of a position in a text. Columns count characters.
func Offset(text []byte, line, column int) (int, bool) {
	start := 0
	for range line - 1 {
		i := bytes.IndexByte(text[start:], '\n')
		if i < 0 {
			return 0, false
		}
		start += i + 1
	}
	for range column - 1 {
		_, size := utf8.DecodeRune(text[start:])
		start += size
	}
	return start, true
}

// Unchecked is something that could not be checked, and why.
type Unchecked struct {
	Environments []string    `json:"environments,omitempty"`
	Object       *object.Ref `json:"object,omitempty"`
	Place        Place       `json:"place,omitzero"`
	What         string      `json:"what"` // "the schema of Certificate"
	Why          string      `json:"why"`
}

// Outcome is what a check found, and what it did not look at.
type Outcome struct {
	Findings  []Finding   `json:"findings,omitempty"`
	Unchecked []Unchecked `json:"unchecked,omitempty"`
}

// New begins a finding about a field of an object.
func (r Rule) New(o object.Object, field, format string, args ...any) Finding {
	ref := o.Ref()
	return Finding{Rule: r.ID, Severity: r.Severity, Object: &ref, Field: field,
		Message: fmt.Sprintf(format, args...)}
}

// WarnUnless lowers the finding to a warning where it is not certain.
func (f Finding) WarnUnless(certain bool) Finding {
	if !certain {
		f.Severity = Warning
	}
	return f
}

// In begins a finding about a place in a file.
func (r Rule) In(p Place, format string, args ...any) Finding {
	return Finding{Rule: r.ID, Severity: r.Severity, Place: p, Message: fmt.Sprintf(format, args...)}
}
