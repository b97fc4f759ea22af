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
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"

	"slipway/internal/finding"
	"slipway/internal/image"
	"slipway/internal/object"
	"slipway/internal/origin"
	"slipway/internal/project"
	"slipway/internal/render"
)

// Change is one edit of a file.
type Change struct {
	finding.Edit
	// Text is the file's before the edit.
	Text []byte
}

// Promotion is what makes an environment run other images.
type Promotion struct {
	Environment string
	Changes     []Change
	// Files are the texts that the files of the changes come to.
	Files map[string][]byte
	// Before are the images as the manifests name them, After as they then do. Only those that change.
	Before, After []image.Pin
	// Notes are what could not be looked at.
	Notes []string
}

// UndecidedError says that no file of the environment's own says which version of an image it runs.
type UndecidedError struct {
	Environment, Image string
	Place              finding.Place
	Why, Write         string
}

func (e *UndecidedError) Error() string {
	at := ""
	if e.Place.File != "" {
		at = e.Place.String() + ": "
	}
	return fmt.Sprintf("promote %s to %s: %s%s", e.Image, e.Environment, at, e.Why)
}

// Plan finds the edits after which the environment runs the pinned images. Each is proved by rendering:
// exactly the places that name the image say the new reference, and nothing else is different, neither
// there nor in another environment.
func Plan(ctx context.Context, p project.Project, env project.Environment, pins []image.Pin, o render.Options) (Promotion, error) {
	o.Remotes = p.Remotes
	r, err := render.Open(p.Dir, o)
	if err != nil {
		return Promotion{}, err
	}
	defer r.Close()
	root, err := os.OpenRoot(p.Dir)
	if err != nil {
		return Promotion{}, err
	}
	defer root.Close()
	w := work{project: p, env: env, renderer: r, root: root, result: Promotion{Environment: env.Name, Files: map[string][]byte{}}}
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
		j := slices.IndexFunc(pins, func(p image.Pin) bool { return p.Name == m.Image.Name })
		if err := w.promote(ctx, i, pins[j]); err != nil {
			return Promotion{}, err
		}
	}
	return w.result, w.others(ctx)
}

// work is one call of Plan: the environment with what is edited so far.
type work struct {
	project  project.Project
	env      project.Environment
	renderer *render.Renderer
	root     *os.Root
	set      object.Set
	matched  []image.Matched
	result   Promotion
}

// attempt is one way to say it: a file's edits, and what the image's references then are.
type attempt struct {
	file  string
	edits []finding.Edit
	want  []string
	// guess: that the value is about the image is only its name's promise.
	guess bool
}

func (w *work) promote(ctx context.Context, i int, pin image.Pin) error {
	m := w.matched[i]
	// The registry of the environment holds what names none: the manifests go on naming none.
	pin.Repository = m.Repository
	if m.Digest == pin.Digest {
		return nil
	}
	attempts, refused := w.attempts(ctx, m, pin)
	for _, a := range attempts {
		different, err := w.prove(ctx, a, i)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if different == "" && err == nil {
			w.result.Before = append(w.result.Before, image.Pin{Name: pin.Name, Repository: m.Repository, Tag: m.Tag, Digest: m.Digest})
			w.result.After = append(w.result.After, pin)
			w.matched[i].Tag, w.matched[i].Digest = pin.Tag, pin.Digest
			return nil
		}
		if a.guess || refused.Why != "" {
			continue
		}
		refused.Place, refused.Why = finding.Place{File: a.file, Line: w.line(ctx, a)}, "edited, it would change "+different+" otherwise than to that image alone"
		if err != nil {
			refused.Why = err.Error()
		}
	}
	if refused.Why == "" {
		w.explain(ctx, m, refused)
	}
	return refused
}

// line is where an attempt begins.
func (w *work) line(ctx context.Context, a attempt) int {
	text, _ := w.text(ctx, a.file)
	if len(a.edits) == 0 || a.edits[0].Start > len(text) {
		return 0
	}
	return 1 + bytes.Count(text[:a.edits[0].Start], []byte("\n"))
}

