package render

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// errReadOnly answers every attempt to write.
var errReadOnly = errors.New("rendering writes nothing")

// disk shows the tree to Kustomize under its absolute path, so that what Kustomize says about
// paths can be read by people.
type disk struct{ *build }

var _ filesys.FileSystem = disk{}

// rel is a path relative to the project. What is not below it does not exist for Kustomize.
func (d disk) rel(p string) (string, error) {
	p = filepath.Clean(p)
	if p == d.tree.dir {
		return ".", nil
	}
	rest, ok := strings.CutPrefix(p, strings.TrimSuffix(d.tree.dir, "/")+"/")
	if !ok {
		return "", &RefusedError{What: p, Why: "it is outside the project"}
	}
	return filepath.ToSlash(rest), nil
}

func (d disk) abs(rel string) string { return filepath.Join(d.tree.dir, filepath.FromSlash(rel)) }

func (d disk) ReadFile(p string) ([]byte, error) {
	rel, err := d.rel(p)
	if err != nil {
		return nil, err
	}
	return d.load(rel)
}

func (d disk) CleanedAbs(p string) (filesys.ConfirmedDir, string, error) {
	rel, err := d.rel(p)
	if err != nil {
		return "", "", err
	}
	if rel, err = d.tree.real(rel); err != nil {
		return "", "", err
	}
	info, err := d.tree.root.Stat(rel)
	if err != nil {
		return "", "", d.tree.explain(rel, err)
	}
	p = d.abs(rel)
	if info.IsDir() {
		return filesys.ConfirmedDir(p), "", nil
	}
	return filesys.ConfirmedDir(filepath.Dir(p)), filepath.Base(p), nil
}

func (d disk) stat(p string) (fs.FileInfo, error) {
	rel, err := d.rel(p)
	if err != nil {
		return nil, err
	}
	return d.tree.root.Stat(rel)
}

func (d disk) Exists(p string) bool { _, err := d.stat(p); return err == nil }

func (d disk) IsDir(p string) bool {
	info, err := d.stat(p)
	return err == nil && info.IsDir()
}

func (d disk) ReadDir(p string) ([]string, error) {
	rel, err := d.rel(p)
	if err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(d.tree.root.FS(), rel)
	if err != nil {
		return nil, d.tree.explain(rel, err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// Kustomize's build asks for none of these.

func (disk) Open(string) (filesys.File, error)    { return nil, errReadOnly }
func (disk) Glob(string) ([]string, error)        { return nil, errReadOnly }
func (disk) Walk(string, filepath.WalkFunc) error { return errReadOnly }
func (disk) Create(string) (filesys.File, error)  { return nil, errReadOnly }
func (disk) Mkdir(string) error                   { return errReadOnly }
func (disk) MkdirAll(string) error                { return errReadOnly }
func (disk) RemoveAll(string) error               { return errReadOnly }
func (disk) WriteFile(string, []byte) error       { return errReadOnly }
