package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// notPages are the directories of the repository without pages for readers.
var notPages = []string{".git", ".github", "bin", "changes", "dist", "node_modules", "testdata"}

// errDifferent says that a command printed another text than the page shows.
var errDifferent = errors.New("printed")

// TestDocuments types each command of every page as a reader would, and compares what it prints. A block
// that is not executed says so above it, and is counted among the skipped tests. UPDATE=1 writes what was
// printed into the page where it differs.
func TestDocuments(t *testing.T) {
	root := filepath.Join("..", "..")
	for _, page := range pagesOf(t, root) {
		t.Run(page, func(t *testing.T) { t.Parallel(); typePage(t, page, filepath.Join(root, page)) })
	}
}

// pagesOf are the Markdown files of a repository, by their paths with slashes.
func pagesOf(t *testing.T, root string) []string {
	t.Helper()
	var pages []string
	err := fs.WalkDir(os.DirFS(root), ".", func(at string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(notPages, d.Name()):
			return fs.SkipDir
		case strings.HasSuffix(at, ".md") && !d.IsDir():
			pages = append(pages, at)
		}
		return nil
	})
	if err != nil || len(pages) < 70 {
		t.Fatalf("%s has %d pages, want at least 70: %v", root, len(pages), err)
	}
	return pages
}

// typePage types the commands of one page.
func typePage(t *testing.T, page, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	blocks := readBlocks(t, page, string(text))
	var s *shell
	if slices.ContainsFunc(blocks, func(b block) bool { return b.skip == "" }) {
		s = newShell(t, page, strings.Contains(string(text), "$ slipway sandbox up"))
	}
	executed, skipped, update := 0, 0, map[int][]string{}
	for _, b := range blocks {
		name := fmt.Sprintf("%s:%d", page, b.line)
		if b.skip != "" {
			// The page itself says why, above the block; the list of skipped tests repeats it.
			skipped++
			t.Run(fmt.Sprintf("not executed:%d", b.line), func(t *testing.T) { t.Skip(b.skip) })
			continue
		}
		if !b.hidden {
			executed++
		}
		if b.file != "" {
			saveBlock(t, s, b)
			continue
		}
		printed, err := typeBlock(s, b)
		if err != nil && (os.Getenv("UPDATE") == "" || !errors.Is(err, errDifferent)) {
			t.Fatalf("%s: %v", name, err)
		}
		if err != nil {
			t.Logf("%s: %v", name, err)
			update[b.line] = printed
		}
	}
	if len(blocks) == 0 {
		return
	}
	t.Logf("%s: %d blocks executed, %d not", page, executed, skipped)
	if len(update) > 0 {
		replaceBlocks(t, file, string(text), blocks, update)
	}
}

// saveBlock saves a block as the file of its title, in the directory of the shell.
func saveBlock(t *testing.T, s *shell, b block) {
	t.Helper()
	lines, _, err := s.run("pwd")
	if err != nil || len(lines) != 1 {
		t.Fatalf("pwd: %v %v", lines, err)
	}
	at := filepath.Join(strings.Replace(lines[0], home, s.home, 1), b.file)
	text := s.own(strings.Join(b.text, "\n")) + "\n"
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// typeBlock types the commands of a block. It returns the block as it has to be, with an error where that
// differs from the page.
func typeBlock(s *shell, b block) ([]string, error) {
	commands, err := b.commands()
	if err != nil {
		return b.text, err
	}
	var text []string
	var different error
	for i, c := range commands {
		until := c.at + len(b.text)
		if i+1 < len(commands) {
			until = commands[i+1].at
		}
		typed := b.text[c.at : min(until, len(b.text))-len(c.output)]
		printed, err := typeCommand(s, b, c)
		text = append(text, typed...)
		if err == nil {
			printed = c.output
		} else if different == nil {
			different = fmt.Errorf("$ %s\n%w", c.typed, err)
		}
		text = append(text, printed...)
	}
	return text, different
}

// typeCommand types a command, and again while a block that is repeated does not show what it should.
func typeCommand(s *shell, b block, c command) (printed []string, err error) {
	tick := time.NewTicker(200 * time.Millisecond) // commands that are repeated take most of the time of a page
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); ; <-tick.C {
		var exit int
		if b.interrupted {
			printed, err = s.runUntil(c.typed, func(lines []string) bool { return matches(c.output, lines) })
		} else {
			printed, exit, err = s.run(c.typed)
		}
		switch {
		case err != nil:
		case exit != c.exit:
			err = fmt.Errorf("exited with %d, not %d:\n%s", exit, c.exit, strings.Join(printed, "\n"))
		case b.language != "sh" && !matches(c.output, printed):
			err = fmt.Errorf("%w:\n%s\ninstead of:\n%s", errDifferent, strings.Join(printed, "\n"),
				strings.Join(c.output, "\n"))
		}
		if err == nil || !b.repeat || len(c.output) == 0 || time.Now().After(end) {
			return printed, err
		}
	}
}

// replaceBlocks writes what the commands printed into the page.
func replaceBlocks(t *testing.T, file, text string, blocks []block, update map[int][]string) {
	t.Helper()
	lines := strings.Split(text, "\n")
	for _, b := range slices.Backward(blocks) {
		if printed, ok := update[b.line]; ok {
			lines = slices.Concat(lines[:b.line], printed, lines[b.line+len(b.text):])
		}
	}
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
}
