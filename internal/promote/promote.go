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

// Promotion is the edits that make an environment run other images.
type Promotion struct {
	Changes []finding.Change `json:"edits"`
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
	r, err := render.OpenProject(p, o)
	if err != nil {
		return Promotion{}, err
	}
	defer r.Close()
	return planIn(ctx, r, p, env, pins)
}

// planIn is Plan with a renderer of the project.
func planIn(
	ctx context.Context, r *render.Renderer, p project.Project, env project.Environment, pins []image.Pin,
) (Promotion, error) {
	none := Promotion{Changes: []finding.Change{}, Files: map[string][]byte{}}
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
	if len(w.matched) == 0 {
		return Promotion{}, &NoImageError{Environment: env.Name, Images: namesOf(pins), Used: repositories(w.set)}
	}
	for i, m := range w.matched {
		pin := pins[slices.IndexFunc(pins, func(p image.Pin) bool { return p.Name == m.Image.Name })]
		if err := w.promote(ctx, i, pin); err != nil {
			return Promotion{}, err
		}
		w.result.Images = append(w.result.Images, stated(w.matched[i]))
	}
	return w.result, nil
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
	others   []other // nil: not rendered yet
	result   Promotion
}

// attempt is one way to set an image: edits of files, and the references that the image may have then.
type attempt struct {
	files []edited
	want  []string
	// rank orders attempts: the fewer releases read a file, the earlier it is edited.
	rank int
	// guess: only the key's name suggests that the value is about the image.
	guess bool
	err   error
}

// edited is a file with edits.
type edited struct {
	file  string
	text  []byte
	edits []finding.Edit
}

// oneFile is an attempt that edits one file.
func oneFile(file string, text []byte, want ...string) attempt {
	return attempt{files: []edited{{file: file, text: text}}, want: want}
}

func (w *work) promote(ctx context.Context, i int, pin image.Pin) error {
	m := w.matched[i]
	// Keep the repository: manifests without a registry use the environment's.
	if pin.Repository = m.Repository; m.Digest == pin.Digest && (m.Digest != "" || m.Tag == pin.Tag) {
		return nil
	}
	refused := &UndecidedError{Environment: w.env.Name, Image: pin.Name, Reference: pin.Reference()}
	attempts, err := w.attempts(ctx, m, pin)
	if err != nil {
		return err
	}
	for _, a := range attempts {
		shared, err := w.try(ctx, a, i)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			w.result.Before, w.result.After = append(w.result.Before, stated(m)), append(w.result.After, pin)
			w.matched[i].Tag, w.matched[i].Digest = pin.Tag, pin.Digest
			return nil
		}
		if !a.guess && refused.Why == "" && !errors.Is(err, errNoEffect) {
			refused.Place, refused.Why, refused.Shared = a.place(), err.Error(), shared
			if at := new(LineError); errors.As(err, &at) {
				refused.Place.Line, refused.Why = at.Line, at.Err.Error()
			}
		}
	}
	if refused.Why == "" {
		w.explain(ctx, m, refused)
	}
	return refused
}

// place returns the position of the first edit.
func (a attempt) place() finding.Place {
	if len(a.files) == 0 {
		return finding.Place{}
	}
	f := a.files[0]
	p := finding.Place{File: f.file}
	if len(f.edits) > 0 && f.edits[0].Start <= len(f.text) {
		p.Line = 1 + bytes.Count(f.text[:f.edits[0].Start], []byte("\n"))
	}
	return p
}

// try makes an attempt and keeps it if only the image changes, in this environment alone. Shared says that it
// failed because another one would change too.
func (w *work) try(ctx context.Context, a attempt, i int) (shared bool, err error) {
	if a.err != nil {
		return false, a.err
	}
	files, changes := maps.Clone(w.result.Files), slices.Clone(w.result.Changes)
	for _, f := range a.files {
		after, made := finding.Apply(f.text, f.edits)
		files[f.file] = after
		for _, e := range slices.Backward(made) {
			changes = append(changes, finding.Change{Edit: e, Text: f.text})
		}
	}
	set, err := w.prove(ctx, a, files, i)
	if err != nil {
		return false, err
	}
	if err := w.sparesOthers(ctx, a, files); err != nil {
		return true, err
	}
	w.set, w.result.Files, w.result.Changes = set, files, changes
	return false, nil
}

