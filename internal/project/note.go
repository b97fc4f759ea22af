package project

import (
	"fmt"
	"slices"
	"strings"

	"slipway/internal/lazyregexp"
)

// The sentences of detection about single environments.
const (
	usedNote    = "using %s as environment %s of class %s"
	treatedNote = "environment %s is treated as %s: its name does not say its class%s"
	treatedMany = "environments %s are treated as %s: their names do not say their class%s"
	unusedNote  = "not used: "
)

// NotesAbout are the notes of detection without those that concern other environments alone, and without what
// detection does not use.
func NotesAbout(notes []string, environments ...string) []string {
	return slices.DeleteFunc(slices.Clone(notes), func(note string) bool {
		isOne := func(name string) bool {
			return strings.Contains(note, " as environment "+name+" of class ") || namesWord(note, name)
		}
		concernsSome := strings.Contains(note, " as environment ") || strings.Contains(note, " treated as ")
		return strings.HasPrefix(note, unusedNote) ||
			concernsSome && !slices.ContainsFunc(environments, isOne)
	})
}

var environmentNote = lazyregexp.New(`^using .* as environment (\S+) of class (\S+)$`)

// FoldNotes makes one note of those about many environments.
func FoldNotes(notes []string) []string {
	const few = 4
	var names, rest []string
	class := ""
	for _, n := range notes {
		m := environmentNote().FindStringSubmatch(n)
		if m == nil {
			rest = append(rest, n)
			continue
		}
		if m[2] != class && class != "" {
			names[len(names)-1] += " (" + class + ")"
		}
		class, names = m[2], append(names, m[1])
	}
	if len(names) <= few {
		return notes
	}
	return append([]string{fmt.Sprintf("using %d environments: %s (%s); run `slipway init --print` to see "+
		"their sources", len(names), strings.Join(names, ", "), class)}, rest...)
}

// namesWord reports whether a name is one of the words of a text.
func namesWord(text, name string) bool {
	isName := func(word string) bool { return strings.Trim(word, ",:") == name }
	return slices.ContainsFunc(strings.Fields(text), isName)
}
