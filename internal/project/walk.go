package project

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/internal/project/tilt"
	"slipway/internal/words"
)

// Detection looks at this many files and this deep, and reads files up to this size.
const (
	maxDepth  = 8
	maxWalked = 50_000
	maxRead   = 1 << 20
)

// Directories of the packages of others, and of what a build leaves.
var skipped = strings.Fields(
	"node_modules bower_components vendor third_party __pycache__ venv site-packages")

// layout is what a bounded walk saw of a directory.
type layout struct {
	fs    fs.FS
	dirs  []string            // in the order of their paths; "." first
	files map[string][]string // by directory: the names of its files
	note  string              // what the walk left out
	tilt  tilt.Tiltfile       // what the project's Tiltfile states, if it has one
	// tiltfile is its path; empty where there is none.
	tiltfile string
}

// walk lists a directory without what is hidden, and without the packages of others. It goes by levels, so
// that a large directory hides nothing above it, and it follows no links.
func walk(fsys fs.FS) layout {
	l := layout{fs: fsys, files: map[string][]string{}}
	count := 0
	var unread, deeper, more []string
	for level := []string{"."}; len(level) > 0; {
		var below []string
		for _, dir := range level {
			entries, err := fs.ReadDir(fsys, dir)
			switch {
			case err != nil && len(entries) == 0:
				unread = append(unread, dir)
				continue
			case count+len(entries) > maxWalked:
				more = append(more, dir)
				continue
			}
			count += len(entries)
			l.dirs = append(l.dirs, dir)
			for _, e := range entries {
				name := path.Join(dir, e.Name())
				switch {
				case !e.IsDir():
					l.files[dir] = append(l.files[dir], e.Name())
				case strings.HasPrefix(e.Name(), ".") || slices.Contains(skipped, e.Name()) || isProject(fsys, name):
				case strings.Count(name, "/") >= maxDepth:
					deeper = append(deeper, name)
				default:
					below = append(below, name)
				}
			}
		}
		level = below
	}
	slices.SortFunc(l.dirs, func(a, b string) int {
		return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
	})
	l.note = leftOut(unread, more, deeper)
	if l.tiltfile = l.findTiltfile(); l.tiltfile != "" {
		l.tilt = tilt.Read(fsys, l.tiltfile)
	}
	return l
}

// leftOut says which directories a walk did not look into, and why.
func leftOut(unread, more, deeper []string) string {
	var parts []string
	for _, p := range []struct {
		dirs []string
		why  string
	}{
		{unread, "cannot be read"},
		{more, fmt.Sprintf("detection looks at %d files", maxWalked)},
		{deeper, fmt.Sprintf("detection looks %d directories deep", maxDepth)},
	} {
		if n := len(p.dirs); n > 3 {
			p.dirs = append(p.dirs[:2:2], fmt.Sprintf("%d more", n-2))
		}
		if len(p.dirs) > 0 {
			parts = append(parts, fmt.Sprintf("%s (%s)", words.And(p.dirs), p.why))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "not looked at: " + strings.Join(parts, "; ")
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

// isTemplate says whether another program makes YAML of a text first: it has marks of ytt, or braces where
// YAML has none.
func isTemplate(text []byte) bool {
	if !templateBraces.Match(text) {
		return yttLine.Match(text)
	}
	for stream := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var doc map[string]any
		switch err := stream.Decode(&doc); {
		case errors.Is(err, io.EOF):
			return yttLine.Match(text)
		case err != nil:
			return true
		}
	}
}

var templateBraces = regexp.MustCompile(`\{\{|\{%`)

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
