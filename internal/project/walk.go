package project

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"slipway/internal/project/tilt"
)

// Detection looks at the names of this many files and this deep, and reads files up to this size.
const (
	maxDepth  = 8
	maxWalked = 50_000
	maxRead   = 1 << 20
)

// layout is what a bounded walk saw of a directory.
type layout struct {
	fs    fs.FS
	dirs  []string            // in the order of the walk; "." first
	files map[string][]string // by directory: the names of its files
	note  string              // which limit ended the walk
	tilt  tilt.Tiltfile       // what the project's Tiltfile states, if it has one
	// tiltfile is its path; empty where there is none.
	tiltfile string
}

// walk lists a directory without what is hidden, and without the packages of others.
func walk(fsys fs.FS) layout {
	l := layout{fs: fsys, files: map[string][]string{}}
	count := 0
	_ = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		count++
		switch {
		case err != nil && d != nil && d.IsDir():
			return fs.SkipDir
		case err != nil:
			return nil
		case count > maxWalked:
			l.note = fmt.Sprintf("detection stopped after %d files, in %s", maxWalked, path.Dir(name))
			return fs.SkipAll
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" ||
			d.Name() == "vendor" || isProject(fsys, name)):
			return fs.SkipDir
		case d.IsDir() && strings.Count(name, "/") >= maxDepth:
			l.note = fmt.Sprintf("detection looked %d directories deep, and not into %s", maxDepth, name)
			return fs.SkipDir
		case d.IsDir():
			l.dirs = append(l.dirs, name)
		default:
			l.files[path.Dir(name)] = append(l.files[path.Dir(name)], d.Name())
		}
		return nil
	})
	if l.tiltfile = l.findTiltfile(); l.tiltfile != "" {
		l.tilt = tilt.Read(fsys, l.tiltfile)
	}
	return l
}

// isProject says whether a directory is a project or a repository of its own.
func isProject(fsys fs.FS, dir string) bool {
	return slices.ContainsFunc([]string{File, ".git"}, func(name string) bool {
		_, err := fs.Stat(fsys, path.Join(dir, name))
		return err == nil
	})
}

// folders are the directories right below p.
func (l layout) folders(p string) []string {
	var names []string
	for _, d := range l.dirs {
		if d != "." && path.Dir(d) == path.Clean(p) {
			names = append(names, path.Base(d))
		}
	}
	return names
}

func (l layout) isFolder(p string) bool { return slices.Contains(l.dirs, p) }

func (l layout) file(p string) bool { return slices.Contains(l.files[path.Dir(p)], path.Base(p)) }

// text is that of a file; nil where it cannot be read or is too large to be written by hand.
func (l layout) text(p string) []byte {
	info, err := fs.Stat(l.fs, p)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxRead {
		return nil
	}
	text, _ := fs.ReadFile(l.fs, p)
	return text
}

func isYAML(name string) bool { return slices.Contains([]string{".yaml", ".yml"}, path.Ext(name)) }

// isManifestName says whether a name is one that a file of manifests may have.
func isManifestName(name string) bool { return isYAML(name) || path.Ext(name) == ".json" }

// manifests says whether a directory has YAML of Kubernetes in it.
func (l layout) manifests(p string) bool {
	if l.kustomized(p) {
		return true
	}
	return !l.file(path.Join(p, "Chart.yaml")) && slices.ContainsFunc(l.files[p], func(name string) bool {
		return isManifestName(name) && IsManifest(l.text(path.Join(p, name)))
	})
}

// manifestsBelow says whether a directory or one below it has YAML of Kubernetes that nothing else renders.
func (l layout) manifestsBelow(p string) bool {
	return slices.ContainsFunc(l.dirs, func(d string) bool {
		return (d == p || isBelow(d, p) && !l.kustomized(d)) && !l.inChart(d) && l.manifests(d)
	})
}

func isBelow(p, dir string) bool { return dir == "." || strings.HasPrefix(p, dir+"/") }

// Directories whose manifests are somebody's example or test, and deploy nothing of the project's own.
var besides = strings.Fields(
	"test tests testdata e2e example examples sample samples doc docs fixtures hack archive archived " +
		"deprecated legacy old template templates tutorial tutorials")

// isBeside says whether a path leads through one of these.
func isBeside(p string) bool {
	return slices.ContainsFunc(strings.Split(p, "/"), func(s string) bool { return slices.Contains(besides, s) })
}
