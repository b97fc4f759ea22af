package workflow

import (
	"fmt"
	"maps"
	"strings"

	"github.com/rhysd/actionlint"
	"mvdan.cc/sh/v3/syntax"

	"slipway/internal/check/finding"
	"slipway/internal/lazyregexp"
)

// word is one word of a command, without quotes and with known variables replaced; "<sha:7>" stands for the
// first seven characters of the commit.
type word struct {
	text  string
	place finding.Place
}

// command is one simple command.
type command struct {
	words []word
	// pipe is the same for the commands of a pipeline.
	pipe *syntax.Stmt
	// writes are the files that output is redirected to, reads the texts of <<< and <<.
	writes, reads []word
	comments      []word
	folder        string // the working directory of its step, relative to the project
	within        string // the same, after the cd commands before it; "$" where only a run knows
	// ignored is why the script goes on where the command fails: "|| true" or "set +e"; empty: it stops.
	ignored string
	step    *actionlint.Step // nil: not of a workflow of GitHub
}

func (c command) text(i int) string {
	if i < len(c.words) {
		return c.words[i].text
	}
	return ""
}

// has reports whether one of the flags is set, with or without a value.
func (c command) has(flags ...string) bool {
	for _, w := range c.words {
		name, value, _ := strings.Cut(w.text, "=")
		for _, f := range flags {
			if name == f && value != "false" && value != "none" {
				return true
			}
		}
	}
	return false
}

// script is the text of a shell script, with its position in a file.
type script struct {
	text string
	at   func(line, column int) finding.Place
	env  map[string]string
}

var expression = lazyregexp.New(`(?s)\$\{\{.*?\}\}`)

// commands parses a script.
func (s script) commands() ([]command, error) {
	// GitHub replaces expressions before the shell starts.
	masked := expression().ReplaceAllStringFunc(s.text, func(e string) string {
		return strings.Repeat("x", len(e))
	})
	file, err := syntax.NewParser(syntax.KeepComments(true)).Parse(strings.NewReader(masked), "")
	if err != nil {
		return nil, fmt.Errorf("parse the shell script: %w", err)
	}
	s.env = maps.Clone(s.env)
	if s.env == nil {
		s.env = map[string]string{}
	}
	var out []command
	var comments []word
	pipes := map[*syntax.Stmt]*syntax.Stmt{}
	forgiven := map[*syntax.Stmt]string{}
	syntax.Walk(file, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Comment:
			comments = append(comments, word{n.Text, s.place(n.Hash)})
		case *syntax.DeclClause:
			s.assign(n.Args)
		case *syntax.Stmt:
			if pipes[n] == nil {
				pipes[n] = n
			}
			switch c := n.Cmd.(type) {
			case *syntax.BinaryCmd:
				if c.Op == syntax.Pipe || c.Op == syntax.PipeAll {
					pipes[c.X], pipes[c.Y] = pipes[n], pipes[n]
				}
				forgive(c, forgiven[n], forgiven, s.text)
			case *syntax.CallExpr:
				if len(c.Args) == 0 {
					s.assign(c.Assigns)
				} else {
					out = append(out, s.command(n, c, pipes[n]))
					out[len(out)-1].ignored = forgiven[n]
				}
			}
		}
		return true
	})
	forgiveAfterSet(out, s.text)
	for i, c := range out {
		first, last := c.words[0].place.Line, c.words[len(c.words)-1].place.Line
		for _, comment := range comments {
			if comment.place.Line >= first-1 && comment.place.Line <= last {
				out[i].comments = append(out[i].comments, comment)
			}
		}
	}
	return out, nil
}

// forgive notes which commands of an and-or list may fail without effect: those before "|| true".
func forgive(c *syntax.BinaryCmd, outer string, forgiven map[*syntax.Stmt]string, text string) {
	left := outer
	if call, ok := c.Y.Cmd.(*syntax.CallExpr); c.Op == syntax.OrStmt && ok && len(call.Args) > 0 {
		right := text[c.Y.Pos().Offset():c.Y.End().Offset()]
		switch name := call.Args[0].Lit(); {
		case name == "true", name == ":", name == "echo", name == "printf", right == "exit 0":
			left = "|| " + name
		}
	}
	if left != "" {
		forgiven[c.X] = left
	}
	if outer != "" {
		forgiven[c.Y] = outer
	}
}

