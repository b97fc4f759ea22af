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

// layoutRoots are where people keep manifests, the most likely first.
var layoutRoots = []string{"k8s", "kubernetes", "deploy", "kustomize", "manifests"}

// chartRoots are where people keep charts, or directories of charts.
var chartRoots = []string{"chart", "charts", "helm", "deploy/chart", "deploy/charts", "deploy/helm"}

var lookedFor = []string{
	"k8s/overlays/*", "overlays/*", "k8s-dev, k8s-prod", "k8s/dev, k8s/prod", "chart with values-*.yaml",
	"skaffold.yaml", "k8s/*.yaml",
	"and the same in kubernetes, deploy, kustomize, manifests, charts/*, helm",
}

// detect finds the environments of a conventional layout in dir, and reports whether there are any.
func detect(dir string) (Project, bool, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Project{}, false, fmt.Errorf("open project: %w", err)
	}
	defer root.Close()
	l := layout{root.FS()}
	p := l.named(dir)
	var others []string
	for _, look := range []func() []Environment{l.overlays, l.siblings, l.subfolders, l.releases, l.skaffold,
		l.chart, l.single} {
		envs := look()
		if len(p.Environments) == 0 {
			p.Environments = envs
			continue
		}
		before := slices.Clone(others)
		for _, e := range envs {
			for _, source := range e.sources() {
				if slices.Contains(before, source) || slices.ContainsFunc(p.Environments, func(e Environment) bool {
					return e.within(source)
				}) {
					continue
				}
				p.Others = append(p.Others, e)
				if !slices.Contains(others, source) {
					others = append(others, source)
				}
			}
		}
	}
	if len(p.Environments) == 0 {
		return Project{}, false, nil
	}
	p.Others = p.nameOthers()
	for i := range p.Environments {
		e := &p.Environments[i]
		note := p.complete(e)
		p.Notes = append(p.Notes, fmt.Sprintf("using %s as environment %s of class %s", describe(*e),
			e.Name, e.Class))
		if note != "" {
			p.Notes = append(p.Notes, note)
		}
	}
	if len(p.Images) > 0 {
		p.Notes = append(p.Notes, fmt.Sprintf("using Dockerfile to build image %s", p.Name))
	}
	if len(others) > 0 {
		p.Notes = append(p.Notes, "not used: "+strings.Join(others, ", "))
	}
	if l.file("Tiltfile") {
		p.Notes = append(p.Notes, "Tiltfile is not read: it is a program")
	}
	return p, true, nil
}

// complete infers class and releases. The note is empty where the class is certain.
func (p Project) complete(e *Environment) (note string) {
	if e.Class == "" {
		e.Class, note = classOf(e.Name)
	}
	for j := range e.Charts {
		if e.Charts[j].Release == "" {
			e.Charts[j].Release = p.Name[:min(len(p.Name), 53)]
		}
	}
	return note
}

// nameOthers returns the others under unique names, without those whose class is a guess.
func (p Project) nameOthers() []Environment {
	var envs []Environment
	for _, e := range p.Others {
		if p.complete(&e) != "" {
			continue
		}
		if slices.ContainsFunc(append(envs, p.Environments...), func(o Environment) bool {
			return o.Name == e.Name
		}) {
			prefix := "other"
			switch {
			case e.Skaffold != nil:
				prefix = "skaffold"
			case len(e.Charts) > 0:
				prefix = "chart"
			}
			e.Name = prefix + "-" + e.Name
		}
		envs = append(envs, e)
	}
	return unique(envs)
}

// Named returns a project without environments: only its name, and the image of its Dockerfile.
func Named(dir string) (Project, error) {
	folders, err := candidates(dir)
	if err != nil {
		return Project{}, err
	}
	return layout{os.DirFS(folders[0])}.named(folders[0]), nil
}

func (l layout) named(dir string) Project {
	p := Project{Name: nameOf(dir), Dir: dir}
	if l.file("Dockerfile") {
		p.Images = []Image{{Name: p.Name, Context: ".", Dockerfile: "Dockerfile", Detected: true}}
	}
	return p
}

// describe names the sources of an environment.
func describe(e Environment) string {
	switch {
	case e.Skaffold != nil && len(e.Skaffold.Profiles) > 0:
		return e.Skaffold.File + " with profile " + strings.Join(e.Skaffold.Profiles, ", ")
	case e.Skaffold != nil:
		return e.Skaffold.File
	}
	var parts []string
	if e.Path != "" {
		parts = append(parts, e.Path)
	}
	for _, c := range e.Charts {
		name := "chart " + c.Path
		if c.Path == "." {
			name = "Chart.yaml"
		}
		if len(c.Values) > 0 {
			name += " with " + strings.Join(c.Values, ", ")
		}
		parts = append(parts, name)
	}
	return strings.Join(parts, " and ")
}

