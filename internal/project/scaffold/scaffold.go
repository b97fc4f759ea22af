// Package scaffold makes a project of a repository: the slipway.yaml that detection would stand for,
// and the first manifests where there are none. It gives files as values and writes none.
package scaffold

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
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

// ErrNothing says that there is neither a Dockerfile nor a manifest to begin with.
var ErrNothing = errors.New("nothing to begin with: no Dockerfile, no manifests")

// ExistsError says that what would be made is there.
type ExistsError struct{ Path string }

func (e *ExistsError) Error() string { return e.Path + " is there already" }

// LooseError says that manifests lie where no overlay can include them.
type LooseError struct{ Paths []string }

func (e *LooseError) Error() string {
	return fmt.Sprintf("overlays cannot include %s from where they are: they need one folder of manifests",
		strings.Join(e.Paths, ", "))
}

// File is one to be written, relative to the project's folder.
type File struct{ Path, Text string }

// Make gives the project that dir belongs to and the files that are missing, slipway.yaml last. A
// chart is made in place of a base with overlays where that is asked for.
func Make(dir string, chart bool) (project.Project, []File, error) {
	p, err := project.Open(dir)
	switch {
	case errors.Is(err, project.ErrNone):
		return begin(dir, chart)
	case err != nil:
		return p, nil, err
	case p.File != "":
		return p, nil, &ExistsError{filepath.Join(p.Dir, p.File)}
	}
	first := p.Environments[0]
	switch {
	case chart && first.Path != "":
		return p, nil, &ExistsError{first.Path}
	case chart && len(first.Charts) > 0:
		return p, nil, &ExistsError{path.Join(first.Charts[0].Path, "Chart.yaml")}
	case first.Name == "default" && first.Path != "":
		return pile(p, first.Path)
	}
	return finish(p, nil)
}

// begin makes a project where detection found none.
func begin(dir string, chart bool) (project.Project, []File, error) {
	p, err := project.Named(dir)
	if err != nil {
		return p, nil, err
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
		return pile(p, folders[0])
	case len(p.Images) == 0:
		return p, nil, fmt.Errorf("%s: %w", p.Dir, ErrNothing)
	}
	layout := "kustomize"
	if chart {
		layout = "helm"
	}
	for _, env := range environments {
		env.Path = "k8s/overlays/" + env.Name
		if chart {
			env.Charts = []project.Chart{{Path: "chart", Release: p.Name,
				Values: []string{"chart/values-" + env.Name + ".yaml"}}}
			env.Path = ""
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

var expose = regexp.MustCompile(`(?mi)^\s*EXPOSE\s+(\d+)`)

// portOf is the last port that the Dockerfile exposes; guessed where it says none.
func portOf(p project.Project) (port int, guessed bool) {
	text, _ := os.ReadFile(filepath.Join(p.Dir, p.Images[0].Dockerfile))
	all := expose.FindAllSubmatch(text, -1)
	if len(all) == 0 {
		return 8080, true
	}
	port, err := strconv.Atoi(string(all[len(all)-1][1]))
	return port, err != nil
}

// finish adds slipway.yaml, and refuses what would overwrite something.
func finish(p project.Project, made []File) (project.Project, []File, error) {
	var unused []project.Image
	p.Images = slices.DeleteFunc(p.Images, func(i project.Image) bool {
		if used(p.Dir, i.Name, made) {
			return false
		}
		unused = append(unused, i)
		return true
	})
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

// used tells whether a manifest or a values file, there or made here, names an image.
func used(dir, name string, made []File) bool {
	names := regexp.MustCompile(`(?m)(image|repository|newName)["']?:\s*["']?([^\s"'{}]*/)?` +
		regexp.QuoteMeta(name) + `(["':@,}\s]|$)`)
	found := slices.ContainsFunc(made, func(f File) bool { return names.MatchString(f.Text) })
	_ = eachYAML(dir, true, func(_ string, text []byte) error {
		found = found || names.Match(text)
		return nil
	})
	return found
}

// eachYAML visits the YAML and JSON files below a folder. Unless all are wanted, it leaves out charts,
// whose files are templates, and visits a folder with a kustomization as a whole, without a text.
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

// expand fills all templates of a layout.
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

// fill replaces what stands in double brackets: braces are Helm's.
func fill(name string, data any) (string, error) {
	text, err := files.ReadFile(name)
	if err != nil {
		return "", err
	}
	t, err := template.New(path.Base(name)).Delims("[[", "]]").Funcs(template.FuncMap{
		"q": quote, "means": func(c project.Class) string { return meanings[c] },
	}).Parse(string(text))
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = t.Execute(&b, data)
	return b.String(), err
}

var meanings = map[project.Class]string{
	project.Local:      "what fails stays in place, to be looked at",
	project.Staging:    "what fails gives way to the last healthy release",
	project.Production: "only what a commit describes; what fails gives way to the last healthy release",
}

// quote is a string as YAML has it.
func quote(s string) (string, error) {
	b, err := yaml.Marshal(s)
	return strings.TrimSuffix(string(b), "\n"), err
}
