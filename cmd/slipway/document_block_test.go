package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// block is a fenced block of a Markdown page that a reader types or saves.
type block struct {
	line     int    // of its fence, from 1
	language string // console, sh, or that of a file
	file     string // the block's text is saved there
	skip     string // why it is not executed
	hidden   bool   // it is in a comment: what a reader of the page has done before
	repeat   bool   // its commands only read, and are repeated until they print the expected text
	text     []string

	interrupted bool // its commands run until they are interrupted, here after they printed the expected text
}

// command is what a reader types, and the text that the page shows below it.
type command struct {
	at     int // line of the block's text, from 0
	typed  string
	exit   int
	output []string
}

var (
	fence  = regexp.MustCompile("^(```+)([a-z]*) ?(.*)$")
	titled = regexp.MustCompile(`^title="([^"]+)"$`)
	remark = regexp.MustCompile(`^<!-- (not executed: (.+)|repeated until it shows this|` +
		`interrupted after this) -->$`)
	exitsWith = regexp.MustCompile(`# exit code (\d+)$`)
	indented  = regexp.MustCompile("^( {4,}|\t|> *)(\\$|slipway|kubectl|git|make|go) |^[ \t>]+```")
	program   = regexp.MustCompile(`^(\$|slipway|kubectl|git|make|go|curl|export) `)
)

// beginHidden and endHidden enclose commands that the page does not show: what its reader has done before,
// such as making the project that the page is about.
const beginHidden, endHidden = "<!-- typed before:", "-->"

// readBlocks returns the blocks of a page that are typed or saved, those that are not executed too. It fails
// the test where a command would be missed: in an indented block, or in one without a language.
func readBlocks(t *testing.T, page, text string) []block {
	var blocks []block
	var mark []string // of the next block
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		if lines[i] == beginHidden {
			b := block{line: i + 1, language: "sh", hidden: true}
			for i++; i < len(lines) && lines[i] != endHidden; i++ {
				b.text = append(b.text, lines[i])
			}
			blocks = append(blocks, b)
			continue
		}
		if indented.MatchString(lines[i]) {
			t.Errorf("%s:%d: commands belong into a fenced block at the left margin", page, i+1)
		}
		if m := remark.FindStringSubmatch(lines[i]); m != nil {
			mark = m
			continue
		}
		m := fence.FindStringSubmatch(lines[i])
		if m == nil {
			if lines[i] != "" {
				mark = nil
			}
			continue
		}
		b := block{line: i + 1, language: m[2]}
		if title := titled.FindStringSubmatch(m[3]); title != nil {
			b.file = title[1]
			if above := strings.Join(lines[max(i-2, 0):i], " "); !strings.Contains(above, "`"+b.file+"`") {
				t.Errorf("%s:%d: name `%s` above the block: readers do not see the title", page, i+1, b.file)
			}
		}
		for i++; i < len(lines) && lines[i] != m[1]; i++ {
			b.text = append(b.text, lines[i])
		}
		if mark != nil {
			b.skip, b.repeat, b.interrupted = mark[2], mark[1][0] == 'r', mark[1][0] == 'i'
			mark = nil
		}
		if b.language == "" && len(b.text) > 0 && program.MatchString(b.text[0]) {
			t.Errorf("%s:%d: a block with commands has the language console", page, b.line)
		}
		if b.isTyped() || b.file != "" {
			blocks = append(blocks, b)
		}
	}
	return blocks
}

func (b block) isTyped() bool {
	return b.language == "console" || b.language == "sh" || b.language == "powershell"
}

// commands splits a console block: "$ " starts a command, and "> " below it goes on. The whole of an sh block
// is one command, whose output the page does not show.
func (b block) commands() ([]command, error) {
	if b.language == "sh" {
		return []command{{typed: strings.Join(b.text, "\n")}}, nil
	}
	var all []command
	more := false // the line before this one was typed
	for i, line := range b.text {
		typed, starts := strings.CutPrefix(line, "$ ")
		next, goesOn := strings.CutPrefix(line+" ", "> ")
		switch {
		case starts:
			all, more = append(all, command{at: i, typed: typed}), true
		case len(all) == 0:
			return nil, fmt.Errorf("a console block starts with `$ `, not with %q", line)
		case more && goesOn:
			all[len(all)-1].typed += "\n" + strings.TrimSuffix(next, " ")
		default:
			more = false
			all[len(all)-1].output = append(all[len(all)-1].output, line)
		}
	}
	for i := range all {
		if m := exitsWith.FindStringSubmatch(all[i].typed); m != nil {
			_, _ = fmt.Sscan(m[1], &all[i].exit)
		}
	}
	return all, nil
}