// sources returns the directories and files that an environment is rendered from.
func (e Environment) sources() []string {
	var names []string
	if e.Path != "" {
		names = append(names, e.Path)
	}
	for _, c := range e.Charts {
		names = append(names, path.Clean(c.Path+"/Chart.yaml"))
	}
	if e.Skaffold != nil {
		names = append(names, e.Skaffold.File)
	}
	return names
}

func (e Environment) within(source string) bool {
	return slices.ContainsFunc(e.sources(), func(s string) bool { return strings.HasPrefix(s+"/", source+"/") })
}

// layout finds conventional layouts in one directory.
type layout struct{ fs fs.FS }

// overlays finds k8s/overlays/*, overlays/* and their like.
func (l layout) overlays() []Environment {
	for _, r := range append(slices.Clone(layoutRoots), "deploy/k8s", "deploy/kustomize", "k8s/kustomize", ".") {
		parent := path.Join(r, "overlays")
		var envs []Environment
		for _, name := range l.folders(parent) {
			if p := path.Join(parent, name); l.kustomized(p) && label.matches(name) {
				envs = append(envs, Environment{Name: name, Path: p})
			}
		}
		if len(envs) > 0 {
			return envs
		}
	}
	return nil
}

// siblings finds the copied directories k8s-dev, k8s-prod and their like.
func (l layout) siblings() []Environment {
	var envs []Environment
	for _, folder := range l.folders(".") {
		for _, r := range layoutRoots {
			name, ok := strings.CutPrefix(folder, r+"-")
			if ok && label.matches(name) && l.manifests(folder) {
				envs = append(envs, Environment{Name: name, Path: folder})
			}
		}
	}
	return unique(envs)
}

// subfolders finds k8s/dev, k8s/prod and their like: only names that reveal their class.
func (l layout) subfolders() []Environment {
	for _, r := range layoutRoots {
		var envs []Environment
		for _, name := range l.folders(r) {
			p := path.Join(r, name)
			if _, note := classOf(name); note == "" && label.matches(name) && l.manifests(p) {
				envs = append(envs, Environment{Name: name, Path: p})
			}
		}
		if len(envs) > 0 {
			return envs
		}
	}
	return nil
}

// single finds one directory of manifests, and takes it as the only environment, a local one.
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
	return slices.ContainsFunc(kustomizations, func(name string) bool { return l.file(path.Join(p, name)) })
}

var kustomizations = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// manifests reports whether a directory has Kubernetes manifests.
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
		if ext := path.Ext(e.Name()); e.IsDir() || ext != ".yaml" && ext != ".yml" && ext != ".json" {
			return false
		}
		text, err := fs.ReadFile(l.fs, path.Join(p, e.Name()))
		return err == nil && IsManifest(text)
	})
}

// The keys may be in braces, as in JSON.
var (
	hasKind    = regexp.MustCompile(`(?m)(^|[{,]\s*)["']?kind["']?\s*:`)
	hasVersion = regexp.MustCompile(`(?m)(^|[{,]\s*)["']?apiVersion["']?\s*:`)
)

// IsManifest reports whether a YAML or JSON text looks like Kubernetes objects.
func IsManifest(text []byte) bool { return hasKind.Match(text) && hasVersion.Match(text) }

var classNames = map[string]Class{
	"dev": Local, "development": Local, "local": Local, "laptop": Local,
	"staging": Staging, "stage": Staging, "qa": Staging, "test": Staging, "testing": Staging, "uat": Staging,
	"preprod": Staging,
	"prod":    Production, "production": Production, "live": Production,
}

// classOf infers the class of an environment from the words of its name. Where it cannot, it returns the
// strictest class and a note.
func classOf(name string) (Class, string) {
	words := strings.FieldsFunc(name, func(r rune) bool { return r == '-' || r == '_' || r == '.' })
	for _, class := range []Class{Production, Staging, Local} {
		for _, w := range words {
			if classNames[w] == class {
				return class, ""
			}
		}
	}
	return Production, fmt.Sprintf("environment %s is treated as production: its name does not say its class",
		name)
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// nameOf makes a project name from that of its directory.
func nameOf(dir string) string {
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(filepath.Base(dir)), "-"), "-")
	if name == "" {
		return "app"
	}
	return strings.Trim(name[:min(len(name), 63)], "-")
}
