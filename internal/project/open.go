package project

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// File is the name of the project file.
const File = "slipway.yaml"

// ErrNone says that a directory has no project. The error that wraps it lists the places that were
// tried.
var ErrNone = errors.New("no project")

// FileError says where the project file is wrong.
type FileError struct {
	File string
	Line int // 1-based; 0: the file as a whole
	Err  error
}

func (e *FileError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("read %s: %v", e.File, e.Err)
	}
	return fmt.Sprintf("read %s: line %d: %v", e.File, e.Line, e.Err)
}

func (e *FileError) Unwrap() error { return e.Err }

// AbsentError says that slipway.yaml names a path that does not exist.
type AbsentError struct {
	What, Path string // "values", "chart/values-prod.yaml"
	Directory  bool
	Line       int
}

func (e *AbsentError) Error() string {
	kind := "file"
	if e.Directory {
		kind = "directory"
	}
	return fmt.Sprintf("%s %s: no such %s", e.What, e.Path, kind)
}

// UnknownEnvironmentError says that the project has no such environment.
type UnknownEnvironmentError struct {
	Name  string
	Known []string
	// Suggestion is the most similar known name; empty: none is similar.
	Suggestion string
}

func (e *UnknownEnvironmentError) Error() string {
	return fmt.Sprintf("unknown environment %q", e.Name)
}

// Environment returns the environment of that name, or an *UnknownEnvironmentError.
func (p Project) Environment(name string) (Environment, error) {
	var known []string
	for _, e := range p.Environments {
		if e.Name == name {
			return e, nil
		}
		known = append(known, e.Name)
	}
	return Environment{}, &UnknownEnvironmentError{Name: name, Known: known, Suggestion: Suggest(name, known)}
}

// Select returns the named environments, each once, or all without names. It includes Others.
func (p Project) Select(names []string) ([]Environment, error) {
	p.Environments = slices.Concat(p.Environments, p.Others)
	if len(names) == 0 {
		return p.Environments, nil
	}
	var envs []Environment
	for _, n := range names {
		env, err := p.Environment(n)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(envs, func(e Environment) bool { return e.Name == n }) {
			envs = append(envs, env)
		}
	}
	return envs, nil
}

// Chosen returns the environment that profiles of skaffold.yaml make, or else the named environments in their
// order, or all of the project without names. They may be changed.
func (p Project) Chosen(names, profiles []string) ([]Environment, error) {
	switch {
	case len(profiles) > 0:
		env, err := p.WithProfiles(profiles)
		return []Environment{env}, err
	case len(names) == 0:
		return slices.Clone(p.Environments), nil
	}
	var envs []Environment
	for _, name := range names {
		env, err := p.Environment(name)
		if err != nil {
			return nil, err
		}
		envs = append(envs, env)
	}
	return envs, nil
}

// Open finds the project that dir belongs to: a slipway.yaml in dir or above it, up to the root of the Git
// repository, or else a conventional layout in one of these directories. It fails with ErrNone where it finds
// neither.
func Open(dir string) (Project, error) {
	dirs, err := candidates(dir)
	if err != nil {
		return Project{}, err
	}
	return openNearest(dirs)
}

// OpenBelow finds the project that dir belongs to, a path below root: in dir, which need not exist, or above
// it up to root.
func OpenBelow(root, dir string) (Project, error) {
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return Project{}, fmt.Errorf("open project: %w", err)
	}
	var dirs []string
	for f := filepath.Join(root, dir); f != root; f = filepath.Dir(f) {
		if _, err := os.Stat(f); err == nil {
			dirs = append(dirs, f)
		}
	}
	return openNearest(append(dirs, root))
}

// openNearest opens the first project of some directories, the nearest first.
func openNearest(dirs []string) (Project, error) {
	for _, f := range dirs {
		text, err := os.ReadFile(filepath.Join(f, File))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return Project{}, &FileError{File: File, Err: err}
		}
		p, err := Parse(f, text)
		if err == nil {
			p.addArtifacts()
		}
		return p, err
	}
	top := dirs[len(dirs)-1]
	for _, f := range dirs {
		// In k8s/, or in a chart of charts/, the project is the directory above.
		within, _ := filepath.Rel(top, f)
		if slices.ContainsFunc(strings.Split(filepath.ToSlash(within), "/"), isPlace) {
			continue
		}
		p, found, err := detect(f)
		if err != nil || found {
			return p, err
		}
	}
	l := walk(os.DirFS(dirs[0]))
	return Project{}, &NoneError{dirs[0], l.elsewhere(), l.broken()}
}

func isPlace(name string) bool {
	return slices.Contains(layoutRoots, name) || slices.Contains(chartRoots, name)
}

// candidates returns dir and the directories above it in its Git repository, the nearest first.
func candidates(dir string) ([]string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open project: %w", err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, fmt.Errorf("open project: %w", err)
	}
	var dirs []string
	for f := dir; ; f = filepath.Dir(f) {
		dirs = append(dirs, f)
		if _, err := os.Stat(filepath.Join(f, ".git")); err == nil {
			return dirs, nil
		}
		if f == filepath.Dir(f) {
			return dirs[:1], nil // not in a repository: only dir itself
		}
	}
}

// Suggest returns the known word that is most similar to a mistyped one; empty: none is similar.
func Suggest(word string, known []string) string {
	best, distance := "", max(2, len(word)/3)+1
	for _, k := range known {
		if d := edits(word, k); d < distance && d < len(k) {
			best, distance = k, d
		}
	}
	if best == "" {
		for _, k := range known {
			if len(word) >= 3 && strings.HasPrefix(k, word) || len(k) >= 3 && strings.HasPrefix(word, k) {
				return k
			}
		}
	}
	return best
}

// edits counts insertions, deletions, replacements and swaps of neighbours.
func edits(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// Subdirectory returns dir relative to root, with forward slashes and without symbolic links; empty where
// they are the same directory.
func Subdirectory(root, dir string) (string, error) {
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return "", err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", err
	}
	rel, err := filepath.Rel(root, dir)
	return strings.TrimPrefix(path.Clean(filepath.ToSlash(rel)), "."), err
}
