package render

import (
	"errors"
	"os"
	"path/filepath"
)

// RealPath is a path as it is on disk: absolute, without symbolic links. A path that does not exist stays as
// it is.
func RealPath(p string) (string, error) {
	p, err := filepath.Abs(p)
	if err != nil {
		return "", err
	}
	found, err := filepath.EvalSymlinks(p)
	if errors.Is(err, os.ErrNotExist) {
		return p, nil
	}
	return found, err
}

// RootOf is the directory that rendering p without a project may read: dir where it is given, else the Git
// repository of p, else the current directory where p is below it, else p itself.
func RootOf(p, dir string) (string, error) {
	at, err := RealPath(p)
	if err != nil {
		return "", err
	}
	if dir != "" {
		return RealPath(dir)
	}
	for f := at; ; f = filepath.Dir(f) {
		if _, err := os.Stat(filepath.Join(f, ".git")); err == nil {
			return f, nil
		}
		if f == filepath.Dir(f) {
			break
		}
	}
	current, err := RealPath(".")
	if err != nil {
		return "", err
	}
	if below, err := filepath.Rel(current, at); err == nil && filepath.IsLocal(below) {
		return current, nil
	}
	return at, nil
}
