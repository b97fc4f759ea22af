package words

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxValue is how long a value may be in a plan; JSON has it whole.
const maxValue = 120

// Values prints both sides of a field, each on one line; "∅" stands for a missing field. Two images of one
// repository are printed by tag and digest alone.
func Values(before, after any) (from, to string) {
	a, okA := before.(string)
	b, okB := after.(string)
	if okA && okB {
		if repository, ok := sameImage(a, b); ok {
			return Brief(strings.TrimPrefix(a, repository)), Brief(strings.TrimPrefix(b, repository))
		}
	}
	return Value(before, okB || after == nil), Value(after, okA || before == nil)
}

// sameImage is the common "ghcr.io/acme/api:" of two image references that have a digest.
func sameImage(a, b string) (string, bool) {
	if !digest().MatchString(a + b) {
		return "", false
	}
	repository := func(s string) string {
		s, _, _ = strings.Cut(s, "@")
		return s[:max(strings.LastIndex(s, ":"), strings.LastIndex(s, "/"))+1]
	}
	r := repository(a)
	return r, r == repository(b) && strings.HasSuffix(r, ":")
}

// Value prints one side. A string is printed without quotes where the other side is a string too, so that
// "80" and 80 differ.
func Value(v any, plain bool) string {
	if text, ok := v.(Spelling); ok {
		return Brief(string(text))
	}
	text, isText := v.(string)
	switch {
	case v == nil:
		return "∅"
	case isText && plain && text != "" && strings.TrimSpace(text) == text &&
		!strings.ContainsAny(text, "\n\r\t\x1b"):
		text = Brief(text)
	default:
		text = Brief(Compact(v))
	}
	if utf8.RuneCountInString(text) > maxValue {
		switch v := v.(type) {
		case map[string]any:
			return "{" + Count(len(v), "field") + "}"
		case []any:
			return "[" + Count(len(v), "item") + "]"
		}
	}
	return Clip(text)
}

// Clip shortens a text to what fits into a line.
func Clip(text string) string {
	if r := []rune(text); len(r) > maxValue {
		return string(r[:maxValue-1]) + "…"
	}
	return text
}

// Compact is a value as JSON, without escapes for HTML.
func Compact(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSpace(b.String())
}

// maxLines is how many lines of each side of a text are shown.
const maxLines = 10

// Lines prints the lines in which two texts differ, without their common first and last lines.
func Lines(before, after string) []string {
	a, b := strings.Split(before, "\n"), strings.Split(after, "\n")
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return slices.Concat(marked("-", a), marked("+", b))
}

// maxDiff bounds the table of Diff: of larger texts it returns what Lines does.
const maxDiff = 4_000_000

// Diff returns the lines that only one of two texts has, in their order, with "  …" for those that both
// have.
func Diff(before, after string) []string {
	a, b := strings.Split(before, "\n"), strings.Split(after, "\n")
	if len(a)*len(b) > maxDiff {
		return Lines(before, after)
	}
	common := make([][]int, len(a)+1) // the number of common lines from i and j on
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if common[i][j] = max(common[i+1][j], common[i][j+1]); a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	const same = "  …"
	var lines []string
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			if len(lines) == 0 || lines[len(lines)-1] != same {
				lines = append(lines, same)
			}
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			lines = append(lines, "- "+a[i])
			i++
		default:
			lines = append(lines, "+ "+b[j])
			j++
		}
	}
	return lines
}

func marked(mark string, lines []string) []string {
	var out []string
	for _, l := range lines[:min(len(lines), maxLines)] {
		out = append(out, strings.TrimRight(mark+" "+Clip(Brief(l)), " "))
	}
	if n := len(lines) - maxLines; n > 0 {
		out = append(out, fmt.Sprintf("%s … %d more lines", mark, n))
	}
	return out
}

// Spelling is a value as people write it, with what it means in brackets where that is not plain to see.
type Spelling string

// Field is a field's value as people know it, and as the file that it comes from spells it: permissions
// are in octal, and 1.50 is not 1.5.
func Field(field string, v any, written string) any {
	n, isNumber := v.(int64)
	if f, ok := v.(float64); ok { // as records and JSON have it
		n, isNumber = int64(f), f == float64(int64(f))
	}
	isMode := strings.HasSuffix(field, ".defaultMode") ||
		strings.HasSuffix(field, ".mode") && strings.Contains(field, "volumes[")
	switch {
	case isNumber && isMode && n >= 0:
		return Spelling(fmt.Sprintf("0%o (%d)", n, n))
	case written == "" || v == nil:
		return v
	}
	x, err := strconv.ParseFloat(written, 64)
	if err == nil && !strings.ContainsAny(written, "xXpP_") && isNumberOf(x, v) {
		return Spelling(written)
	}
	return Spelling(fmt.Sprintf("%s (%s)", written, Compact(v)))
}

func isNumberOf(x float64, v any) bool {
	n, isWhole := v.(int64)
	return v == x || isWhole && float64(n) == x
}
