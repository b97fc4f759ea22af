// Package bundle puts the rendered objects of an environment into one archive, with what a deploy on another
// machine needs beside them, and reads such an archive back. It reads and writes bytes in memory alone.
package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"reflect"
	"slices"
	"strings"

	"slipway/internal/object"
	"slipway/internal/project"
)

// The names in an archive. Files of the project keep their own.
const (
	descriptionFile = "environment.json"
	// Objects is the directory of the objects, files of plain YAML.
	Objects = "objects"
)

// version is that of the format: a reader refuses others.
const version = 1

// Bundle is one environment of one commit, rendered.
type Bundle struct {
	// Project has this environment alone, with Objects as its path, and Source no Project.
	Project project.Project
	Source  project.Source
	// Files are the objects, and files of the project, by their paths.
	Files map[string][]byte
	// Origins say where the objects were written, by the file of Objects.
	Origins map[string][]Mark
}

// Mark says that the lines of a file from At on came from another place.
type Mark struct {
	At int `json:"at"`
	object.Origin
}

// description is the file beside the objects. Zero values are left out, so that readers which do not know a
// new key read what does not use it.
type description struct {
	Version int               `json:"version"`
	Project project.Project   `json:"project"`
	Source  project.Source    `json:"source"`
	Origins map[string][]Mark `json:"origins"`
}

// maxChunk is how large a file of objects becomes, unless a single object is larger.
const maxChunk = 1 << 20

// Make returns the bundle of an environment: its rendered objects, and files of the project that a deploy
// reads. The images are those that the objects use. It fails where two files have one name.
func Make(
	src project.Source, env project.Environment, objects []object.Object, images []project.Image,
	files map[string][]byte,
) (Bundle, error) {
	p := project.Project{
		Name: src.Project.Name, Rules: src.Project.Rules, Health: src.Project.Health, Images: images,
	}
	for _, e := range src.Project.Exceptions {
		if len(e.Environments) == 0 || slices.Contains(e.Environments, env.Name) {
			p.Exceptions = append(p.Exceptions, e)
		}
	}
	env.Paths, env.Charts, env.Skaffold = []string{Objects}, nil, nil
	env.Gates, env.Follow, env.NoHooks = nil, nil, false // the objects have no hooks where it was set
	p.Environments = []project.Environment{env}
	b := Bundle{Project: p, Files: map[string][]byte{}, Origins: map[string][]Mark{}, Source: project.Source{
		// Neither the URL of origin nor Git tags, which another clone of the same commit may not have.
		Commit: src.Commit, Tag: src.Tag, Identity: src.Identity, Time: src.Time, Bundled: true,
		Ancestors: src.Ancestors,
	}}
	for name, text := range files {
		if name == descriptionFile || name == Objects || path.Dir(name) == Objects {
			return Bundle{}, fmt.Errorf("%s: the archive keeps another file under this name", name)
		}
		b.Files[name] = text
	}
	return b, b.write(objects)
}

// write puts the objects into files, in their order.
func (b Bundle) write(objects []object.Object) error {
	var text bytes.Buffer
	var marks []Mark
	end := func() {
		if text.Len() == 0 {
			return
		}
		name := fmt.Sprintf("%s/%05d.yaml", Objects, len(b.Origins))
		b.Files[name], b.Origins[name], marks = bytes.Clone(text.Bytes()), marks, nil
		text.Reset()
	}
	line := 1
	for _, o := range objects {
		doc, err := o.YAML()
		if err != nil {
			return err
		}
		if text.Len() > 0 && text.Len()+len(doc) > maxChunk {
			end()
			line = 1
		}
		if text.Len() > 0 {
			text.WriteString("---\n")
			line++
		}
		marks = append(marks, Mark{At: line, Origin: o.Origin})
		text.Write(doc)
		line += bytes.Count(doc, []byte("\n"))
	}
	end()
	return nil
}

// At returns the place that a line of the bundle's files came from; the place itself where that is not known.
func (b Bundle) At(o object.Origin) object.Origin {
	for _, m := range slices.Backward(b.Origins[o.File]) {
		if m.At <= o.Line && m.File != "" {
			return m.Origin
		}
	}
	return o
}

// Environment is the only one.
func (b Bundle) Environment() project.Environment { return b.Project.Environments[0] }

// describe returns the text of the description.
func (b Bundle) describe() ([]byte, error) {
	text, err := json.Marshal(description{version, b.Project, b.Source, b.Origins})
	if err != nil {
		return nil, err
	}
	var tree any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		return nil, err
	}
	return json.MarshalIndent(withoutZeros(tree), "", " ")
}

// withoutZeros leaves out keys without a value.
func withoutZeros(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, child := range v {
			if child = withoutZeros(child); isZero(child) {
				delete(v, k)
			} else {
				v[k] = child
			}
		}
	case []any:
		for i := range v {
			v[i] = withoutZeros(v[i])
		}
	}
	return v
}

func isZero(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case json.Number:
		return false // a bound of 0 is not the same as none
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return reflect.ValueOf(v).IsZero()
}

// parse reads a description.
func parse(text []byte) (Bundle, error) {
	var of struct{ Version int }
	if err := json.Unmarshal(text, &of); err != nil {
		return Bundle{}, fmt.Errorf("%s: %w", descriptionFile, err)
	}
	if of.Version != version {
		return Bundle{}, fmt.Errorf("%s: format %d: this program reads format %d", descriptionFile, of.Version,
			version)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var made description
	if err := d.Decode(&made); err != nil {
		return Bundle{}, fmt.Errorf("%s: %w: update the reader if a newer version wrote it", descriptionFile, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Bundle{}, fmt.Errorf("%s: text after its end", descriptionFile)
	}
	b := Bundle{Project: made.Project, Source: made.Source, Origins: made.Origins}
	return b, b.check()
}

// check refuses a description that Make does not write. The archive is signed, and still others may make one.
func (b Bundle) check() error {
	p := b.Project
	switch {
	case p.Name == "" || len(p.Environments) != 1 || p.Environments[0].Name == "":
		return fmt.Errorf("%s: want the name of a project and one environment", descriptionFile)
	case !slices.Equal(p.Environments[0].Paths, []string{Objects}) || len(p.Environments[0].Charts) > 0 ||
		p.Environments[0].Skaffold != nil || p.Dir != "" || p.File != "" || len(p.Remotes) > 0:
		return fmt.Errorf("%s: the environment must consist of %s alone", descriptionFile, Objects)
	case !isCommit(b.Source.Commit) || b.Source.Repository != "" || b.Source.Path != "" || b.Source.Dirty ||
		!b.Source.Bundled || b.Source.Project.Name != "":
		return fmt.Errorf("%s: the source must be a commit", descriptionFile)
	}
	names := slices.Clone(p.Rules)
	for _, s := range p.Environments[0].Signatures {
		names = append(names, s.Key, s.TrustedRoot)
	}
	for _, name := range names {
		if name != "" && badName(name) != "" {
			return fmt.Errorf("%s: %q: %s", descriptionFile, name, badName(name))
		}
	}
	return nil
}

func isCommit(s string) bool {
	isHex := func(r rune) bool { return r >= '0' && r <= '9' || r >= 'a' && r <= 'f' }
	rest := strings.TrimFunc(s, isHex)
	return (len(s) == 40 || len(s) == 64) && rest == ""
}
