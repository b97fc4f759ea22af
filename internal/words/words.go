// Package words puts values, differences, times and messages into words for people, the same ones in a
// terminal and on a page. It does not decide what is shown.
package words

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"slipway/internal/lazyregexp"
)

var digest = lazyregexp.New(`sha256:[0-9a-f]{64}`)

// goValue matches Go syntax in an API server's message about a value of the wrong type.
var goValue = lazyregexp.New(`&value\.valueUnstructured\{Value:([^{}]*)\}`)

// Clean makes any text safe to print on one line: it keeps no terminal control sequence.
func Clean(text string) string {
	return goValue().ReplaceAllString(strings.Map(visible, text), "$1")
}

// Brief is Clean with digests shortened as Git shortens commits. JSON has them whole.
func Brief(text string) string {
	text = Clean(text)
	return digest().ReplaceAllStringFunc(text, func(d string) string { return d[:len("sha256:")+12] })
}

// visible drops characters that control a terminal.
func visible(r rune) rune {
	if r != '\t' && unicode.IsControl(r) {
		return -1
	}
	return r
}

// OneLine joins the lines of a server's message.
func OneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), " ")
}

// Age prints the time since t: "3s", "12m", "5h", "9d".
func Age(t time.Time) string {
	d := time.Since(t)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// Duration prints a length of time without units that are zero: "30m" and "1h5s", where Go has "30m0s" and
// "1h0m5s".
func Duration(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	return zeroUnits().ReplaceAllString(d.String(), "$1")
}

// zeroUnits matches what follows an hour or a minute and is zero.
var zeroUnits = lazyregexp.New(`([hm])0[ms](?:0s)?`)

// And prints "a, b and c".
func And(names []string) string { return joined(names, " and ") }

// Or prints "a, b or c".
func Or(names []string) string { return joined(names, " or ") }

func joined(names []string, last string) string {
	if n := len(names) - 1; n > 0 {
		return strings.Join(names[:n], ", ") + last + names[n]
	}
	return strings.Join(names, "")
}

// Count prints "1 field" and "2 fields".
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
