package promote

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"

	"slipway/internal/check/finding"
	"slipway/internal/check/origin"
	"slipway/internal/image"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render"
)

// Change is one edit of a file.
type Change struct {
	finding.Edit
	// Text is the file before the edit.
	Text []byte `json:"-"`
}

// Promotion is the edits that make an environment run other images.
type Promotion struct {
	Changes []Change `json:"edits"`
	// Files are the edited files.
	Files map[string][]byte `json:"-"`
	// Images are all images of the environment after the edits; Before and After are those that change.
	Images []image.Pin `json:"images"`
	Before []image.Pin `json:"-"`
	After  []image.Pin `json:"-"`
	// Notes are what the user should know, such as checks that were skipped.
	Notes []string `json:"-"`
}

// UndecidedError says that no edit of the environment's own files sets an image.
type UndecidedError struct {
	Environment, Image string
	// Reference is the image that the environment was to run.
	Reference string
	Place     finding.Place
	Why       string
	// Value is the chart value that names the image in a file that is not the environment's own; else empty.
	Value string
	// Shared: other environments are rendered from the file.
	Shared bool
}

func (e *UndecidedError) Error() string {
	at := ""
	if e.Place.File != "" {
		at = e.Place.String() + ": "
	}
	return fmt.Sprintf("promote %s to %s: %s%s", e.Image, e.Environment, at, e.Why)
}

// Plan returns the edits after which the environment runs the pinned images. It proves each by rendering: the
// fields that name the image have the new reference, and nothing else changes, in this environment and in all
// others. It fails with an *UndecidedError where no edit does that.
func Plan(ctx context.Context, p project.Project, env project.Environment, pins []image.Pin,
	o render.Options) (Promotion, error) {
	o.Remotes = p.Remotes
	r, err := render.Open(p.Dir, o)
	if err != nil {
		return Promotion{}, err
	}
	defer r.Close()
	none := Promotion{Changes: []Change{}, Files: map[string][]byte{}}
	w := work{project: p, env: env, renderer: r, result: none}
	with, err := r.Render(ctx, env)
	if err != nil {
		return Promotion{}, err
	}
	w.set = with.Set
	images := make([]project.Image, len(pins))
	for i, pin := range pins {
		images[i] = project.Image{Name: pin.Name, Detected: true} // another environment may use more of them
	}
	if w.matched, err = image.Match(images, w.set); err != nil {
		return Promotion{}, fmt.Errorf("images of %s: %w", env.Name, err)
	}
	for i, m := range w.matched {
		pin := pins[slices.IndexFunc(pins, func(p image.Pin) bool { return p.Name == m.Image.Name })]
		if err := w.promote(ctx, i, pin); err != nil {
			return Promotion{}, err
		}
		w.result.Images = append(w.result.Images, stated(w.matched[i]))
	}
	return w.result, w.others(ctx)
}

// stated returns an image as the manifests name it.
func stated(m image.Matched) image.Pin {
	return image.Pin{Name: m.Image.Name, Repository: m.Repository, Tag: m.Tag, Digest: m.Digest}
}

// work is the state of Plan: the environment with the edits so far.
type work struct {
	project  project.Project
	env      project.Environment
	renderer *render.Renderer
	set      object.Set
	matched  []image.Matched
	result   Promotion
}

// attempt is one way to set an image: edits of a file, and the references that the image may have then.
type attempt struct {
	file  string
	text  []byte
	edits []finding.Edit
	want  []string
	// guess: only the key's name suggests that the value is about the image.
	guess bool
	err   error
}

