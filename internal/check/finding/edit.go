package finding

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"slipway/internal/lazyregexp"
)

// Edit replaces the bytes from Start up to End of a file.
type Edit struct {
	File  string `json:"file"`
	Start int    `json:"start"`
	End   int    `json:"end"`
	New   string `json:"new"`
}

// Change is an edit with the text of its file before it.
type Change struct {
	Edit
	Text []byte `json:"-"`
}

// Line is a change as people see it: lines of a file before and after, without the comment that stays behind
// them. Those that are only added have none before.
type Line struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Before string `json:"before,omitempty"`
	After  string `json:"after"`
}

// LinesOf are the lines that changes concern, in the order of the changes.
func LinesOf(changes []Change) (all []Line) {
	for _, c := range byLine(changes) {
		line, before, after := c.lines(c.Text)
		before, after = unindented(before), unindented(after)
		if comment := comments().FindString(before); strings.HasSuffix(after, comment) {
			before, after = strings.TrimSuffix(before, comment), strings.TrimSuffix(after, comment)
		}
		all = append(all, Line{c.File, line, before, after})
	}
	return all
}

// comments matches a comment at the end of one line of YAML. What may be part of a text in quotes is left.
var comments = lazyregexp.New(`[ \t]+#[^\n"']*$`)

// byLine makes one change of those within one line: each alone would show a line that neither was there nor
// will be.
func byLine(changes []Change) (all []Change) {
	for _, c := range changes {
		i := slices.IndexFunc(all, func(o Change) bool {
			first, second := inOrder(o, c)
			return o.File == c.File && first.End <= second.Start && !strings.Contains(o.New+c.New, "\n") &&
				!bytes.ContainsRune(c.Text[first.Start:second.End], '\n')
		})
		if i < 0 {
			all = append(all, c)
			continue
		}
		first, second := inOrder(all[i], c)
		all[i].Edit = Edit{File: c.File, Start: first.Start, End: second.End,
			New: first.New + string(c.Text[first.End:second.Start]) + second.New}
	}
	return all
}

func inOrder(a, b Change) (first, second Change) {
	if b.Start < a.Start {
		return b, a
	}
	return a, b
}

// unindented is a text without the blanks around its lines.
func unindented(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// lines returns what an edit of a text does to whole lines: the number of the first one, and the lines before
// and after. Lines that it only adds have none before.
func (e Edit) lines(text []byte) (line int, before, after string) {
	start := bytes.LastIndexByte(text[:e.Start], '\n') + 1
	end := e.End
	if i := bytes.IndexByte(text[e.End:], '\n'); i >= 0 && (e.End == 0 || text[e.End-1] != '\n') {
		end += i
	}
	// lines of their own
	if added := strings.TrimLeft(e.New, "\r\n"); e.Start == e.End && (e.Start == start || added != e.New) {
		line := 1 + bytes.Count(text[:e.Start], []byte("\n"))
		if added != e.New {
			line++
		}
		return line, "", added
	}
	line = 1 + bytes.Count(text[:start], []byte("\n"))
	return line, string(text[start:end]), string(text[start:e.Start]) + e.New + string(text[e.End:end])
}

// Apply makes edits of a text from the end to the start, so that none moves another. Of two that overlap it
// makes one: the next run makes the other, if it is still needed.
func Apply(text []byte, edits []Edit) (out []byte, made []Edit) {
	slices.SortStableFunc(edits, func(a, b Edit) int {
		return cmp.Or(cmp.Compare(b.Start, a.Start), cmp.Compare(b.End, a.End))
	})
	out = slices.Clone(text)
	free := len(text) + 1 // edits must end before it
	for _, e := range edits {
		if e.Start < 0 || e.End < e.Start || e.End > len(text) || e.End > free || e.Start >= free {
			continue
		}
		out = slices.Replace(out, e.Start, e.End, []byte(e.New)...)
		free = e.Start
		made = append(made, e)
	}
	return out, made
}
