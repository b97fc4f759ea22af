// Package scaffold generates the first files of a project: a slipway.yaml that states the detected
// environments, and manifests where there are none. Make returns files as values; Write writes
// them.
package scaffold

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"

	"slipway/internal/project"
)

//go:embed all:files
var files embed.FS

// ErrNothing says that a directory has neither a Dockerfile nor manifests.
var ErrNothing = errors.New("neither a Dockerfile nor manifests")

// ExistsError says that a file that would be generated exists.
type ExistsError struct{ Path string }

func (e *ExistsError) Error() string { return e.Path + " exists" }

// LooseError says that manifests are where overlays cannot include them.
type LooseError struct{ Paths []string }

func (e *LooseError) Error() string {
	return fmt.Sprintf("overlays cannot include %s: the manifests need a directory of their own",
		strings.Join(e.Paths, ", "))
}

// File is a generated file. Its path is relative to the project's directory.
type File struct{ Path, Text string }

// Write writes the files, and reads the project again: they must work for every other command. It returns
// those that it has written, also with an error.
func Write(p project.Project, files []File) ([]File, error) {
	root, err := os.OpenRoot(p.Dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	for i, f := range files {
		if err := project.CreateFile(root, f.Path, f.Text); err != nil {
			return files[:i], err
		}
	}
	_, err = project.Open(p.Dir)
	return files, err
}

// Make returns the project that dir belongs to and the files that it lacks, slipway.yaml last. With chart it
// makes a Helm chart instead of a base with overlays. It fails with an *ExistsError where a file exists.
func Make(dir string, chart bool) (project.Project, []File, error) {
	p, err := project.Open(dir)
	var none *project.NoneError
	switch {
	case errors.As(err, &none):
		return begin(dir, chart, none)
	case err != nil:
		return p, nil, err
	case p.File != "":
		return p, nil, &ExistsError{filepath.Join(p.Dir, p.File)}
	}
	first := p.Environments[0]
	switch {
	case chart && len(first.Paths) > 0:
		return p, nil, &ExistsError{first.Paths[0]}
	case chart && len(first.Charts) > 0:
		return p, nil, &ExistsError{path.Join(first.Charts[0].Path, "Chart.yaml")}
	case first.Name == "default" && first.Class == project.Local && len(first.Paths) == 1:
		p.Notes = p.Notes[1:] // it becomes a base
		return overlay(p, first.Paths[0])
	}
	return finish(p, nil)
}

func note(p *project.Project, format string, args ...any) {
	p.Notes = append(p.Notes, project.Note{Text: fmt.Sprintf(format, args...)})
}

// begin makes a project where detection found no environment.
func begin(dir string, chart bool, none *project.NoneError) (project.Project, []File, error) {
	p, err := project.Named(dir)
	if err != nil {
		return p, nil, err
	}
	for _, b := range none.Broken {
		note(&p, "could not read %s: it may deploy this already", b)
	}
	for _, e := range none.Elsewhere {
		note(&p, "%s may deploy this already: `%s | slipway check --class production -` checks it", e.File,
			e.Command)
	}
	names, folders, err := manifests(p.Dir)
	switch {
	case err != nil:
		return p, nil, err
	case len(folders) > 1 || len(folders) == 1 && folders[0] == ".":
		return p, nil, &LooseError{names}
	case len(folders) == 1 && chart:
		return p, nil, &ExistsError{folders[0]}
	case len(folders) == 1:
		return overlay(p, folders[0])
	case len(p.Images) == 0:
		return p, nil, fmt.Errorf("%s: %w", p.Dir, ErrNothing)
	}
	layout := "kustomize"
	if chart {
		layout = "helm"
	}
	registry := registryOf(p)
	if registry == "" {
		note(&p, "staging and prod need a `registry` in slipway.yaml, such as ghcr.io/OWNER: their nodes pull the "+
			"image from it")
	}
	for _, env := range environments {
		if env.Class != project.Local {
			env.Registry = registry
		}
		env.Paths = []string{"k8s/overlays/" + env.Name}
		if chart {
			env.Charts = []project.Chart{{Path: "chart", Release: p.Name,
				Values: []string{"chart/values-" + env.Name + ".yaml"}}}
			env.Paths = nil
		}
		p.Environments = append(p.Environments, env)
	}
	port, guessed := portOf(p)
	made, err := expand(layout, map[string]any{"Name": p.Name, "Port": port, "Guessed": guessed})
	if err != nil {
		return p, nil, err
	}
	return finish(p, made)
}

var environments = []project.Environment{
	{Name: "dev", Class: project.Local}, {Name: "staging", Class: project.Staging},
	{Name: "prod", Class: project.Production},
}

var origin = regexp.MustCompile(`(?m)^\s*url\s*=\s*\S*?` +
	`(github|gitlab)\.com[:/]([^/\s]+)/(\S+?)(?:\.git)?/?\s*$`)

// registryOf is the registry of the host that the project's repository has as its only remote; empty where
// there is none.
func registryOf(p project.Project) string {
	text, _ := os.ReadFile(filepath.Join(p.Dir, ".git", "config"))
	remotes := origin.FindAllStringSubmatch(strings.ToLower(string(text)), -1)
	switch {
	case len(remotes) != 1:
		return ""
	case remotes[0][1] == "github":
		return "ghcr.io/" + remotes[0][2]
	}
	return "registry.gitlab.com/" + remotes[0][2] + "/" + remotes[0][3]
}

var expose = regexp.MustCompile(`(?mi)^\s*EXPOSE\s+(\d+)`)

// portOf returns the last port that the Dockerfile exposes, or a guess.
func portOf(p project.Project) (port int, guessed bool) {
	text, _ := os.ReadFile(filepath.Join(p.Dir, p.Images[0].Dockerfile))
	all := expose.FindAllSubmatch(text, -1)
	if len(all) == 0 {
		return 8080, true
	}
	port, err := strconv.Atoi(string(all[len(all)-1][1]))
	return port, err != nil
}

// finish adds slipway.yaml. It fails where a file exists.
func finish(p project.Project, made []File) (project.Project, []File, error) {
	var unused []project.Image
	p.Images = slices.DeleteFunc(p.Images, func(i project.Image) bool {
		_, err := os.Stat(filepath.Join(p.Dir, filepath.FromSlash(i.Dockerfile)))
		if err != nil {
			note(&p, "image %s is built without a Dockerfile, so slipway.yaml does not list it", i.Name)
		}
		return err != nil
	})
	p.Images = slices.DeleteFunc(p.Images, func(i project.Image) bool {
		if used(p.Dir, i.Name, made) {
			return false
		}
		unused = append(unused, i)
		return true
	})
	deployers, err := project.Deployers(p.Dir)
	if err != nil {
		return p, nil, err
	}
	if len(deployers) > 0 {
		note(&p, "already deployed by %s: let either that tool or Slipway deploy an environment, not both",
			strings.Join(deployers, ", "))
	}
	text, err := fill("files/slipway.yaml", struct {
		project.Project
		Unused []project.Image
	}{p, unused})
	if err != nil {
		return p, nil, err
	}
	made = append(made, File{project.File, text})
	for _, f := range made {
		if _, err := os.Lstat(filepath.Join(p.Dir, filepath.FromSlash(f.Path))); err == nil {
			return p, nil, &ExistsError{f.Path}
		}
	}
	return p, made, nil
}

// used reports whether a manifest or a values file, an existing or a generated one, names an image.
func used(dir, name string, made []File) bool {
	names := regexp.MustCompile(`(?m)(image|repository|newName)["']?:\s*["']?([^\s"'{}]*/)?` +
		regexp.QuoteMeta(name) + `(["':@,}\s]|$)`)
	found := slices.ContainsFunc(made, func(f File) bool { return names.MatchString(f.Text) })
	_ = eachYAML(dir, true, func(file string, text []byte) error {
		if strings.HasPrefix(path.Base(file), "skaffold.") {
			return nil // it says what is built, not what runs
		}
		found = found || names.Match(text)
		return nil
	})
	return found
}

// eachYAML visits the YAML and JSON files below a directory. Without all, it skips charts, whose files are
// templates, and visits a directory with a kustomization as a whole, without a text.
func eachYAML(dir string, all bool, visit func(name string, text []byte) error) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	has := func(folder, pattern string) bool {
		found, _ := fs.Glob(root.FS(), path.Join(folder, pattern))
		return !all && folder != "." && len(found) > 0
	}
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		base, ext := d.Name(), path.Ext(name)
		switch {
		case err != nil && d.IsDir() && name != ".":
			return fs.SkipDir // detection says which ones cannot be read
		case err != nil:
			return err
		case d.IsDir() && (base == "node_modules" || base == "vendor" || strings.HasPrefix(base, ".") &&
			name != "." || has(name, "Chart.yaml")):
			return fs.SkipDir
		case d.IsDir() && has(name, "[kK]ustomization*"):
			if err := visit(name, nil); err != nil {
				return err
			}
			return fs.SkipDir
		case !d.Type().IsRegular() || ext != ".yaml" && ext != ".yml" && ext != ".json":
			return nil
		}
		text, err := fs.ReadFile(root.FS(), name)
		if err != nil {
			return err
		}
		return visit(name, text)
	})
}

