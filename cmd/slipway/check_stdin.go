package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"

	"slipway/internal/project"
)

// checkStdin returns a project of one environment that holds the manifests on stdin, and a function that
// removes its files.
func checkStdin(in io.Reader, class project.Class) (project.Project, func(), error) {
	text, err := io.ReadAll(in)
	if err != nil {
		return project.Project{}, nil, err
	}
	dir, err := os.MkdirTemp("", "slipway-")
	if err != nil {
		return project.Project{}, nil, err
	}
	remove := func() { _ = os.RemoveAll(dir) }
	if err := os.WriteFile(filepath.Join(dir, "stdin.yaml"), text, 0o600); err != nil {
		remove()
		return project.Project{}, nil, err
	}
	return project.Project{Name: "stdin", Dir: dir, Environments: []project.Environment{
		{Name: "stdin", Class: class, Paths: []string{"."}}}}, remove, nil
}

// stdinClass returns the class that check's arguments ask for manifests on stdin, empty where they name
// environments of the project.
func stdinClass(args []string, class string) (project.Class, error) {
	stdin := len(args) == 1 && args[0] == "-"
	switch {
	case !stdin && class != "":
		return "", &usageError{errors.New("--class applies to manifests on stdin: pass - as the only argument")}
	case !stdin:
		return "", nil
	case class == "":
		return project.Production, nil
	case !slices.Contains([]string{"local", "staging", "production"}, class):
		return "", &usageError{errors.New("--class: use one of local, staging, production")}
	}
	return project.Class(class), nil
}
