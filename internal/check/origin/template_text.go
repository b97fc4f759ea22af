package origin

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"slipway/internal/check/finding"
	"slipway/internal/lazyregexp"
	"slipway/internal/object"
)

var (
	templateKey    = lazyregexp.New(`^(\s*(?:- +)?)["']?([A-Za-z0-9_./-]+)["']?:`)
	templateAction = lazyregexp.New(`\{\{.*?\}\}`)
)

// PlaceInTemplate looks for a field's keys in the text of the template at a place, each deeper than the one
// before, and without steps for the object's kind. A computed part is not found: then it is the place of the
// part around it, and the place without a line where the object is not found either.
func PlaceInTemplate(p finding.Place, text string, ref object.Ref, steps []object.Step) finding.Place {
	if ext := path.Ext(p.File); ext != ".yaml" && ext != ".yml" {
		return p
	}
	lines := strings.Split(text, "\n")
	start := kindLine(lines, ref)
	if start < 0 {
		return p
	}
	end := len(lines)
	if i := slices.Index(lines[start:], "---"); i > 0 {
		end = start + i
	}
	p.Line, p.Column = start+1, 1
	indent, n := -1, start
	for _, s := range steps {
		if s.Element {
			continue
		}
		at := slices.IndexFunc(lines[n:end], func(line string) bool {
			m := templateKey().FindStringSubmatch(line)
			return m != nil && m[2] == s.Key && len(m[1]) > indent
		})
		if at < 0 {
			return p
		}
		n += at
		indent = len(templateKey().FindStringSubmatch(lines[n])[1])
		p.Line, p.Column = n+1, indent+1
		n++
	}
	return p
}

// kindLine is the line with an object's kind in a template; -1 where that is ambiguous. Of several of the
// kind it is the one whose name, with anything in place of what is computed, is the object's.
func kindLine(lines []string, ref object.Ref) int {
	found, named := []int{}, []int{}
	for i, line := range lines {
		if strings.TrimSpace(line) != "kind: "+ref.Kind {
			continue
		}
		found = append(found, i)
		for _, below := range lines[i:min(i+6, len(lines))] {
			name, ok := strings.CutPrefix(strings.TrimSpace(below), "name:")
			if !ok {
				continue
			}
			parts := templateAction().Split(strings.Trim(strings.TrimSpace(name), `"'`), -1)
			for j := range parts {
				parts[j] = regexp.QuoteMeta(parts[j])
			}
			if ok, _ := regexp.MatchString("^"+strings.Join(parts, ".+")+"$", ref.Name); ok {
				named = append(named, i)
			}
			break
		}
	}
	switch {
	case len(found) == 1:
		return found[0]
	case len(named) == 1:
		return named[0]
	}
	return -1
}
