package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slipway/internal/check"
	"slipway/internal/check/finding"
)

// fix makes the edits of all findings, each file at once, and prints the lines that changed.
func (a *app) fix(dir string, r check.Report) error {
	byFile := map[string][]finding.Edit{}
	for _, f := range r.Findings {
		for _, e := range f.Edits {
			byFile[e.File] = append(byFile[e.File], e)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open project: %w", err)
	}
	defer root.Close()
	changed := 0
	for _, file := range slices.Sorted(maps.Keys(byFile)) {
		old, err := root.ReadFile(filepath.FromSlash(file))
		if err != nil {
			return fmt.Errorf("fix %s: %w", file, err)
		}
		text, made := finding.Apply(old, byFile[file])
		if len(made) == 0 {
			continue
		}
		if err := replace(root, filepath.FromSlash(file), text); err != nil {
			return fmt.Errorf("fix %s: %w", file, err)
		}
		for _, e := range slices.Backward(made) { // to standard error: the report of what is left is the result
			printEdit(a.stderr, old, e)
		}
		changed += len(made)
	}
	if changed == 0 {
		fmt.Fprintln(a.stderr, "slipway: nothing could be fixed for certain; nothing was changed")
		return nil
	}
	fmt.Fprintf(a.stderr, "slipway: %s made; look at them with `git diff`\n", count(changed, "change"))
	return nil
}

// replace puts a new file in the place of the old one, with its mode.
func replace(root *os.Root, name string, text []byte) error {
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("it is a link: change what it leads to")
	}
	temporary := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+".slipway")
	err = root.WriteFile(temporary, text, info.Mode().Perm())
	if err == nil {
		err = root.Rename(temporary, name)
	}
	if err != nil {
		_ = root.Remove(temporary)
	}
	return err
}

// printEdit prints the lines that an edit changes, on one line.
func printEdit(w io.Writer, text []byte, e finding.Edit) {
	start := bytes.LastIndexByte(text[:e.Start], '\n') + 1
	end := e.End
	if i := bytes.IndexByte(text[e.End:], '\n'); i >= 0 && (e.End == 0 || text[e.End-1] != '\n') {
		end += i
	}
	s := styleOf(w)
	shown := func(lines string) string {
		var parts []string
		for line := range strings.Lines(lines) {
			parts = append(parts, clean(strings.TrimSpace(line)))
		}
		return strings.Join(parts, " ⏎ ")
	}
	if added := strings.TrimLeft(e.New, "\r\n"); e.Start == e.End && (e.Start == start || added != e.New) { // lines of their own
		line := 1 + bytes.Count(text[:e.Start], []byte("\n"))
		if added != e.New {
			line++
		}
		fmt.Fprintf(w, "%s:%d  %s\n", e.File, line, s.green("+ "+shown(added)))
		return
	}
	before, after := string(text[start:end]), string(text[start:e.Start])+e.New+string(text[e.End:end])
	line := 1 + bytes.Count(text[:start], []byte("\n"))
	fmt.Fprintf(w, "%s:%d  %s  %s\n", e.File, line, s.red("- "+shown(before)), s.green("+ "+shown(after)))
}