// expand executes all templates of a layout.
func expand(layout string, data any) ([]File, error) {
	var made []File
	top := "files/" + layout
	err := fs.WalkDir(files, top, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fill(name, data)
		made = append(made, File{strings.TrimPrefix(name, top+"/"), text})
		return err
	})
	return made, err
}

// fill executes a template with double brackets as delimiters: braces are Helm's.
func fill(name string, data any) (string, error) {
	text, err := files.ReadFile(name)
	if err != nil {
		return "", err
	}
	t, err := template.New(path.Base(name)).Delims("[[", "]]").Funcs(template.FuncMap{
		"q": quote, "means": func(c project.Class) string { return meanings[c] }, "assignments": assignments,
	}).Parse(string(text))
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = t.Execute(&b, data)
	return b.String(), err
}

// assignments are the values that a chart gets beside its files, by their keys in slipway.yaml.
func assignments(c project.Chart) map[string][]string {
	all := map[string][]string{"set": c.Set, "setString": c.SetString, "setJSON": c.SetJSON}
	maps.DeleteFunc(all, func(_ string, list []string) bool { return len(list) == 0 })
	return all
}

var meanings = map[project.Class]string{
	project.Local:      "a failed release stays in place for debugging",
	project.Staging:    "a failed release is rolled back",
	project.Production: "only committed changes; a failed release is rolled back",
}

// quote returns a string as a YAML scalar.
func quote(s string) (string, error) {
	b, err := yaml.Marshal(s)
	return strings.TrimSuffix(string(b), "\n"), err
}