func (w *work) promote(ctx context.Context, i int, pin image.Pin) error {
	m := w.matched[i]
	// Keep the repository: manifests without a registry use the environment's.
	if pin.Repository = m.Repository; m.Digest == pin.Digest {
		return nil
	}
	refused := &UndecidedError{Environment: w.env.Name, Image: pin.Name, Reference: pin.Reference()}
	attempts, err := w.attempts(ctx, m, pin)
	if err != nil {
		return err
	}
	for _, a := range attempts {
		err := a.err
		if err == nil {
			err = w.prove(ctx, a, i)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			w.result.Before, w.result.After = append(w.result.Before, stated(m)), append(w.result.After, pin)
			w.matched[i].Tag, w.matched[i].Digest = pin.Tag, pin.Digest
			return nil
		}
		if !a.guess && refused.Why == "" {
			refused.Place, refused.Why = a.place(), err.Error()
		}
	}
	if refused.Why == "" {
		w.explain(ctx, m, refused)
	}
	return refused
}

// place returns the position of the first edit.
func (a attempt) place() finding.Place {
	p := finding.Place{File: a.file}
	if len(a.edits) > 0 && a.edits[0].Start <= len(a.text) {
		p.Line = 1 + bytes.Count(a.text[:a.edits[0].Start], []byte("\n"))
	}
	return p
}

// prove renders with an attempt and keeps it if only the image changes.
func (w *work) prove(ctx context.Context, a attempt, i int) error {
	after, made := finding.Apply(a.text, a.edits)
	files := maps.Clone(w.result.Files)
	files[a.file] = after
	result, err := w.renderer.Edited(ctx, w.env, files)
	if err != nil {
		return err
	}
	pins := make([]image.Pin, len(w.matched)) // the others do not change
	for j, m := range w.matched {
		pins[j] = stated(m)
	}
	different := ""
	for _, want := range a.want {
		pins[i] = image.Pin{Name: pins[i].Name, Repository: want}
		put, err := image.Put(w.set, pins)
		if err != nil {
			return err
		}
		if put.Digest() == result.Set.Digest() {
			w.set, w.result.Files = result.Set, files
			for _, e := range slices.Backward(made) {
				w.result.Changes = append(w.result.Changes, Change{e, a.text})
			}
			return nil
		}
		different = cmp.Or(different, differs(put, result.Set))
	}
	return fmt.Errorf("the edit would also change %s", different)
}

// differs names the first object or field in which two sets differ.
func differs(want, have object.Set) string {
	for _, o := range want.Objects() {
		h, _ := have.Get(o.Ref())
		for _, f := range object.Differences(o.Body, h.Body, object.Shown{}, false) {
			return strings.TrimSpace(o.Ref().String() + " " + f.Path)
		}
	}
	return "the list of objects"
}

// text returns a file with the edits so far. It fails for encrypted and generated files.
func (w *work) text(ctx context.Context, name string) ([]byte, error) {
	if text, ok := w.result.Files[name]; ok {
		return text, nil
	}
	text, err := os.ReadFile(filepath.Join(w.project.Dir, filepath.FromSlash(name)))
	if err != nil {
		return nil, err
	}
	read, err := w.renderer.View(ctx).File(name)
	head := bytes.ToLower(text[:min(len(text), 400)])
	switch {
	case err != nil:
	case !bytes.Equal(read, text):
		err = errors.New("the file is encrypted")
	case bytes.Contains(head, []byte("generated")) && bytes.Contains(head, []byte("do not edit")):
		err = errors.New("the file is generated")
	}
	return text, err
}

// attempts returns the ways to set an image in the environment's own files, the most likely first.
func (w *work) attempts(ctx context.Context, m image.Matched, pin image.Pin) (attempts []attempt, err error) {
	for _, folder := range w.env.Paths {
		if path.Ext(folder) != "" && w.renderer.View(ctx).IsFile(folder) {
			continue // a file of manifests has no images to set
		}
		for _, base := range konfig.RecognizedKustomizationFileNames() {
			a := attempt{file: path.Join(folder, base), want: []string{pin.Reference()}}
			if a.text, a.err = w.text(ctx, a.file); os.IsNotExist(a.err) {
				continue
			}
			if a.err == nil {
				a.edits, a.err = overlay(a.file, a.text, m, pin)
			}
			attempts = append(attempts, a)
		}
	}
	charts, err := w.renderer.Charts(ctx, w.env)
	for _, c := range charts {
		for _, file := range slices.Backward(c.Values) {
			file = path.Clean(file)
			text, err := w.text(ctx, file)
			if err != nil {
				attempts = append(attempts, attempt{file: file, err: err})
				continue
			}
			for _, l := range leaves(text, m) {
				attempts = append(attempts, w.values(c, file, text, l, m, pin)...)
			}
		}
	}
	return attempts, err
}

