package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/term"

	"slipway/internal/ci"
	"slipway/internal/image"
)

// console is stderr on a terminal. Below everything that is printed it keeps a row for each image and object
// that is in progress, and redraws them.
type console struct {
	f     *os.File
	mu    sync.Mutex
	rows  []activity
	drawn int // lines below the last printed one
}

type activity struct{ key, text string }

// openConsole returns a console on w, or w itself where lines are not redrawn: outside a terminal, in CI, and
// where NO_COLOR or TERM=dumb asks for plain text.
func openConsole(w io.Writer, env func(string) string) io.Writer {
	f, ok := w.(*os.File)
	if !ok || !isTerminal(f) || env("NO_COLOR") != "" || env("TERM") == "dumb" || ci.IsRunning(env) {
		return w
	}
	return &console{f: f}
}

// Fd, Name, Read and Close make BuildKit accept it as a console: it then draws its own rows.
func (s *console) Fd() uintptr                { return s.f.Fd() }
func (s *console) Name() string               { return s.f.Name() }
func (s *console) Read(p []byte) (int, error) { return s.f.Read(p) }
func (s *console) Close() error               { return nil }

// Write prints above the rows.
func (s *console) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.f.Write(s.erasure()); err != nil {
		return 0, err
	}
	n, err := s.f.Write(p)
	if err == nil && bytes.HasSuffix(p, []byte("\n")) {
		err = s.draw(nil)
	}
	return n, err
}

// Row shows a text in the row of a key, which is new or replaces an older text. Without a text the row goes.
func (s *console) Row(key, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.IndexFunc(s.rows, func(r activity) bool { return r.key == key })
	switch {
	case at < 0 && text == "":
		return
	case at < 0:
		s.rows = append(s.rows, activity{key, text})
	case text == "":
		s.rows = slices.Delete(s.rows, at, at+1)
	default:
		s.rows[at].text = text
	}
	_ = s.draw(s.erasure()) // a terminal that does not take it gets no result either
}

// settle leaves the rows where they are, as lines of their own.
func (s *console) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows, s.drawn = nil, 0
}

// erasure returns the control sequences that remove the rows.
func (s *console) erasure() []byte {
	n := s.drawn
	s.drawn = 0
	return bytes.Repeat([]byte("\x1b[1A\x1b[2K"), n)
}

// draw writes the rows behind the text before them, in one piece: a terminal would flicker. Those that the
// terminal has no lines for are counted.
func (s *console) draw(before []byte) error {
	width, height, err := term.GetSize(int(s.f.Fd()))
	if err != nil || width < 20 || height < 4 {
		width, height = 80, 24
	}
	rows := s.rows
	if room := height / 2; len(rows) > room {
		rows = append(slices.Clone(rows[:room-1]),
			activity{text: fmt.Sprintf("%d more in progress", len(rows)-room+1)})
	}
	out := bytes.NewBuffer(before)
	for _, r := range rows {
		text := []rune(r.text)
		if room := width - len("  · "); len(text) >= room {
			text = append(text[:room-2], '…')
		}
		fmt.Fprintf(out, "  %s %s\n", style{true}.dim("·"), string(text))
	}
	s.drawn = len(rows)
	_, err = s.f.Write(out.Bytes())
	return err
}

// barWidth is how many columns a bar has.
const barWidth = 24

// transferRow is the row of an image that is copied. The name comes last: a narrow terminal cuts it.
func transferRow(t image.Transfer) string {
	full := 0
	if t.Total > 0 {
		full = int(min(t.Done*barWidth/t.Total, barWidth))
	}
	return fmt.Sprintf("copying  %s%s  %s of %s  %s", strings.Repeat("━", full),
		strings.Repeat("─", barWidth-full), megabytes(t.Done), megabytes(t.Total), brief(t.Reference))
}

// transfer shows how far a copy is: in a row of the console, or elsewhere in a line now and then.
func (c *cli) transfer(t image.Transfer) {
	s, ok := c.stderr.(*console)
	switch {
	case c.quiet:
	case ok && t.Ended:
		s.Row("copy "+t.Reference, "")
	case ok:
		s.Row("copy "+t.Reference, transferRow(t))
	case t.Remind:
		c.warn("copying %s: %s of %s", brief(t.Reference), megabytes(t.Done), megabytes(t.Total))
	}
}