// anyRun stands for a text that another run prints differently.
type anyRun struct {
	pattern *regexp.Regexp
	instead string
}

var anyRuns = []anyRun{
	{regexp.MustCompile(`sha256:[0-9a-f]{12,64}`), "sha256:DIGEST"},
	{regexp.MustCompile(`sha-[0-9a-f]{7}`), "sha-COMMIT"},
	{regexp.MustCompile(`\b[0-9a-f]{40}\b`), "COMMIT"},
	{regexp.MustCompile(`\b[0-9a-f]{7}\b`), "COMMIT"},
	{regexp.MustCompile(`\b[0-9a-f]{7}\.\.[0-9a-f]{7}\b`), "COMMITS"},
	{regexp.MustCompile(`-[0-9a-z]{8,10}-[0-9a-z]{5}\b`), "-POD"},
	{regexp.MustCompile(`\b(\d+h)?(\d+m)?\d+(\.\d+)? ?(µs|ms|s|m|h|d)\b( ago)?|\bjust now\b`), "TIME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:\d\d)?`), "TIME"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "ADDRESS"},
	{regexp.MustCompile(`\b[\w.-]+@[\w.-]+\b`), "USER"},
	{regexp.MustCompile(`led by \S+`), "led by REPLICA"},
	{regexp.MustCompile(`linux/(amd64|arm64)`), "PLATFORM"},
	{regexp.MustCompile(`go1\.\d+(\.\d+)?`), "GO"},
	{regexp.MustCompile(` {2,}|\t`), "  "},
}

func normal(line string) string {
	for _, r := range anyRuns {
		line = r.pattern.ReplaceAllString(line, r.instead)
	}
	return strings.TrimRight(line, " ")
}

// matches says whether a command has printed what the page shows. "…" on a line of its own is any number of
// lines, and within a line any text.
func matches(shown, printed []string) bool {
	if len(shown) == 0 {
		return len(printed) == 0
	}
	if strings.TrimSpace(shown[0]) == "…" {
		for from := range len(printed) + 1 {
			if matches(shown[1:], printed[from:]) {
				return true
			}
		}
		return false
	}
	return len(printed) > 0 && isLike(shown[0], printed[0]) && matches(shown[1:], printed[1:])
}

func isLike(shown, printed string) bool {
	shown, printed = normal(shown), normal(printed)
	if !strings.Contains(shown, "…") {
		return shown == printed
	}
	parts := strings.Split(shown, "…")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(printed)
}

// What another run prints differently is the same text to a page: ages of every length, hashes without letters
// and those that look like numbers, and the names of pods.
func TestNormal(t *testing.T) {
	for name, c := range map[string]struct{ shown, printed string }{
		"the first second":   {"healthy, 0s ago by ada", "healthy, just now by ada"},
		"a slow machine":     {"healthy, 3s ago by ada", "healthy, 1m4s ago by ada"},
		"minutes":            {"it opens in 59m59s", "it opens in 1h"},
		"days":               {"gate shut for 5d", "gate shut for 23h"},
		"fractions":          {"stable for 1.5s", "stable for 15s"},
		"microseconds":       {"took 950.1µs", "took 1.2ms"},
		"with a blank":       {"healthy after 0.8 s", "healthy after 61.5 s"},
		"the year":           {"since 2026-12-31T23:59:59Z", "since 2027-01-01 00:00"},
		"a zone":             {"at 2026-12-31T23:59:59+00:00", "at 2027-01-01T00:59:59+01:00"},
		"digits":             {"commit 1234567 is release 1", "commit abcdef0 is release 1"},
		"a float":            {"main-1234e56", "main-abcdef0"},
		"a range of commits": {"1234e56..7654321", "abcdef0..0fedcba"},
		"a whole hash":       {strings.Repeat("1", 40), strings.Repeat("e", 40)},
		"a pod":              {"web-7d9c5b6f4-x2x4z is ready", "web-55c9df7b7c-abcde is ready"},
		"a port":             {"http://127.0.0.1:8080/", "http://127.0.0.1:40213/"},
		"columns":            {"prod  healthy", "prod        healthy"},
	} {
		if shown, printed := normal(c.shown), normal(c.printed); shown != printed {
			t.Errorf("%s: %q, and %q", name, shown, printed)
		}
	}
}