// overlay edits the last entry of images that names the image, or adds one.
func overlay(file string, text []byte, m image.Matched, pin image.Pin) ([]finding.Edit, error) {
	var entry []string
	var n *yaml.Node
	if list, err := at(text, []string{"images"}); err == nil {
		for i, item := range list.Content {
			_, name := child(item, "name")
			if _, other := child(item, "newName"); other != nil {
				name = other
			}
			if name != nil && name.Value == m.Repository {
				entry, n = []string{"images", strconv.Itoa(i)}, item
			}
		}
	}
	if entry == nil {
		e, err := addItem(file, text, "images", pair{"name", m.Repository}, pair{"newTag", pin.Tag},
			pair{"digest", pin.Digest})
		return []finding.Edit{e}, err
	}
	var edits []finding.Edit
	var more []pair
	after := "name"
	if _, v := child(n, "newName"); v != nil {
		after = "newName"
	}
	for _, p := range []pair{{"newTag", pin.Tag}, {"digest", pin.Digest}} {
		if _, v := child(n, p.key); v == nil {
			if p.value != "" {
				more = append(more, p)
			}
			continue
		}
		after = p.key
		e, err := Set(file, text, append(slices.Clone(entry), p.key), p.value)
		if err != nil {
			return nil, err
		}
		edits = append(edits, e)
	}
	if len(more) == 0 {
		return edits, nil
	}
	e, err := addAfter(file, text, entry, after, more...)
	return append(edits, e), err
}

// leaf is a scalar of a values file, with its path.
type leaf struct {
	path []string
	*yaml.Node
	guess bool
}

// leaves returns the scalars that may set the version of an image: their value is the current version, or
// their key ends in "tag".
func leaves(text []byte, m image.Matched) (all []leaf) {
	docs, _ := documents(text)
	var walk func(n *yaml.Node, at []string)
	walk = func(n *yaml.Node, at []string) {
		for i, v := range n.Content {
			switch {
			case n.Kind == yaml.SequenceNode:
				walk(v, append(slices.Clone(at), strconv.Itoa(i)))
			case i%2 == 1:
				walk(v, append(slices.Clone(at), n.Content[i-1].Value))
			}
		}
		if n.Kind != yaml.ScalarNode || len(at) == 0 {
			return
		}
		says := n.Value != "" && slices.Contains([]string{m.Tag, m.Uses[0].Reference, m.Tag + "@" + m.Digest},
			n.Value)
		if says || strings.HasSuffix(strings.ToLower(at[len(at)-1]), "tag") {
			all = append(all, leaf{at, n, !says})
		}
	}
	for _, d := range docs {
		walk(d, nil)
	}
	slices.SortStableFunc(all, func(a, b leaf) int {
		return strings.Compare(strconv.FormatBool(a.guess), strconv.FormatBool(b.guess))
	})
	return all[:min(20, len(all))] // each is a render
}

