package main

import (
	"slices"
	"strings"

	"slipway/internal/lazyregexp"
)

// hintedCommand matches a command of ours in a hint, with the words before that join it to its sentence.
var hintedCommand = lazyregexp.New("(,? (and|or) )?([Rr]un )?`slipway ([^`]*)`[^.;:,]*")

// lookUp returns the exit code of an error, and its hint, from the first row that matches.
func lookUp(err error) (code int, hint string) {
	for _, r := range rows {
		if h, ok := r.match(err); ok {
			return r.code, h
		}
	}
	return codeError, ""
}

// withoutOwn removes the command that printed a hint from it, because running it again does not help. It
// keeps the rest of the sentence.
func withoutOwn(hint string, args []string) string {
	var kept []string
	for _, sentence := range strings.SplitAfter(hint, ". ") {
		trimmed := hintedCommand().ReplaceAllStringFunc(sentence, func(part string) string {
			if isOwn(hintedCommand().FindStringSubmatch(part)[4], args) {
				return ""
			}
			return part
		})
		if strings.Trim(trimmed, " .;:,") != "" {
			kept = append(kept, trimmed)
		}
	}
	return strings.TrimSpace(strings.Join(kept, ""))
}

// isOwn reports whether a command of a hint is the one with these arguments. A word in capitals, as ENV,
// stands for any others.
func isOwn(command string, args []string) bool {
	words, flags, any := strings.Fields(command), 0, false
	for i, word := range words {
		switch {
		case strings.HasPrefix(word, "-"):
			flags++
		case word == strings.ToUpper(word):
			any = true
			continue
		}
		if i == 0 && (len(args) == 0 || word != args[0]) || !slices.Contains(args, word) {
			return false
		}
	}
	positional := 0
	for _, arg := range args {
		if flags > 0 || !strings.HasPrefix(arg, "-") {
			positional++
		}
	}
	return any && flags == 0 || len(words) >= positional
}
