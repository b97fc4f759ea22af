package origin

import (
	"context"
	"path"
	"regexp"
	"slices"
	"strings"

	"slipway/internal/check/finding"
	"slipway/internal/object"
	"slipway/internal/render/tree"
)

// maxLines bounds how many lines of templates are tried for one field.
const maxLines = 24

// templatePlace returns the line of a chart's template that writes a field, or else the deepest field above
// it that has a line. A template is a program, so it is asked: each line that has the field's key gets
// another key, one line at a time, and where the field then leaves the object, that line writes it. The line
// that the text suggests comes first, and is the answer where the time runs out. Without a line the place is
// the object's template.
func templatePlace(ctx context.Context, x experiment, base baseline, p part) finding.Place {
	steps, err := object.Steps(p.field)
	at := finding.At(p.Origin)
	if err != nil || at.Line > 0 || !strings.Contains(at.File, "/templates/") {
		return at
	}
	raw, err := x.view.File(at.File)
	if err != nil {
		return at
	}
	guess := PlaceInTemplate(at, string(raw), p.Object.Ref(), steps)
	if len(steps) == 0 {
		return kindPlace(ctx, x, base, p, string(raw), guess)
	}
	files := templatesOf(x, at.File)
	tries := maxLines
	for depth := len(steps); depth > 0; depth-- {
		for _, name := range files {
			raw, err := x.view.File(name)
			if err != nil || steps[depth-1].Element {
				continue
			}
			text := string(raw)
			for _, offset := range keys(text, steps[depth-1].Key, lineIn(guess, name)) {
				if tries--; tries < 0 || x.budget.isSpent(ctx) {
					return guess
				}
				if writes(ctx, x, base, p, steps[:depth], name, text[:offset]+"slipway-"+text[offset:]) {
					return placeAt(name, text, offset)
				}
			}
		}
	}
	return at
}

// kindPlace is templatePlace for a whole object: the line that says its kind.
func kindPlace(
	ctx context.Context, x experiment, base baseline, p part, text string, guess finding.Place,
) finding.Place {
	at := finding.At(p.Origin)
	for i, offset := range keys(text, "kind", lineIn(guess, at.File)) {
		if i == maxLines || x.budget.isSpent(ctx) {
			return guess
		}
		value := strings.TrimLeft(text[offset+len("kind:"):], " ")
		edited := text[:len(text)-len(value)] + "Slipway" + value
		if writes(ctx, x, base, p, nil, at.File, edited) {
			return placeAt(at.File, text, offset)
		}
	}
	return at
}

// lineIn is the line of a place in a file; 0 where it is in another.
func lineIn(p finding.Place, file string) int {
	if p.File != file {
		return 0
	}
	return p.Line
}

// placeAt is the place of an offset in a file's text.
func placeAt(file, text string, offset int) finding.Place {
	before := text[:offset]
	return finding.Place{File: file, Line: 1 + strings.Count(before, "\n"),
		Column: offset - strings.LastIndexByte(before, '\n')}
}

// writes reports whether a field leaves an object when a template has another text.
func writes(
	ctx context.Context, x experiment, base baseline, p part, field []object.Step, name, text string,
) bool {
	texts := edits(base.removed)
	texts[name] = []byte(text)
	parts, err := renderEdited(ctx, x, base, base.removed, texts)
	if err != nil {
		return false
	}
	o, ok := counterpart(p.Object, objectsOf(parts))
	if !ok {
		return true
	}
	_, found := object.Value(o.Body, follow(p.Body, o.Body, field))
	return !found
}

// templatesOf returns a template, and after it the others of its chart that it may include.
func templatesOf(x experiment, file string) []string {
	chart, _, _ := strings.Cut(file, "/templates/")
	all := []string{file}
	for _, seen := range x.result.Reads.List() {
		isTemplate := strings.HasPrefix(seen.Path, chart+"/templates/") &&
			strings.HasPrefix(path.Base(seen.Path), "_")
		if isTemplate && seen.Kind == tree.File && !slices.Contains(all, seen.Path) {
			all = append(all, seen.Path)
		}
	}
	return all
}

// keys returns the offsets at which a text has a key of a YAML mapping, that in a line first.
func keys(text, key string, first int) (offsets []int) {
	if key == "" {
		return nil
	}
	pattern, err := regexp.Compile(`(?m)(?:^|[\s{,"'])(` + regexp.QuoteMeta(key) + `)["']?[ \t]*:(?:\s|$)`)
	if err != nil {
		return nil
	}
	for _, found := range pattern.FindAllStringSubmatchIndex(text, -1) {
		offsets = append(offsets, found[2])
	}
	slices.SortStableFunc(offsets, func(a, b int) int {
		isFirst := func(offset int) int { // 0 sorts before 1
			if placeAt("", text, offset).Line == first {
				return 0
			}
			return 1
		}
		return isFirst(a) - isFirst(b)
	})
	return offsets
}
