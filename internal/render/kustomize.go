package render

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/openapi"

	"slipway/internal/object"
)

// ErrEmpty says that a source renders to nothing, which is never taken for a wish to delete.
var ErrEmpty = errors.New("no objects")

// errAlone stops a build that has to be made again with nothing beside it.
var errAlone = errors.New("openapi: needs to be rendered alone")

// schema guards the OpenAPI schema that kyaml keeps for the whole process: an overlay that sets its
// own is built alone, all others side by side.
var schema sync.RWMutex

// build is one run of Kustomize over one overlay.
type build struct {
	tree    *tree
	overlay string // relative to the project
	origins bool   // have Kustomize note where objects come from
	alone   bool   // nothing else is being built
	// refused is the first thing that may not be read or done. Kustomize takes many errors for
	// something else, so this one counts.
	refused  error
	guarded  map[string]bool
	warnings []string
}

// kustomize renders an overlay as the kustomize build command does.
func kustomize(t *tree, overlay string) (Result, error) {
	overlay, err := t.real(overlay)
	if err != nil {
		return Result{}, err
	}
	b := &build{tree: t, overlay: overlay, origins: true}
	m, err := b.run()
	if err != nil {
		return Result{}, err
	}
	sources := b.sources(m)
	// An override that addresses annotations could see the notes about origins. So it gets to see
	// the objects without them.
	if b.touchesAnnotations() {
		b.origins = false
		if m, err = b.run(); err != nil {
			return Result{}, err
		}
	}
	if !b.asked(types.OriginAnnotations) {
		if err := m.RemoveOriginAnnotations(); err != nil {
			return Result{}, err
		}
	}
	result := Result{Warnings: b.warnings}
	for i, r := range m.Resources() {
		text, err := r.MarshalJSON()
		if err != nil {
			return Result{}, fmt.Errorf("%s: %w", r.CurId(), err)
		}
		var at object.Origin
		if i < len(sources) {
			at = sources[i]
		}
		o, err := object.FromJSON(text, at)
		if err != nil {
			return Result{}, err
		}
		if err := result.Set.Add(o); err != nil {
			return Result{}, err
		}
	}
	if result.Set.Len() == 0 {
		return Result{}, fmt.Errorf("%s: %w", overlay, ErrEmpty)
	}
	return result, nil
}

// run builds beside others, or alone where the overlay turns out to set its own schema.
func (b *build) run() (resmap.ResMap, error) {
	if !b.alone {
		m, err := b.shared()
		if !errors.Is(err, errAlone) {
			return m, err
		}
		b.alone = true
	}
	schema.Lock()
	defer schema.Unlock()
	openapi.ResetOpenAPI()
	defer openapi.ResetOpenAPI()
	return b.once()
}

func (b *build) shared() (resmap.ResMap, error) {
	schema.RLock()
	defer schema.RUnlock()
	return b.once()
}

func (b *build) once() (resmap.ResMap, error) {
	b.refused, b.guarded, b.warnings, b.tree.rereads = nil, map[string]bool{}, nil, -len(b.tree.files)
	options := krusty.MakeDefaultOptions() // no plugins, files only from below each kustomization
	options.Reorder = krusty.ReorderOptionUnspecified
	d := disk{b}
	m, err := krusty.MakeKustomizer(options).Run(d, d.abs(b.overlay))
	if b.refused != nil {
		return nil, b.refused
	}
	if err != nil {
		return nil, b.explain(err)
	}
	return m, nil
}

// load gives Kustomize one file's text.
func (b *build) load(name string) ([]byte, error) {
	text, err := b.tree.read(name)
	if err == nil {
		err = b.inspect(name, text)
	}
	if err != nil {
		if b.refused == nil && !b.tree.absent(name) {
			b.refused = err
		}
		return nil, err
	}
	if b.origins && path.Dir(name) == b.overlay && isKustomization(name) {
		return withOrigins(text), nil
	}
	return text, nil
}

func isKustomization(name string) bool {
	return slices.Contains(konfig.RecognizedKustomizationFileNames(), path.Base(name))
}

