package check

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/internal/check/finding"
	"slipway/internal/check/workflow"
	"slipway/internal/image/reference"
	"slipway/internal/lazyregexp"
	"slipway/internal/object"
)

// withoutReplaced leaves out findings about values that something replaces before they are deployed: a
// pipeline, Argo CD or Flux. It returns the values that each of them replaces.
func withoutReplaced(all []finding.Finding, s *subject, l *locator) ([]finding.Finding, []finding.Unchecked) {
	type replacer struct{ place, envs string }
	left := []finding.Finding{}
	var unchecked []finding.Unchecked
	at, values := map[replacer]int{}, map[replacer][]string{}
	for _, f := range all {
		value := valueOfField(f, l)
		r, ok := replacementOf(f, value, s)
		if !ok {
			left = append(left, f)
			continue
		}
		key := replacer{r.Place.String(), strings.Join(f.Environments, " ")}
		if _, known := at[key]; !known {
			at[key] = len(unchecked)
			unchecked = append(unchecked, finding.Unchecked{Environments: f.Environments, Place: f.Place,
				Why: r.Place.String() + " replaces it"})
		}
		if !slices.Contains(values[key], value) {
			values[key] = append(values[key], value)
		}
		unchecked[at[key]].What = "the value " + some(values[key])
		if len(values[key]) > 1 {
			unchecked[at[key]].What = "the values " + some(values[key])
			unchecked[at[key]].Why = r.Place.String() + " replaces them"
		}
	}
	return left, unchecked
}

// valueOfField is the text that a finding is about; empty where that is not a text.
func valueOfField(f finding.Finding, l *locator) string {
	if f.Object == nil || f.Field == "" {
		return ""
	}
	env := ""
	if len(f.Environments) > 0 {
		env = f.Environments[0]
	}
	o, ok := l.object(env, *f.Object)
	field := f.Field
	if f.Rule == string(pullPolicy) { // it is about the image beside the policy
		field = strings.TrimSuffix(field, "PullPolicy")
	}
	steps, err := object.Steps(field)
	if !ok || err != nil {
		return ""
	}
	v, _ := object.Value(o.Body, steps)
	if m, ok := v.(map[string]any); ok && strings.HasSuffix(strings.ToLower(f.Field), "selector") {
		return labelSet(m).String()
	}
	return text(v)
}

// aboutImages are the rules that a new tag or name of an image settles.
var aboutImages = []string{
	string(imageLaptop), string(imageMutable), string(imageUnbuilt), string(imagePlaceholder),
	string(pullPolicy), string(imageNumericTag), "tag-length",
}

func replacementOf(f finding.Finding, value string, s *subject) (workflow.Replacement, bool) {
	isImage := slices.Contains(aboutImages, f.Rule)
	if value == "" && !isImage {
		return workflow.Replacement{}, false
	}
	line := lineAt(s.files, f.Place)
	for _, r := range s.replacements() {
		if !worksOn(s, r, f) {
			continue
		}
		switch {
		case r.Image != "":
			named := workflow.Push{Repository: r.Image}
			if isImage && slices.ContainsFunc(namesOf(s, f, value), named.Pushes) {
				return r, true
			}
		case r.Text != nil:
			if r.Text.MatchString(line) && r.Covers(f.Place.File) && isAboutLine(f, line) {
				return r, true
			}
		case r.Key != "":
			if r.Covers(f.Place.File) && setsKey(r.Key, line, isImage) && isAboutLine(f, line) {
				return r, true
			}
		default:
			if replacesVariable(r, value) {
				return r, true
			}
		}
	}
	return workflow.Replacement{}, false
}

// namesOf are the names by which an entry of images can mean a rendered image: its own, and those that the
// kustomizations of the finding's environments give another name.
func namesOf(s *subject, f finding.Finding, image string) []string {
	repository := reference.Parse(image).Repository
	names := []string{repository}
	for _, e := range s.envs {
		if !slices.Contains(f.Environments, e.Name) {
			continue
		}
		for _, folder := range e.Paths {
			for _, file := range []string{"kustomization.yaml", "kustomization.yml"} {
				root := s.document(path.Join(folder, file))
				if root == nil {
					continue
				}
				_, images := child(root, "images")
				for _, entry := range content(images) {
					_, name := child(entry, "name")
					_, renamed := child(entry, "newName")
					if name != nil && renamed != nil && reference.Parse(renamed.Value).Repository == repository {
						names = append(names, name.Value)
					}
				}
			}
		}
	}
	return names
}