// prove renders with an attempt, and says what is not as it should be then. What is right is kept.
func (w *work) prove(ctx context.Context, a attempt, i int) (string, error) {
	text, err := w.text(ctx, a.file)
	if err != nil {
		return "", err
	}
	after, made := finding.Apply(text, a.edits)
	if len(made) != len(a.edits) {
		return "", errors.New("it cannot be edited without writing the file anew")
	}
	files := maps.Clone(w.result.Files)
	files[a.file] = after
	result, err := w.renderer.Edited(ctx, w.env, files)
	if err != nil {
		return "", err
	}
	pins := make([]image.Pin, len(w.matched)) // the others stay
	for j, m := range w.matched {
		pins[j] = image.Pin{Name: m.Image.Name, Repository: m.Repository, Tag: m.Tag, Digest: m.Digest}
	}
	different := ""
	for _, want := range a.want {
		pins[i] = image.Pin{Name: pins[i].Name, Repository: want}
		put, err := image.Put(w.set, pins)
		if err != nil {
			return "", err
		}
		found := differs(put, result.Set)
		if different = cmp.Or(different, found); found == "" {
			w.set, w.result.Files = result.Set, files
			// From the start of the file to its end, each with the text that it is an edit of.
			for _, e := range slices.Backward(made) {
				w.result.Changes = append(w.result.Changes, Change{e, text})
			}
			return "", nil
		}
	}
	return different, nil
}

// differs names what two sets have that is not the same.
func differs(want, have object.Set) string {
	found := map[object.Ref]object.Object{}
	for _, o := range have.Objects() {
		found[o.Ref()] = o
	}
	for _, o := range want.Objects() {
		h, ok := found[o.Ref()]
		if !ok {
			return o.Ref().String()
		}
		if !reflect.DeepEqual(o.Body, h.Body) {
			var paths []string
			for _, f := range object.Differences(object.Masked(o).Body, object.Masked(h).Body, object.Shown{}, false) {
				paths = append(paths, f.Path)
			}
			return o.Ref().String() + " " + strings.Join(paths[:min(3, len(paths))], ", ")
		}
		delete(found, o.Ref())
	}
	for _, ref := range slices.SortedFunc(maps.Keys(found), object.Ref.Compare) {
		return ref.String()
	}
	return ""
}

