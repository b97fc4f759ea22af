package kustomize

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/kustomize/api/ifc"
	"sigs.k8s.io/kustomize/api/kv"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"slipway/internal/object"
	"slipway/internal/render/tree"
)

// build is the state of one overlay's build.
type build struct {
	*Builder
	options   Options
	exclusive bool // no other build runs, and the schema may be set
	schemaSet bool
	used      map[baseKey]bool
	copied    int // values of bases that were used before
}

// scope is what the layers of a base, or of the overlay itself, read and report together.
type scope struct {
	view *tree.View
	held bool // this build holds Builder.filling
	notes
}

// notes are what is known of layers that have been accumulated.
type notes struct {
	dirs, warnings []string
	losses         []object.Loss
	selections     []Selection
	private        bool // the result depends on more than the files of the tree
}

func (n *notes) add(o notes) {
	n.dirs, n.warnings = append(n.dirs, o.dirs...), append(n.warnings, o.warnings...)
	n.losses = append(n.losses, o.losses...)
	n.selections = append(n.selections, o.selections...)
	n.private = n.private || o.private
}

// layer is one kustomization at its place in a build.
type layer struct {
	*kustomization
	*scope
	build     *build
	above     *layer           // the one that includes it
	origin    *resource.Origin // nil unless the overlay asks for buildMetadata
	namespace string           // of the layers above, for charts that have none
}

// openLayer reads a directory's kustomization.
func openLayer(b *build, s *scope, dir string) (*layer, error) {
	k, remarks, err := readKustomization(s.view, dir)
	if err != nil {
		return nil, err
	}
	l := &layer{kustomization: k, scope: s, build: b}
	remarks.dirs = []string{dir}
	s.add(remarks)
	if len(k.OpenAPI) > 0 {
		return l, l.setSchema()
	}
	return l, nil
}

// under reads the kustomization of a directory that the layer includes.
func (l *layer) under(s *scope, name, dir string) (*layer, error) {
	sub, err := openLayer(l.build, s, dir)
	if err != nil {
		return nil, err
	}
	sub.above = l
	sub.BuildMetadata = l.BuildMetadata
	if l.origin != nil {
		sub.origin = l.origin.Append(name)
	}
	if sub.namespace = l.Namespace; sub.namespace == "" {
		sub.namespace = l.namespace
	}
	return sub, nil
}

// setSchema sets the schema that a kustomization asks for, unless one that includes it has done so.
func (l *layer) setSchema() error {
	if !l.build.exclusive {
		return errExclusive
	}
	at := l.entry("openapi", find(l.node, "openapi"))
	var text []byte
	if name, ok := l.OpenAPI["path"]; ok {
		var err error
		if text, _, err = l.readFile(at, name); err != nil {
			return err
		}
	}
	if err := openapi.SetSchema(l.OpenAPI, text, !l.build.schemaSet); err != nil {
		return at.fail(err)
	}
	l.build.schemaSet = true
	return nil
}

// readFile returns the text of a file that an entry names, and its path in the tree.
func (l *layer) readFile(at entry, name string) (text []byte, rel string, err error) {
	rel, err = realPath(l.view, l.dir, name)
	if err == nil && !isBelow(rel, l.dir) && !l.build.options.LoadRestrictionsNone {
		err = fmt.Errorf("%s: Kustomize reads single files only from %s and below: "+
			"add a kustomization.yaml beside the file and name that directory", name, l.dir)
	}
	if err == nil {
		text, err = l.view.File(rel)
	}
	return text, rel, at.failPath(name, err)
}

// loader is the library's way to the files that an entry names. The library calls no other method of it.
type loader struct {
	ifc.Loader
	layer *layer
	at    entry
}

// Load returns a file's text.
func (l loader) Load(name string) ([]byte, error) {
	text, _, err := l.layer.readFile(l.at, name)
	if err != nil {
		return nil, fileError{err}
	}
	return text, nil
}

// Root returns the absolute path of the directory, whose name the library asks for.
func (l loader) Root() string {
	return filepath.Join(l.layer.build.tree.Dir(), filepath.FromSlash(l.layer.dir))
}

// keyValues reads the files of an entry of a generator.
func (l *layer) keyValues(at entry) ifc.KvLoader {
	return kv.NewLoader(loader{layer: l, at: at}, l.build.parts.GetFieldValidator())
}

// helpers are for a plugin of the library.
func (l *layer) helpers(at entry) *resmap.PluginHelpers {
	parts := l.build.parts
	return resmap.NewPluginHelpers(loader{layer: l, at: at}, parts.GetFieldValidator(),
		resmap.NewFactory(parts.GetResourceFactory()), types.DisabledPluginConfig())
}

// builtin is the origin of what a field of this kustomization does, where the overlay asks for it.
func (l *layer) builtin(kind string) *resource.Origin {
	if l.origin == nil {
		return nil
	}
	return &resource.Origin{
		ConfiguredIn: path.Join(l.origin.Path, path.Base(l.file)),
		ConfiguredBy: kyaml.ResourceIdentifier{TypeMeta: kyaml.TypeMeta{APIVersion: "builtin", Kind: kind}},
	}
}

var userAt = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9-]*@`)

// isRemote reports whether the command would fetch a path, or one that looks enough like it.
func isRemote(p string) bool {
	p = strings.ToLower(p)
	for _, prefix := range []string{"http:", "https:", "git::", "github.com/", "github.com:"} {
		if strings.HasPrefix(p, prefix) {
			return true
		}
	}
	return strings.Contains(p, "://") || userAt.MatchString(p)
}

// realPath follows a path from a directory of the tree, with its links.
func realPath(v *tree.View, dir, name string) (string, error) {
	switch {
	case name == "":
		return "", errors.New("the path is empty")
	case isRemote(name):
		return "", &tree.RefusedError{What: name, Why: "nothing is fetched while rendering"}
	case path.IsAbs(name):
		return "", &tree.RefusedError{What: name, Why: "an absolute path outside the project"}
	}
	for _, part := range strings.Split(name, "/") {
		// Two entries of a list that wrong indentation has made into one.
		if part != ".." && strings.Contains(part, "..") && strings.Contains(part, " ") {
			return "", fmt.Errorf("%s is ambiguous: check the indentation", name)
		}
	}
	return v.Real(path.Join(dir, name))
}

func isBelow(p, dir string) bool {
	return dir == "." || p == dir || strings.HasPrefix(p, dir+"/")
}