// inspect looks at a text before Kustomize does, which expands aliases without limit and fetches
// what has the form of an address.
func (b *build) inspect(name string, text []byte) error {
	if b.guarded[name] {
		return nil
	}
	b.guarded[name] = true
	if isKustomization(name) {
		if err := object.Check(bytes.NewReader(text), name); err != nil {
			return err
		}
		return b.guard(name, text)
	}
	if bytes.Contains(text, []byte("&")) && bytes.Contains(text, []byte("*")) {
		err := object.Check(bytes.NewReader(text), name)
		// A file of a ConfigMap need not be YAML.
		if errors.Is(err, object.ErrBudget) {
			return err
		}
	}
	if bytes.Contains(bytes.ToLower(text), []byte("builtin")) {
		return b.guardPlugins(name, text)
	}
	return nil
}

// withOrigins asks for notes on where objects come from, leaving everything above as it stands.
func withOrigins(text []byte) []byte {
	var was map[string]any
	if yaml.Unmarshal(text, &was) != nil {
		return text
	}
	if _, ok := was["buildMetadata"]; !ok {
		longer := bytes.Clone(text)
		if !bytes.HasSuffix(longer, []byte("\n")) {
			longer = append(longer, '\n')
		}
		longer = append(longer, "buildMetadata: ["+types.OriginAnnotations+"]\n"...)
		var is map[string]any
		if yaml.Unmarshal(longer, &is) == nil && len(is) == len(was)+1 {
			return longer
		}
	}
	options, _ := was["buildMetadata"].([]any)
	if slices.Contains(options, any(types.OriginAnnotations)) {
		return text
	}
	was["buildMetadata"] = append(options, types.OriginAnnotations)
	again, err := yaml.Marshal(was)
	if err != nil {
		return text
	}
	return again
}

// asked says whether the overlay itself wants an option of buildMetadata.
func (b *build) asked(option string) bool {
	name, err := b.tree.kustomization(b.overlay)
	if err != nil {
		return false
	}
	var k types.Kustomization
	if k.Unmarshal(b.tree.files[join(b.overlay, name)]) != nil {
		return false
	}
	return slices.Contains(k.BuildMetadata, option)
}

var annotationsTouched = regexp.MustCompile(`metadata/annotations|metadata\.annotations|annotations"?\s*:\s*(null|~|\{\s*\})`)

func (b *build) touchesAnnotations() bool {
	for _, text := range b.tree.files {
		if annotationsTouched.Match(text) {
			return true
		}
	}
	return false
}

// firstTry is what Kustomize says about having taken a folder for a file at first, secondTry about
// having taken a file for a folder when it was no good as a file.
var (
	secondTry    = regexp.MustCompile(`accumulation err='(.*)': must build at directory: '[^']*': file is not directory`)
	firstTry     = regexp.MustCompile(`accumulation err='accumulating resources from '[^']*': '[^']*' must resolve to a file': `)
	unknownField = regexp.MustCompile(`unknown field "([^"]+)"`)
)

// explain finds the file and line behind Kustomize's error, where it can.
func (b *build) explain(err error) error {
	names := make([]string, 0, len(b.tree.files))
	for name := range b.tree.files {
		names = append(names, name)
	}
	sort.Strings(names)
	msg := err.Error()
	if m := unknownField.FindStringSubmatch(msg); m != nil {
		for _, name := range names {
			if n := keyNode(b.tree.files[name], m[1]); n != nil && isKustomization(name) {
				return &object.ReadError{File: name, Line: n.Line, Err: fmt.Errorf("unknown field %q%s", m[1], didYouMean(m[1]))}
			}
		}
	}
	for _, name := range names {
		if ext := path.Ext(name); ext != ".yaml" && ext != ".yml" {
			continue
		}
		if err := object.Check(bytes.NewReader(b.tree.files[name]), name); err != nil {
			return err
		}
	}
	msg = firstTry.ReplaceAllString(msg, "")
	msg = secondTry.ReplaceAllString(msg, "$1")
	msg = strings.ReplaceAll(msg, b.tree.dir+"/", "")
	return &libraryError{msg: strings.TrimSpace(msg), err: err}
}

// libraryError says what a library said, in fewer words.
type libraryError struct {
	msg string
	err error
}

func (e *libraryError) Error() string { return e.msg }

func (e *libraryError) Unwrap() error { return e.err }
