package project

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Where people keep manifests, the likeliest first.
var layoutRoots = []string{"k8s", "kubernetes", "deploy", "kustomize", "manifests"}

var lookedFor = []string{
	"k8s/overlays/*", "overlays/*", "k8s-dev, k8s-prod", "k8s/*.yaml",
	"and the same in kubernetes, deploy, kustomize and manifests",
}

// detect finds the environments of a conventional layout in dir.
func detect(dir string) (Project, bool, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Project{}, false, fmt.Errorf("open project: %w", err)
	}
	defer root.Close()
	l := layout{root.FS()}
	p := Project{Name: nameOf(dir), Dir: dir}
	for _, look := range []func() []Environment{l.overlays, l.siblings, l.subfolders, l.single} {
		if p.Environments = look(); len(p.Environments) > 0 {
			break
		}
	}
	if len(p.Environments) == 0 {
		return Project{}, false, nil
	}
	for i, e := range p.Environments {
		if e.Class != "" {
			p.Notes = append(p.Notes, fmt.Sprintf("%s is taken as one environment, %s, of class %s", e.Path, e.Name, e.Class))
			continue
		}
		class, note := classOf(e.Name)
		p.Environments[i].Class = class
		p.Notes = append(p.Notes, fmt.Sprintf("%s is taken as environment %s of class %s", e.Path, e.Name, class))
		if note != "" {
			p.Notes = append(p.Notes, note)
		}
	}
	if l.file("Dockerfile") {
		p.Images = []Image{{Name: p.Name, Context: ".", Dockerfile: "Dockerfile", Detected: true}}
		p.Notes = append(p.Notes, fmt.Sprintf("Dockerfile is taken to build image %s", p.Name))
	}
	return p, true, nil
}

// layout looks at one folder.
type layout struct{ fs fs.FS }

// overlays finds k8s/overlays/*, overlays/* and their like.
func (l layout) overlays() []Environment {
	for _, r := range append(slices.Clone(layoutRoots), "deploy/k8s", "deploy/kustomize", "k8s/kustomize", ".") {
		parent := path.Join(r, "overlays")
		var envs []Environment
		for _, name := range l.folders(parent) {
			if p := path.Join(parent, name); l.kustomized(p) && label.MatchString(name) {
				envs = append(envs, Environment{Name: name, Path: p})
			}
		}
		if len(envs) > 0 {
			return envs
		}
	}
	return nil
}

// siblings finds the copied folders k8s-dev, k8s-prod and their like.
func (l layout) siblings() []Environment {
	var envs []Environment
	for _, folder := range l.folders(".") {
		for _, r := range layoutRoots {
			name, ok := strings.CutPrefix(folder, r+"-")
			if ok && label.MatchString(name) && l.manifests(folder) {
				envs = append(envs, Environment{Name: name, Path: folder})
			}
		}
	}
	return unique(envs)
}

// subfolders finds k8s/dev, k8s/prod and their like: only names that say what they are.
func (l layout) subfolders() []Environment {
	for _, r := range layoutRoots {
		var envs []Environment
		for _, name := range l.folders(r) {
			p := path.Join(r, name)
			if _, note := classOf(name); note == "" && label.MatchString(name) && l.manifests(p) {
				envs = append(envs, Environment{Name: name, Path: p})
			}
		}
		if len(envs) > 0 {
			return envs
		}
	}
	return nil
}

// single finds one folder of manifests: there is but one environment, and it is somebody's own.
func (l layout) single() []Environment {
	for _, p := range layoutRoots {
		if l.manifests(p) {
			return []Environment{{Name: "default", Path: p, Class: Local}}
		}
	}
	return nil
}

func unique(envs []Environment) []Environment {
	seen := map[string]bool{}
	return slices.DeleteFunc(envs, func(e Environment) bool {
		again := seen[e.Name]
		seen[e.Name] = true
		return again
	})
}

func (l layout) folders(p string) []string {
	entries, err := fs.ReadDir(l.fs, p)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}

func (l layout) file(p string) bool {
	info, err := fs.Stat(l.fs, p)
	return err == nil && info.Mode().IsRegular()
}

func (l layout) kustomized(p string) bool {
	return l.file(path.Join(p, "kustomization.yaml")) || l.file(path.Join(p, "kustomization.yml")) || l.file(path.Join(p, "Kustomization"))
}

// manifests says whether a folder has YAML of Kubernetes in it.
func (l layout) manifests(p string) bool {
	if l.kustomized(p) {
		return true
	}
	if l.file(path.Join(p, "Chart.yaml")) {
		return false
	}
	entries, err := fs.ReadDir(l.fs, p)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		if ext := path.Ext(e.Name()); e.IsDir() || ext != ".yaml" && ext != ".yml" {
			return false
		}
		text, err := fs.ReadFile(l.fs, path.Join(p, e.Name()))
		return err == nil && hasKind.Match(text)
	})
}

var hasKind = regexp.MustCompile(`(?m)^"?kind"?:`)

var classNames = map[string]Class{
	"dev": Local, "development": Local, "local": Local, "laptop": Local,
	"staging": Staging, "stage": Staging, "qa": Staging, "test": Staging, "testing": Staging, "uat": Staging, "preprod": Staging,
	"prod": Production, "production": Production, "live": Production,
}

// classOf infers the class of an environment from the words of its name. A name that says nothing
// is held to the strictest contract, and the note says so.
func classOf(name string) (Class, string) {
	words := strings.FieldsFunc(name, func(r rune) bool { return r == '-' || r == '_' || r == '.' })
	for _, class := range []Class{Production, Staging, Local} {
		for _, w := range words {
			if classNames[w] == class {
				return class, ""
			}
		}
	}
	return Production, fmt.Sprintf("environment %s is treated as production: its name does not say its class", name)
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// nameOf makes a project's name of its folder's.
func nameOf(dir string) string {
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(filepath.Base(dir)), "-"), "-")
	if name == "" {
		return "app"
	}
	return strings.Trim(name[:min(len(name), 63)], "-")
}