// worksOn reports whether a replacement works on an environment of the finding: it runs in no other
// environment's directory.
func worksOn(s *subject, r workflow.Replacement, f finding.Finding) bool {
	if r.Folder == "" || r.Folder == "." {
		return true
	}
	isKnown := false
	for _, e := range s.Project.Environments {
		for _, p := range e.Paths {
			if path.Clean(p) == r.Folder {
				isKnown = true
				if len(f.Environments) == 0 || slices.Contains(f.Environments, e.Name) {
					return true
				}
			}
		}
	}
	return !isKnown
}

// replacesVariable reports whether the value has a variable that is put in.
func replacesVariable(r workflow.Replacement, value string) bool {
	for _, m := range braced().FindAllStringSubmatch(value, -1) {
		if slices.Contains(r.Variables, "*") || slices.Contains(r.Variables, m[1]+m[2]) {
			return true
		}
	}
	return false
}

var braced = lazyregexp.New(`\$(?:\{([A-Za-z_]\w*)[^}]*\}|([A-Za-z_]\w*))`)

func lineAt(src files, p finding.Place) string {
	lines := strings.Split(string(src.text(p.File)), "\n")
	if p.Line < 1 || p.Line > len(lines) {
		return ""
	}
	return lines[p.Line-1]
}

var lineKey = lazyregexp.New(`^[\s-]*["']?([\w.-]+)["']?\s*:`)

// isAboutLine reports whether a line has the field that a finding is about, or a part of its image.
func isAboutLine(f finding.Finding, line string) bool {
	m := lineKey().FindStringSubmatch(line)
	steps, err := object.Steps(f.Field)
	if m == nil || err != nil || len(steps) == 0 {
		return f.Field == ""
	}
	last := steps[len(steps)-1]
	parts := []string{"newTag", "newName", "tag", "name", "repository", "image", "version"}
	return m[1] == last.Key || last.Key == "image" && slices.Contains(parts, m[1])
}

// setsKey reports whether a line is where a key such as image.tag is written or read.
func setsKey(key, line string, isImage bool) bool {
	if strings.Contains(line, ".Values."+key) {
		return true
	}
	last := key[strings.LastIndex(key, ".")+1:]
	m := lineKey().FindStringSubmatch(line)
	isTag := isImage && strings.EqualFold(last, "tag")
	return m != nil && (m[1] == last || isTag && (m[1] == "image" || m[1] == "newTag"))
}

// replacements are what workflows, Argo CD and Flux change, read once.
func (s *subject) replacements() []workflow.Replacement {
	if s.replaced == nil {
		read, _ := s.pipelines()
		s.replaced = append([]workflow.Replacement{}, read.Replaces()...)
		if s.view != nil {
			s.replaced = append(s.replaced, replacedByDelivery(s.Project.Dir)...)
		}
	}
	return s.replaced
}

const (
	mostEntries = 50_000
	mostFiles   = 3000
	mostBytes   = 1 << 20
)

var delivery = lazyregexp.New(`(?m)^apiVersion:\s*["']?(argoproj\.io/|kustomize\.toolkit\.fluxcd\.io/)`)

// replacedByDelivery reads the Applications of Argo CD and the Kustomizations of Flux below a directory.
func replacedByDelivery(dir string) []workflow.Replacement {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil
	}
	defer root.Close()
	var all []workflow.Replacement
	n, entries := 0, 0
	_ = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if entries++; entries > mostEntries {
			return fs.SkipAll
		}
		ext := path.Ext(name)
		switch {
		case err != nil:
			return nil
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules" || d.Name() == "vendor"):
			return fs.SkipDir
		case d.IsDir(), !d.Type().IsRegular(), ext != ".yaml" && ext != ".yml" && !IsScript(name):
			return nil
		}
		if n++; n > mostFiles {
			return fs.SkipAll
		}
		if info, err := d.Info(); err != nil || info.Size() > mostBytes {
			return nil
		}
		text, err := root.ReadFile(name)
		switch {
		case err != nil:
		case IsScript(name):
			all = append(all, workflow.ReplacesIn(workflow.File{Name: name, Text: text})...)
		case delivery().Match(text):
			all = append(all, replacedByResources(name, text)...)
		}
		return nil
	})
	return all
}