// values returns the ways to set an image with one value: a whole reference, a tag with a separate digest if
// the chart has one, or a tag that includes the digest.
func (w *work) values(c project.Chart, file string, text []byte, l leaf, m image.Matched,
	pin image.Pin) (ways []attempt) {
	whole, above := pin.Tag+"@"+pin.Digest, l.path[:len(l.path)-1]
	if l.Value == m.Uses[0].Reference {
		whole = pin.Reference()
	} else if e, err := Set(file, text, l.path, pin.Tag); err == nil {
		path := append(slices.Clone(above), "digest")
		d, err := Set(file, text, path, pin.Digest)
		if err != nil && w.hasDefault(c, path) {
			d, err = addAfter(file, text, above, l.path[len(above)], pair{"digest", pin.Digest})
		}
		if err == nil {
			ways = append(ways, attempt{file: file, text: text, edits: []finding.Edit{e, d},
				want: []string{pin.Reference(), pin.Repository + "@" + pin.Digest}, guess: l.guess})
		}
	}
	e, err := Set(file, text, l.path, whole)
	return append(ways, attempt{file: file, text: text, edits: []finding.Edit{e},
		want: []string{pin.Reference()}, guess: l.guess, err: err})
}

// hasDefault reports whether a chart's own values have a path.
func (w *work) hasDefault(c project.Chart, keys []string) bool {
	text, err := os.ReadFile(filepath.Join(w.project.Dir, filepath.FromSlash(c.Path), "values.yaml"))
	if err == nil {
		_, err = at(text, keys)
	}
	return err == nil && c.Repository == ""
}

// explain finds the place that names the image, which is not in one of the environment's own files.
func (w *work) explain(ctx context.Context, m image.Matched, e *UndecidedError) {
	o, _ := w.set.Get(m.Uses[0].Ref)
	e.Place, e.Why = finding.At(o.Origin), "none of the environment's own files names the version"
	report, err := origin.Analyze(ctx, w.renderer, w.env, origin.Options{Only: func(o origin.Override) bool {
		return m.Tag != "" && strings.Contains(o.Text, m.Tag)
	}})
	if err != nil {
		return
	}
	for _, o := range report.Because(m.Uses[0].Ref, "") {
		e.Place, e.Value = o.Place, o.Name
		e.Why = fmt.Sprintf("%s is %q, in a file that is not the environment's own", o.Name, o.Text)
	}
}

// others proves that no other environment changes.
func (w *work) others(ctx context.Context) error {
	for _, env := range w.project.Environments {
		if env.Name == w.env.Name || len(w.result.Changes) == 0 {
			continue
		}
		before, err := w.renderer.Render(ctx, env)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			w.result.Notes = append(w.result.Notes, fmt.Sprintf("did not check that %s stays the same: %v",
				env.Name, err))
			continue
		}
		after, err := w.renderer.Edited(ctx, env, w.result.Files)
		if err == nil && before.Set.Digest() == after.Set.Digest() {
			continue
		}
		c := w.result.Changes[0]
		return &UndecidedError{
			Environment: w.env.Name, Image: w.result.After[0].Name,
			Place: attempt{file: c.File, text: c.Text, edits: []finding.Edit{c.Edit}}.place(),
			Why: fmt.Sprintf("%s is rendered from it too: %s would change", env.Name,
				differs(before.Set, after.Set)),
			Shared: true,
		}
	}
	return nil
}

// Stated returns the project's images that an environment's manifests name by digest, and the names of the
// others.
func Stated(ctx context.Context, p project.Project, env project.Environment,
	o render.Options) (pins []image.Pin, missing []string, err error) {
	result, err := render.Render(ctx, p, env, o)
	if err != nil {
		return nil, nil, err
	}
	images := slices.Clone(p.Images)
	for i := range images {
		images[i].Detected = true // another environment may use more of them
	}
	matched, err := image.Match(images, result.Set)
	if err != nil {
		return nil, nil, fmt.Errorf("images of %s: %w", env.Name, err)
	}
	for _, m := range matched {
		if pins = append(pins, stated(m)); m.Digest == "" {
			pins, missing = pins[:len(pins)-1], append(missing, m.Image.Name)
		}
	}
	return pins, missing, nil
}
