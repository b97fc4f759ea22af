package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// style colours text on a terminal, unless NO_COLOR is set.
type style struct{ on bool }

func styleOf(w io.Writer) style {
	return style{isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func (s style) paint(code, text string) string {
	if !s.on || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s style) bold(text string) string   { return s.paint("1", text) }
func (s style) dim(text string) string    { return s.paint("2", text) }
func (s style) struck(text string) string { return s.paint("9;2", text) }
func (s style) red(text string) string    { return s.paint("31", text) }
func (s style) green(text string) string  { return s.paint("32", text) }
func (s style) yellow(text string) string { return s.paint("33", text) }

// mark colours a line by the sign that it begins with.
func (s style) mark(mark, line string) string {
	switch mark {
	case "+":
		return s.green(line)
	case "~", "±":
		return s.yellow(line)
	case "-", "!", "✗":
		return s.red(line)
	case "=", "·":
		return s.dim(line)
	}
	return line
}

// state colours a word by health.
func (s style) state(healthy bool, text string) string {
	if healthy {
		return s.green(text)
	}
	return s.red(text)
}

// widthOf is how many columns a terminal has; 100 where the text goes elsewhere.
func widthOf(w io.Writer) int {
	if f, ok := w.(interface{ Fd() uintptr }); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 100
}
