package project

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"slipway/internal/words"
)

// NoneError says that a directory holds no project: what was looked for, and the files there that another
// program renders. It is ErrNone.
type NoneError struct {
	Dir       string
	Elsewhere []Elsewhere
	// Broken are files that may be a project's, and cannot be read: what is wrong in them, and where.
	Broken []string
}

// Elsewhere is a file from which another program makes manifests, and the command that prints them.
type Elsewhere struct{ File, Command string }

func (e *NoneError) Error() string {
	text := fmt.Sprintf("%v in %s: looked for %s, %s", ErrNone, e.Dir, File, strings.Join(lookedFor, ", "))
	if len(e.Broken) > 0 {
		text += "; could not read " + strings.Join(e.Broken, ", ")
	}
	if len(e.Elsewhere) == 0 {
		return text
	}
	var files []string
	for _, f := range e.Elsewhere {
		files = append(files, f.File)
	}
	return text + "; Slipway does not render " + words.And(files)
}

func (e *NoneError) Unwrap() error { return ErrNone }

// elsewhere finds such files, the highest of each kind.
func (l layout) elsewhere() []Elsewhere {
	var found []Elsewhere
	for _, dir := range l.dirs {
		if isBeside(dir) || l.inChart(dir) {
			continue
		}
		for _, name := range l.files[dir] {
			command := renderCommand(name, path.Join(dir, name))
			if command == "" && isYAML(name) {
				command = templateCommand(l.text(path.Join(dir, name)), path.Join(dir, name))
			}
			if command != "" && !slices.ContainsFunc(found, func(e Elsewhere) bool {
				return strings.Fields(e.Command)[0] == strings.Fields(command)[0]
			}) {
				found = append(found, Elsewhere{path.Join(dir, name), command})
			}
		}
	}
	return found
}

var (
	yttLine  = regexp.MustCompile(`(?m)^\s*(- )?#@|\s#@ `)
	goAction = regexp.MustCompile(`\{\{-?\s*[.$(]|\{\{-?\s*(if|range|with|define|template|include)\b`)
)

// templateCommand is the one for YAML with the marks of a template in it.
func templateCommand(text []byte, file string) string {
	switch {
	case !hasKind.Match(text) || !hasVersion.Match(text):
		return ""
	case yttLine.Match(text):
		return "ytt -f " + path.Dir(file)
	case !isTemplate(text):
		return ""
	case goAction.Match(text):
		return "gomplate -f " + file
	}
	return "jinja2 " + file
}

func renderCommand(name, file string) string {
	switch name {
	case "helmfile.yaml", "helmfile.yml", "helmfile.yaml.gotmpl":
		if name == file {
			return "helmfile template"
		}
		return "helmfile template -f " + file
	case "main.jsonnet":
		return "tk show " + path.Dir(file)
	case "cdk8s.yaml":
		return "cdk8s synth --stdout"
	case "Kptfile":
		return "kpt fn render " + path.Dir(file) + " -o unwrap"
	case "kcl.mod":
		return "kcl run " + path.Dir(file)
	case ".kluctl.yaml":
		return "kluctl render --print-all"
	case "werf.yaml":
		return "werf render"
	case "devspace.yaml":
		return "devspace deploy --render"
	case "timoni.cue":
		return "timoni build NAME " + path.Dir(file)
	}
	// A template of YAML: deployment.yaml.j2, deployment.tmpl.yaml.
	words := strings.Split(name, ".")
	has := func(w ...string) bool {
		return slices.ContainsFunc(words[1:], func(s string) bool { return slices.Contains(w, s) })
	}
	switch isYAML := has("yaml", "yml"); {
	case path.Ext(name) == ".jsonnet":
		return "jsonnet -y " + file
	case isYAML && has("j2", "jinja", "jinja2"):
		return "jinja2 " + file
	case isYAML && has("erb"):
		return "erb " + file
	case isYAML && has("tmpl", "tpl", "template", "envsubst", "in"):
		return "envsubst < " + file
	}
	return ""
}