// errNoEffect says that an edit changes nothing: the value is about something else.
var errNoEffect = errors.New("the edit has no effect")

// prove renders the edited files. It fails where more changes than the image.
func (w *work) prove(ctx context.Context, a attempt, files map[string][]byte, i int) (object.Set, error) {
	result, err := w.renderer.Edited(ctx, w.env, files)
	if err != nil {
		return object.Set{}, err
	}
	pins := make([]image.Pin, len(w.matched)) // the others do not change
	for j, m := range w.matched {
		pins[j] = stated(m)
	}
	if result.Set.Digest() == w.set.Digest() {
		return object.Set{}, errNoEffect
	}
	different := ""
	for _, want := range a.want {
		pins[i] = image.Pin{Name: pins[i].Name, Repository: want}
		put, err := image.Put(w.set, pins)
		if err != nil {
			return object.Set{}, err
		}
		if put.Digest() == result.Set.Digest() {
			return result.Set, nil
		}
		different = cmp.Or(different, differs(put, result.Set))
	}
	return object.Set{}, fmt.Errorf("the edit would also change %s", different)
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
			a := oneFile(path.Join(folder, base), nil, pin.Reference())
			f := &a.files[0]
			if f.text, a.err = w.text(ctx, f.file); os.IsNotExist(a.err) {
				continue
			}
			if a.err == nil {
				f.edits, a.err = overlay(f.file, f.text, m, pin)
			}
			attempts = append(attempts, a)
		}
	}
	charts, err := w.renderer.Charts(ctx, w.env)
	if err != nil {
		return nil, err
	}
	for _, c := range charts {
		ways, err := w.inValues(ctx, c, m, pin)
		if err != nil {
			return nil, err
		}
		attempts = append(attempts, ways...)
	}
	slices.SortStableFunc(attempts, func(a, b attempt) int { return cmp.Compare(a.rank, b.rank) })
	if len(attempts) == 0 && len(w.env.Paths) > 0 {
		attempts = append(attempts, w.inManifests(ctx, m, pin))
	}
	return attempts, nil
}

// overlay edits the last entry of images that names the image, or adds one.
func overlay(file string, text []byte, m image.Matched, pin image.Pin) ([]finding.Edit, error) {
	var entry []string
	var n *yaml.Node
	if list, err := at(text, []string{"images"}); err == nil {
		for i, item := range list.Content {
			name := keyOf(target(item), "name", 0).node
			if other := keyOf(target(item), "newName", 0).node; other != nil {
				name = other
			}
			if name != nil && target(name).Value == m.Repository {
				entry, n = []string{"images", strconv.Itoa(i)}, item
			}
		}
	}
	if entry == nil {
		more := []pair{{"name", m.Repository}}
		for _, p := range []pair{{"newTag", pin.Tag}, {"digest", pin.Digest}} {
			if p.value != "" {
				more = append(more, p)
			}
		}
		e, err := addItem(file, text, "images", more...)
		return []finding.Edit{e}, err
	}
	var edits []finding.Edit
	var more []pair
	after := ""
	for _, key := range []string{"<<", "name", "newName"} {
		if _, v := child(target(n), key); v != nil {
			after = key
		}
	}
	for _, p := range []pair{{"newTag", pin.Tag}, {"digest", pin.Digest}} {
		if keyOf(target(n), p.key, 0).node == nil {
			if p.value != "" {
				more = append(more, p)
			}
			continue
		}
		after = p.key
		key := append(slices.Clone(entry), p.key)
		if err := Shared(text, key); err != nil {
			return nil, err
		}
		e, err := Set(file, text, key, p.value)
		if err != nil {
			return nil, err
		}
		edits = append(edits, e)
	}
	if len(more) == 0 {
		return edits, nil
	}
	if err := Shared(text, entry); err != nil {
		return nil, err
	}
	e, err := addAfter(file, text, entry, after, more...)
	return append(edits, e), err
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
