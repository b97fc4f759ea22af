package main

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slipway/internal/check"
	"slipway/internal/finding"
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
		text, made := edited(old, byFile[file])
		if made == 0 {
			continue
		}
		if err := replace(root, filepath.FromSlash(file), text); err != nil {
			return fmt.Errorf("fix %s: %w", file, err)
		}
		a.printChanges(file, old, text)
		changed += made
	}
	if changed == 0 {
		fmt.Fprintln(a.stderr, "slipway: nothing could be fixed for certain; nothing was changed")
		return nil
	}
	fmt.Fprintf(a.stderr, "slipway: %s made; look at them with `git diff`\n", count(changed, "change"))
	return nil
}

// edited makes edits from the end to the start, so that none moves another. Of two that overlap only
// one is made: the next run makes the other, if it is still wanted.
func edited(text []byte, edits []finding.Edit) (out []byte, made int) {
	slices.SortStableFunc(edits, func(a, b finding.Edit) int { return cmp.Or(cmp.Compare(b.Start, a.Start), cmp.Compare(b.End, a.End)) })
	out = slices.Clone(text)
	free := len(text) + 1 // edits must end before it
	for _, e := range edits {
		if e.Start < 0 || e.End < e.Start || e.End > len(text) || e.End > free || e.Start >= free {
			continue
		}
		out = slices.Replace(out, e.Start, e.End, []byte(e.New)...)
		free = e.Start
		made++
	}
	return out, made
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
	if err := root.WriteFile(temporary, text, info.Mode().Perm()); err != nil {
		return err
	}
	if err := root.Rename(temporary, name); err != nil {
		_ = root.Remove(temporary)
		return err
	}
	return nil
}

// printChanges prints the lines in which two texts differ. They go to standard error: the report of what
// is left is the result.
func (a *app) printChanges(file string, before, after []byte) {
	s := styleOf(a.stderr)
	old, new := bytes.Split(before, []byte("\n")), bytes.Split(after, []byte("\n"))
	head := 0
	for head < min(len(old), len(new)) && bytes.Equal(old[head], new[head]) {
		head++
	}
	tail := 0
	for tail < min(len(old), len(new))-head && bytes.Equal(old[len(old)-1-tail], new[len(new)-1-tail]) {
		tail++
	}
	old, new = old[head:len(old)-tail], new[head:len(new)-tail]
	for i := range max(len(old), len(new)) {
		var parts []string
		if i < len(old) && i < len(new) && bytes.Equal(old[i], new[i]) {
			continue
		}
		if i < len(old) {
			parts = append(parts, s.red("- "+clean(strings.TrimSpace(string(old[i])))))
		}
		if i < len(new) {
			parts = append(parts, s.green("+ "+clean(strings.TrimSpace(string(new[i])))))
		}
		fmt.Fprintf(a.stderr, "%s:%d  %s\n", file, head+i+1, strings.Join(parts, "  "))
	}
}
