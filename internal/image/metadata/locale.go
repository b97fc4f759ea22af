package metadata

import (
	"cmp"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// punctuation sorts before digits, and digits before letters.
const punctuation = " _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$"

// localeCompare orders texts of Latin letters as JavaScript does in English: by letters, then accents, then
// case. golang.org/x/text/collate knows all scripts, but every command would initialise it.
func localeCompare(a, b string) int {
	la, aa, ca := weights(a)
	lb, ab, cb := weights(b)
	return cmp.Or(strings.Compare(la, lb), strings.Compare(aa, ab), strings.Compare(ca, cb),
		strings.Compare(a, b))
}

// weights are the letters, accents and cases of a text.
func weights(s string) (letters, accents, cases string) {
	for _, r := range norm.NFD.String(s) {
		if unicode.Is(unicode.Mn, r) {
			accents += string(r)
			continue
		}
		low := unicode.ToLower(r)
		if i := strings.IndexRune(punctuation, r); i >= 0 {
			low = rune(i + 1)
		}
		letters, accents = letters+string(low), accents+" "
		if r == unicode.ToLower(r) {
			cases += "a"
		} else {
			cases += "b"
		}
	}
	return letters, accents, cases
}