// text is a file as it is edited so far, and what is not the person's own to edit is an error.
func (w *work) text(ctx context.Context, name string) ([]byte, error) {
	if text, ok := w.result.Files[name]; ok {
		return text, nil
	}
	text, err := w.root.ReadFile(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	if read, err := w.renderer.View(ctx).File(name); err != nil || !bytes.Equal(read, text) {
		return nil, errors.New("the file is encrypted")
	}
	head := text[:min(len(text), 400)]
	if generated.Match(head) {
		return nil, errors.New("the file says that it is generated")
	}
	return text, nil
}

var generated = regexp.MustCompile(`(?i)#.*generated.*(do not|don't) edit`)

// attempts are the ways to say it in the environment's own files, the most likely first.
func (w *work) attempts(ctx context.Context, m image.Matched, pin image.Pin) ([]attempt, *UndecidedError) {
	refused := &UndecidedError{Environment: w.env.Name, Image: pin.Name, Write: "write " + pin.Reference() + " where the environment's own files name the image"}
	var attempts []attempt
	add := func(file string, edits []finding.Edit, err error, want ...string) {
		if err == nil {
			attempts = append(attempts, attempt{file: file, edits: edits, want: want})
		} else if refused.Why == "" {
			refused.Place, refused.Why = finding.Place{File: file}, err.Error()
		}
	}
	for _, base := range konfig.RecognizedKustomizationFileNames() {
		file := path.Join(w.env.Path, base)
		if w.env.Path == "" || !w.isFile(file) {
			continue
		}
		refused.Write = fmt.Sprintf("write under images of an overlay that is %s's alone: {name: %s, newTag: %s, digest: %s}", w.env.Name, m.Repository, pin.Tag, pin.Digest)
		text, err := w.text(ctx, file)
		var edits []finding.Edit
		if err == nil {
			edits, err = overlay(file, text, m, pin)
		}
		add(file, edits, err, pin.Reference())
	}
	charts, err := w.renderer.Charts(ctx, w.env)
	if err != nil {
		refused.Why = err.Error()
	}
	for _, c := range charts {
		for _, file := range slices.Backward(c.Values) {
			text, err := w.text(ctx, file)
			if err != nil {
				add(file, nil, err)
				continue
			}
			for _, l := range leaves(text, m) {
				n := len(attempts)
				w.values(c, file, text, l, m, pin, add)
				for i := range attempts[n:] {
					attempts[n+i].guess = l.guess
				}
			}
		}
	}
	return attempts, refused
}

func (w *work) isFile(name string) bool {
	info, err := w.root.Stat(filepath.FromSlash(name))
	return err == nil && info.Mode().IsRegular()
}

// overlay edits the entry of images that names the image last, or adds one.
func overlay(file string, text []byte, m image.Matched, pin image.Pin) ([]finding.Edit, error) {
	docs, err := documents(text)
	if err != nil || len(docs) != 1 {
		return nil, errors.Join(err, errors.New("it is not one YAML document"))
	}
	var entry []string
	if _, list := child(docs[0], "images"); list != nil {
		for i, n := range list.Content {
			_, name := child(n, "name")
			if _, other := child(n, "newName"); other != nil {
				name = other
			}
			if name != nil && name.Value == m.Repository {
				entry = []string{"images", strconv.Itoa(i)}
			}
		}
	}
	if entry == nil {
		e, err := addItem(file, text, "images", pair{"name", m.Repository}, pair{"newTag", pin.Tag}, pair{"digest", pin.Digest})
		return []finding.Edit{e}, err
	}
	n, err := at(text, entry)
	if err != nil {
		return nil, err
	}
	var edits []finding.Edit
	var more []pair
	after := "name"
	for _, p := range []pair{{"newName", m.Repository}, {"newTag", pin.Tag}, {"digest", pin.Digest}} {
		_, v := child(n, p.key)
		switch {
		case v != nil && p.key == "newName":
			after = p.key
		case p.key == "newName":
		case v == nil:
			more = append(more, p)
		default:
			after = p.key
			e, err := Set(file, text, append(slices.Clone(entry), p.key), p.value)
			if err != nil {
				return nil, err
			}
			edits = append(edits, e)
		}
	}
	if len(more) > 0 {
		e, err := addAfter(file, text, entry, after, more...)
		if err != nil {
			return nil, err
		}
		edits = append(edits, e)
	}
	return edits, nil
}

// leaf is a scalar of a values file.
type leaf struct {
	path []string
	*yaml.Node
	guess bool
}

const maxLeaves = 20

// leaves are those that may say which version of an image is used: they say it now, or are called so.
func leaves(text []byte, m image.Matched) []leaf {
	docs, err := documents(text)
	if err != nil {
		return nil
	}
	var says, called []leaf
	var walk func(n *yaml.Node, at []string)
	walk = func(n *yaml.Node, at []string) {
		for i, v := range n.Content {
			switch {
			case n.Kind == yaml.MappingNode && i%2 == 0:
			case n.Kind == yaml.MappingNode:
				walk(v, append(slices.Clone(at), n.Content[i-1].Value))
			case n.Kind == yaml.SequenceNode:
				walk(v, append(slices.Clone(at), strconv.Itoa(i)))
			}
		}
		if n.Kind != yaml.ScalarNode || len(at) == 0 {
			return
		}
		l := leaf{at, n, false}
		key := strings.ToLower(at[len(at)-1])
		switch {
		case n.Value != "" && slices.Contains([]string{m.Tag, m.Uses[0].Reference, m.Tag + "@" + m.Digest}, n.Value):
			says = append(says, l)
		case strings.HasSuffix(key, "tag"):
			l.guess = true
			called = append(called, l)
		}
	}
	for _, d := range docs {
		walk(d, nil)
	}
	all := append(says, called...)
	return all[:min(maxLeaves, len(all))]
}

// values are the ways to say it with one value: a whole reference, a tag with a digest beside it where the
// chart has one, or a tag that holds the digest.
func (w *work) values(c project.Chart, file string, text []byte, l leaf, m image.Matched, pin image.Pin, add func(string, []finding.Edit, error, ...string)) {
	if l.Value == m.Uses[0].Reference {
		e, err := Set(file, text, l.path, pin.Reference())
		add(file, []finding.Edit{e}, err, pin.Reference())
		return
	}
	above := l.path[:len(l.path)-1]
	digest := append(slices.Clone(above), "digest")
	if e, err := Set(file, text, l.path, pin.Tag); err == nil && len(above) > 0 {
		d, err := Set(file, text, digest, pin.Digest)
		if err != nil && w.hasDefault(c, digest) {
			d, err = addAfter(file, text, above, l.path[len(above)], pair{"digest", pin.Digest})
		}
		if err == nil {
			add(file, []finding.Edit{e, d}, nil, pin.Reference(), pin.Repository+"@"+pin.Digest)
		}
	}
	e, err := Set(file, text, l.path, pin.Tag+"@"+pin.Digest)
	add(file, []finding.Edit{e}, err, pin.Reference())
}

// hasDefault says whether a chart's own values have a path.
func (w *work) hasDefault(c project.Chart, path []string) bool {
	text, err := w.root.ReadFile(filepath.Join(filepath.FromSlash(c.Path), "values.yaml"))
	if c.Repository != "" || err != nil {
		return false
	}
	_, err = at(text, path)
	return err == nil
}

// explain says where it is said instead, for whoever is to write it elsewhere.
func (w *work) explain(ctx context.Context, m image.Matched, e *UndecidedError) {
	e.Why = "none of its own files says which version it runs"
	report, err := origin.Analyze(ctx, w.renderer, w.env, origin.Options{Only: func(o origin.Override) bool { return strings.Contains(o.Text, m.Tag) }})
	if err != nil {
		return
	}
	for _, o := range report.Because(m.Uses[0].Ref, "") {
		if m.Tag != "" && strings.Contains(o.Text, m.Tag) {
			e.Place = o.Place
			e.Why = fmt.Sprintf("%s says %q, and that is not the environment's alone", o.Name, o.Text)
			e.Write = "write " + o.Name + " into a values file that is " + w.env.Name + "'s alone"
			return
		}
	}
	for _, o := range w.set.Objects() {
		if o.Ref() == m.Uses[0].Ref {
			e.Place = finding.At(o.Origin)
		}
	}
}

// others proves that no other environment is different: what two render from is not one's own.
func (w *work) others(ctx context.Context) error {
	for _, env := range w.project.Environments {
		if env.Name == w.env.Name || len(w.result.Files) == 0 {
			continue
		}
		before, err := w.renderer.Render(ctx, env)
		if err != nil && ctx.Err() == nil {
			w.result.Notes = append(w.result.Notes, fmt.Sprintf("whether %s stays as it is was not looked at: %v", env.Name, err))
			continue
		}
		after, err := w.renderer.Edited(ctx, env, w.result.Files)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		different := ""
		if err == nil {
			different = differs(before.Set, after.Set)
		}
		if err == nil && different == "" {
			continue
		}
		c := w.result.Changes[0]
		return &UndecidedError{
			Environment: w.env.Name, Image: w.result.After[0].Name,
			Place: finding.Place{File: c.File, Line: 1 + bytes.Count(c.Text[:c.Start], []byte("\n"))},
			Why:   fmt.Sprintf("%s renders from it too: %s would be different", env.Name, different),
			Write: "give " + w.env.Name + " an overlay or a values file of its own, and name the image there",
		}
	}
	return nil
}

// Stated are the project's images that an environment's own manifests name for good, and the names of those
// that they do not.
func Stated(ctx context.Context, p project.Project, env project.Environment, o render.Options) (pins []image.Pin, not []string, err error) {
	result, err := render.Render(ctx, p, env, o)
	if err != nil {
		return nil, nil, err
	}
	for _, img := range p.Images {
		matched, err := image.Match([]project.Image{img}, result.Set)
		var unused *image.NoMatchError
		if errors.As(err, &unused) || err == nil && len(matched) == 0 {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("images of %s: %w", env.Name, err)
		}
		m := matched[0]
		if m.Digest == "" {
			not = append(not, img.Name)
			continue
		}
		pins = append(pins, image.Pin{Name: img.Name, Repository: m.In(env), Tag: m.Tag, Digest: m.Digest})
	}
	return pins, not, nil
}
