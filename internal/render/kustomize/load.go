package kustomize

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/kustomize/api/ifc"

	"slipway/internal/render/tree"
)

type refusedError = tree.RefusedError

var _ ifc.Loader = (*layer)(nil)

// The library asks a layer for files, as its loader.

// Load gives a file's text.
func (l *layer) Load(name string) ([]byte, error) {
	text, _, err := l.text(name)
	return text, err
}

// Root is the folder's absolute path, from which the library takes its name.
func (l *layer) Root() string { return filepath.Join(l.tree.Dir(), filepath.FromSlash(l.dir)) }

// Repo is empty: nothing is a clone.
func (*layer) Repo() string { return "" }

// Cleanup has nothing to do.
func (*layer) Cleanup() error { return nil }

// New is asked for by nobody here.
func (*layer) New(string) (ifc.Loader, error) { return nil, errors.ErrUnsupported }

// text gives a file's text, and its path in the tree.
func (l *layer) text(name string) ([]byte, string, error) {
	rel, err := l.resolve(name)
	var text []byte
	if err == nil && !below(rel, l.dir) && !l.options.LoadRestrictionsNone {
		err = fmt.Errorf("%s: Kustomize takes single files only from %s and below: make what holds it a "+
			"kustomization and name its folder", name, l.dir)
	}
	if err == nil {
		text, err = l.view.File(rel)
	}
	if err != nil {
		err = l.blame(name, err)
		if l.failed == nil {
			l.failed = err
		}
	}
	return text, rel, err
}

// blame finds the line that names a path.
func (l *layer) blame(name string, err error) error {
	if hasPlace(err) {
		return err
	}
	e := l.now
	if n := pathNode(e.node, name); n != nil {
		e.node = n
	}
	var refused *refusedError
	if errors.As(err, &refused) {
		what := name
		if e.field != "" {
			what = e.field + ": " + name
		}
		return &refusedError{Origin: l.at(e), What: what, Why: refused.Why}
	}
	if e.field != "" {
		err = fmt.Errorf("%s: %w", e.field, err)
	}
	return located(l.at(e), err)
}

var userAt = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9-]*@`)

// remote says whether the command would fetch a path, or something that looks enough like it.
func remote(p string) bool {
	p = strings.ToLower(p)
	for _, prefix := range []string{"http:", "https:", "git::", "github.com/", "github.com:"} {
		if strings.HasPrefix(p, prefix) {
			return true
		}
	}
	return strings.Contains(p, "://") || userAt.MatchString(p)
}

// resolve is where a path leads to in the tree, its links followed.
func (l *layer) resolve(name string) (string, error) {
	switch {
	case name == "":
		return "", errors.New("the path is empty")
	case remote(name):
		return "", &refusedError{What: name, Why: "nothing is fetched while rendering"}
	case path.IsAbs(name):
		return "", &refusedError{What: name, Why: "an absolute path is outside the project"}
	}
	for _, part := range strings.Split(name, "/") {
		// Two entries of a list that wrong indentation has made into one.
		if part != ".." && strings.Contains(part, "..") && strings.Contains(part, " ") {
			return "", fmt.Errorf("%s is ambiguous: check the indentation", name)
		}
	}
	return l.view.Real(path.Join(l.dir, name))
}

func below(p, folder string) bool {
	return folder == "." || p == folder || strings.HasPrefix(p, folder+"/")
}
