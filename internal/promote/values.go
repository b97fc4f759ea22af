package promote

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/internal/check/finding"
	"slipway/internal/image"
	"slipway/internal/project"
)

// setting is a scalar of a values file that may set the version of an image.
type setting struct {
	path  []string
	value string
	guess bool
}

// maxSettings is how many values of a file are tried: each is a render.
const maxSettings = 20

// inValues returns the ways to set an image in the values files of a chart: where a file has it, and as a new
// key in the last file.
func (w *work) inValues(ctx context.Context, c project.Chart, m image.Matched, pin image.Pin) (
	ways []attempt, err error) {
	for i, file := range slices.Backward(c.Values) {
		file = path.Clean(file)
		readers, err := w.readers(ctx, file)
		if err != nil {
			return nil, err
		}
		var there, added []attempt
		text, err := w.text(ctx, file)
		if err != nil {
			there = []attempt{oneFile(file, nil)}
			there[0].err = err
		} else {
			for _, l := range settings(text, m) {
				there = append(there, w.values(c, file, text, l, m, pin)...)
			}
			if i == len(c.Values)-1 {
				added = w.added(c, file, text, m, pin)
			}
		}
		for _, a := range there {
			a.rank = 2 * readers
			ways = append(ways, a)
		}
		for _, a := range added {
			a.rank = 2*readers + 1
			ways = append(ways, a)
		}
	}
	return ways, nil
}

// readers counts the releases of all environments that read a values file.
func (w *work) readers(ctx context.Context, file string) (n int, err error) {
	for _, env := range w.project.Environments {
		charts, err := w.renderer.Charts(ctx, env)
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if err != nil {
			charts = env.Charts // it does not render
		}
		for _, c := range charts {
			for _, other := range append(slices.Clone(c.Values), path.Join(c.Path, "values.yaml")) {
				if path.Clean(other) == file {
					n++
				}
			}
		}
	}
	return n, nil
}

// settings returns the scalars that may set the version of an image: their value is the current version, or
// their key ends in "tag".
func settings(text []byte, m image.Matched) (all []setting) {
	docs, _ := documents(text)
	for _, d := range docs {
		visit(d, nil, func(at []string, value string) {
			says := value != "" && slices.Contains([]string{m.Tag, m.Uses[0].Reference, m.Tag + "@" + m.Digest}, value)
			if says || strings.HasSuffix(strings.ToLower(at[len(at)-1]), "tag") {
				all = append(all, setting{at, value, !says})
			}
		})
	}
	slices.SortStableFunc(all, func(a, b setting) int {
		return strings.Compare(strconv.FormatBool(a.guess), strconv.FormatBool(b.guess))
	})
	return all[:min(maxSettings, len(all))]
}

// visit calls f for every scalar below a node, also for those that aliases and merges bring.
func visit(n *yaml.Node, at []string, f func(at []string, value string)) {
	if len(at) > maxSteps {
		return
	}
	n = target(n)
	switch n.Kind {
	case yaml.ScalarNode:
		if len(at) > 0 {
			f(at, n.Value)
		}
	case yaml.SequenceNode:
		for i, c := range n.Content {
			visit(c, append(slices.Clone(at), strconv.Itoa(i)), f)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			if k.ShortTag() != "!!merge" {
				visit(v, append(slices.Clone(at), k.Value), f)
				continue
			}
			merged := []*yaml.Node{v}
			if target(v).Kind == yaml.SequenceNode {
				merged = target(v).Content
			}
			for _, from := range merged {
				visit(from, at, func(path []string, value string) {
					if _, own := child(n, path[len(at)]); own == nil {
						f(path, value)
					}
				})
			}
		}
	}
}