// IsScript reports whether a file has commands of a build, which Run reads: a makefile, a script, another
// platform's pipeline. The name is relative to the project.
func IsScript(name string) bool {
	switch base := path.Base(name); base {
	case "Makefile", "GNUmakefile", "justfile", "Justfile", "Jenkinsfile", "Taskfile.yml", "Taskfile.yaml",
		".gitlab-ci.yml", "azure-pipelines.yml", "bitbucket-pipelines.yml", "cloudbuild.yaml", ".drone.yml",
		".travis.yml", "buildspec.yml":
		return true
	default:
		return strings.HasSuffix(base, ".mk") || strings.HasSuffix(base, ".sh") || name == ".circleci/config.yml"
	}
}

func replacedByResources(file string, text []byte) []workflow.Replacement {
	var all []workflow.Replacement
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var doc yaml.Node
		if decoder.Decode(&doc) != nil {
			return all
		}
		if len(doc.Content) == 0 {
			continue
		}
		at := func(n *yaml.Node) finding.Place { return finding.Place{File: file, Line: n.Line, Column: n.Column} }
		switch _, kind := child(doc.Content[0], "kind"); {
		case kind == nil:
		case kind.Value == "Kustomization":
			all = append(all, replacedByFlux(doc.Content[0], at)...)
		case kind.Value == "Application", kind.Value == "ApplicationSet":
			all = append(all, replacedByArgo(doc.Content[0], at)...)
		}
	}
}

// replacedByFlux reads the substitutions and the images of a Kustomization.
func replacedByFlux(root *yaml.Node, at func(*yaml.Node) finding.Place) []workflow.Replacement {
	_, spec := child(root, "spec")
	if spec == nil {
		return nil
	}
	var all []workflow.Replacement
	folder := ""
	if _, p := child(spec, "path"); p != nil {
		folder = path.Clean(p.Value)
	}
	if key, build := child(spec, "postBuild"); build != nil {
		var names []string
		if _, values := child(build, "substitute"); values != nil {
			for i := 0; i+1 < len(values.Content); i += 2 {
				names = append(names, values.Content[i].Value)
			}
		}
		if _, from := child(build, "substituteFrom"); from != nil {
			names = []string{"*"}
		}
		all = append(all, workflow.Replacement{Place: at(key), Folder: folder, Variables: names})
	}
	_, images := child(spec, "images")
	for _, image := range content(images) {
		if _, name := child(image, "name"); name != nil {
			all = append(all, workflow.Replacement{Place: at(name), Folder: folder, Image: name.Value})
		}
	}
	return all
}

// replacedByArgo reads the images and the parameters of an Application, or of an ApplicationSet's template.
func replacedByArgo(root *yaml.Node, at func(*yaml.Node) finding.Place) []workflow.Replacement {
	var all []workflow.Replacement
	_, metadata := child(root, "metadata")
	if metadata != nil {
		_, annotations := child(metadata, "annotations")
		if annotations != nil {
			if key, list := child(annotations, "argocd-image-updater.argoproj.io/image-list"); list != nil {
				for _, entry := range strings.Split(list.Value, ",") {
					_, image, aliased := strings.Cut(strings.TrimSpace(entry), "=")
					if !aliased {
						image = strings.TrimSpace(entry)
					}
					all = append(all, workflow.Replacement{Place: at(key), Image: reference.Parse(image).Repository})
				}
			}
		}
	}
	_, spec := child(root, "spec")
	if spec == nil {
		return all
	}
	if _, template := child(spec, "template"); template != nil {
		if _, inner := child(template, "spec"); inner != nil {
			spec = inner
		}
	}
	var sources []*yaml.Node
	if _, one := child(spec, "source"); one != nil {
		sources = append(sources, one)
	}
	_, several := child(spec, "sources")
	for _, source := range append(sources, content(several)...) {
		all = append(all, replacedBySource(source, at)...)
	}
	return all
}

func replacedBySource(source *yaml.Node, at func(*yaml.Node) finding.Place) []workflow.Replacement {
	var all []workflow.Replacement
	folder := ""
	if _, p := child(source, "path"); p != nil && !strings.Contains(p.Value, "{{") {
		folder = path.Clean(p.Value)
	}
	if _, options := child(source, "kustomize"); options != nil {
		_, images := child(options, "images")
		for _, image := range content(images) {
			name, _, _ := strings.Cut(image.Value, "=")
			all = append(all, workflow.Replacement{Place: at(image), Folder: folder,
				Image: reference.Parse(name).Repository})
		}
	}
	if _, options := child(source, "helm"); options != nil {
		_, parameters := child(options, "parameters")
		for _, parameter := range content(parameters) {
			if key, name := child(parameter, "name"); name != nil {
				all = append(all, workflow.Replacement{Place: at(key), Key: name.Value})
			}
		}
	}
	return all
}
