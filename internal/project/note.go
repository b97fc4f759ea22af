package project

import (
	"fmt"
	"slices"
	"strings"
)

// Note is an assumption that reading a source made, for the user.
type Note struct {
	// Text is one sentence.
	Text string
	// Environments are those that the sentence is about; none: it is about the project.
	Environments []string
	// Uses: the sentence says what an environment of this class is made of.
	Uses Class
	// Unused: it says what detection leaves aside.
	Unused bool
}

// plainNotes are notes about the project.
func plainNotes(texts ...string) []Note {
	var notes []Note
	for _, text := range texts {
		notes = append(notes, Note{Text: text})
	}
	return notes
}

// NoteTexts are the sentences of notes.
func NoteTexts(notes []Note) []string {
	var texts []string
	for _, n := range notes {
		texts = append(texts, n.Text)
	}
	return texts
}

// NotesAbout are the sentences of the notes that concern the project or some environments, without what
// detection does not use.
func NotesAbout(notes []Note, environments ...string) []string {
	isAsked := func(name string) bool { return slices.Contains(environments, name) }
	return NoteTexts(slices.DeleteFunc(slices.Clone(notes), func(n Note) bool {
		return n.Unused || len(n.Environments) > 0 && !slices.ContainsFunc(n.Environments, isAsked)
	}))
}

// FoldNotes are the sentences of notes, with one in place of those about what many environments are made of.
func FoldNotes(notes []Note) []string {
	const few = 4
	var names []string
	var rest []Note
	var class Class
	for _, n := range notes {
		if n.Uses == "" {
			rest = append(rest, n)
			continue
		}
		if n.Uses != class && class != "" {
			names[len(names)-1] += fmt.Sprintf(" (%s)", class)
		}
		class, names = n.Uses, append(names, n.Environments...)
	}
	if len(names) <= few {
		return NoteTexts(notes)
	}
	return append([]string{fmt.Sprintf("using %d environments: %s (%s); run `slipway init --print` to see "+
		"their sources", len(names), strings.Join(names, ", "), class)}, NoteTexts(rest)...)
}