// forgiveAfterSet notes the commands after "set +e" but the last one, whose exit code is the script's. It
// notes none in a script that reads exit codes: that one handles failures itself.
func forgiveAfterSet(commands []command, text string) {
	if strings.Contains(text, "$?") || strings.Contains(text, "PIPESTATUS") {
		return
	}
	off := false
	for i, c := range commands {
		if c.text(0) == "set" {
			off = off && !c.has("-e", "-eu", "-euo", "-eo", "-ex", "-euxo") || c.has("+e")
		} else if off && i+1 < len(commands) && c.ignored == "" {
			commands[i].ignored = "set +e"
		}
	}
}

func (s script) place(p syntax.Pos) finding.Place { return s.at(int(p.Line()), int(p.Col())) }

func (s script) assign(assigns []*syntax.Assign) {
	for _, a := range assigns {
		if a.Name != nil && a.Value != nil && !a.Append {
			s.env[a.Name.Value] = s.word(a.Value).text
		}
	}
}

func (s script) command(n *syntax.Stmt, call *syntax.CallExpr, pipe *syntax.Stmt) command {
	c := command{pipe: pipe}
	for i, a := range call.Args {
		w := s.word(a)
		if i == len(c.words) && len(c.words) == 0 && (w.text == "sudo" || w.text == "exec" || w.text == "time") &&
			len(call.Args) > 1 {
			call.Args = call.Args[1:]
			return s.command(n, call, pipe)
		}
		c.words = append(c.words, w)
	}
	for _, r := range n.Redirs {
		switch r.Op {
		case syntax.RdrOut, syntax.AppOut, syntax.RdrClob, syntax.RdrAll, syntax.AppAll:
			c.writes = append(c.writes, s.word(r.Word))
		case syntax.Hdoc, syntax.DashHdoc:
			c.reads = append(c.reads, s.word(r.Hdoc))
		case syntax.WordHdoc:
			c.reads = append(c.reads, s.word(r.Word))
		}
	}
	return c
}

func (s script) word(w *syntax.Word) word {
	if w == nil {
		return word{}
	}
	return word{normal(s.parts(w.Parts), s.env), s.place(w.Pos())}
}

// parts are a word as it is written, without quotes.
func (s script) parts(parts []syntax.WordPart) string {
	var b strings.Builder
	for _, p := range parts {
		text := s.text[p.Pos().Offset():p.End().Offset()]
		switch p := p.(type) {
		case *syntax.SglQuoted:
			text = s.text[p.Left.Offset()+1 : p.Right.Offset()]
			if p.Dollar {
				text = s.text[p.Left.Offset()+2 : p.Right.Offset()]
			}
		case *syntax.DblQuoted:
			text = s.parts(p.Parts)
		case *syntax.Lit:
			text = strings.ReplaceAll(text, "\\\n", "")
		}
		b.WriteString(text)
	}
	return b.String()
}

func sha(n int) string { return fmt.Sprintf("<sha:%d>", n) }

var (
	variable = lazyregexp.New(
		`\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?::0?:(\d+))?\}|\{\{\s*env\.([A-Za-z_]\w*)\s*\}\})`)
	wholeSHA = lazyregexp.New(`\$\{\{\s*github\.sha\s*\}\}|\$\(git rev-parse HEAD\)`)
	shortSHA = lazyregexp.New(
		`\$\(git rev-parse --short=(\d+) HEAD\)|\$\((?:echo|printf '?%s'?) "?<sha:40>"? *\| *(?:cut -c ?1?-|head -c ?)(\d+)\)`)
)

// normal replaces known variables, and the commit in its usual forms.
func normal(text string, env map[string]string) string {
	text = variable().ReplaceAllStringFunc(wholeSHA().ReplaceAllString(text, sha(40)), func(v string) string {
		m := variable().FindStringSubmatch(v)
		name := m[1] + m[2] + m[4]
		value, known := env[name]
		if name == "GITHUB_SHA" {
			value, known = sha(40), true
		}
		switch {
		case !known, m[3] != "" && value != sha(40):
			return v
		case m[3] != "":
			return "<sha:" + m[3] + ">"
		}
		return value
	})
	return shortSHA().ReplaceAllString(text, "<sha:$1$2>")
}