// values returns the ways to set an image with one value: a whole reference, a tag with a separate digest if
// the chart has one, or a tag that includes the digest.
func (w *work) values(c project.Chart, file string, text []byte, l setting, m image.Matched,
	pin image.Pin) (ways []attempt) {
	if err := Shared(text, l.path); err != nil {
		a := oneFile(file, text)
		a.guess, a.err = l.guess, err
		return []attempt{a}
	}
	whole, above := joined(pin), l.path[:len(l.path)-1]
	if l.value == m.Uses[0].Reference {
		whole = pin.Reference()
	} else if e, err := Set(file, text, l.path, pin.Tag); err == nil && pin.Digest != "" {
		path := append(slices.Clone(above), "digest")
		d, err := Set(file, text, path, pin.Digest)
		if err != nil && w.hasDefault(c, path) {
			d, err = addAfter(file, text, above, l.path[len(above)], pair{"digest", pin.Digest})
		}
		if err == nil && Shared(text, path[:len(above)]) == nil {
			a := oneFile(file, text, pin.Reference(), pin.Repository+"@"+pin.Digest)
			a.files[0].edits, a.guess = []finding.Edit{e, d}, l.guess
			ways = append(ways, a)
		}
	}
	a := oneFile(file, text, pin.Reference())
	e, err := Set(file, text, l.path, whole)
	a.files[0].edits, a.guess, a.err = []finding.Edit{e}, l.guess, err
	return append(ways, a)
}

// joined is a tag that includes the digest.
func joined(pin image.Pin) string {
	if pin.Digest == "" {
		return pin.Tag
	}
	return pin.Tag + "@" + pin.Digest
}

// added returns the ways to set an image with a key that only the chart's own values have, or that charts
// usually read.
func (w *work) added(
	c project.Chart, file string, text []byte, m image.Matched, pin image.Pin,
) (ways []attempt) {
	add := func(at []string, want []string, values ...pair) {
		if _, err := placesAt(text, append(slices.Clone(at), values[0].key)); err == nil {
			return // the file has it
		}
		a := oneFile(file, text, want...)
		e, err := insert(file, text, at, values...)
		if a.files[0].edits, a.guess = []finding.Edit{e}, true; err == nil {
			ways = append(ways, a)
		}
	}
	ref := []string{pin.Reference()}
	for _, l := range w.defaults(c, m) {
		above, key := l.path[:len(l.path)-1], l.path[len(l.path)-1]
		lower := strings.ToLower(key)
		if strings.HasSuffix(lower, "tag") {
			if pin.Digest != "" && w.hasDefault(c, append(slices.Clone(above), "digest")) {
				add(above, append(ref, pin.Repository+"@"+pin.Digest), pair{key, pin.Tag}, pair{"digest", pin.Digest})
			}
			add(above, ref, pair{key, joined(pin)})
			continue
		}
		if lower == "digest" && pin.Digest != "" {
			add(above, append(ref, pin.Repository+"@"+pin.Digest), pair{key, pin.Digest})
			continue
		}
		add(above, ref, pair{key, pin.Reference()})
	}
	return ways
}

// defaults returns the values of a chart that may be about an image: those that settings finds in its own
// values, then keys that charts usually read.
func (w *work) defaults(c project.Chart, m image.Matched) (all []setting) {
	if text, err := w.chartValues(c); err == nil {
		all = settings(text, m)
		docs, _ := documents(text)
		for _, d := range docs {
			visit(d, nil, func(at []string, value string) {
				key := strings.ToLower(at[len(at)-1])
				named := strings.HasSuffix(key, "image") || key == "repository" || key == "digest"
				if (named || value == m.Repository) && len(all) < 2*maxSettings {
					all = append(all, setting{at, value, true})
				}
			})
		}
	}
	for _, usual := range []string{"image.tag", "image", "image.digest", "image.repository"} {
		at := strings.Split(usual, ".")
		isKnown := func(l setting) bool { return slices.Equal(l.path, at) }
		if !slices.ContainsFunc(all, isKnown) {
			all = append(all, setting{path: at, guess: true})
		}
	}
	return all
}

// chartValues returns a chart's own values.
func (w *work) chartValues(c project.Chart) ([]byte, error) {
	if c.Repository != "" {
		return nil, os.ErrNotExist
	}
	return os.ReadFile(filepath.Join(w.project.Dir, filepath.FromSlash(c.Path), "values.yaml"))
}

// hasDefault reports whether a chart's own values have a path.
func (w *work) hasDefault(c project.Chart, keys []string) bool {
	text, err := w.chartValues(c)
	if err == nil {
		_, err = at(text, keys)
	}
	return err == nil
}
