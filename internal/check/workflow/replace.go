package workflow

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/rhysd/actionlint"

	"slipway/internal/check/finding"
	"slipway/internal/image/reference"
	"slipway/internal/lazyregexp"
)

// Replacement is a command that changes manifests before they are deployed. One of Image, Text, Key and
// Variables says what.
type Replacement struct {
	Place finding.Place
	// Folder is the directory that the command runs in; "" may be any.
	Folder string
	// Files are those that it changes; none: any.
	Files []string
	// Image is the name of an image, Text matches the text of a line, and Key is the last key of a path such as
	// image.tag.
	Image string
	Text  *regexp.Regexp
	Key   string
	// Variables are the ones that it puts in for ${NAME}; "*" stands for all.
	Variables []string
}

// Replaces returns what the workflows change in manifests before they deploy them.
func (c *Pipelines) Replaces() []Replacement {
	var all []Replacement
	for _, w := range c.flows {
		for _, j := range w.jobs {
			for _, cmd := range j.commands {
				for _, r := range replacements(cmd, c.Project) {
					r.Place = cmd.words[0].place
					all = append(all, r)
				}
			}
			all = append(all, replacedByActions(w, j)...)
		}
	}
	return all
}

func replacements(cmd command, p Project) []Replacement {
	folder := path.Clean(cmd.within)
	if cmd.within == "$" || unknownPart().MatchString(folder) {
		folder = ""
	}
	if cmd.text(1) == "edit" && cmd.text(2) == "set" && cmd.text(3) == "image" { // kustomize, or its variable
		return setImages(cmd, folder)
	}
	switch path.Base(cmd.text(0)) {
	case "find", "xargs":
		if i := slices.IndexFunc(cmd.words, func(w word) bool { return w.text == "sed" }); i > 0 {
			cmd.words = slices.DeleteFunc(slices.Clone(cmd.words[i:]), func(w word) bool { return w.text == "{}" })
			return substituted(cmd)
		}
	case "sed", "gsed":
		return substituted(cmd)
	case "envsubst":
		r := Replacement{Variables: []string{"*"}}
		for _, w := range cmd.words[1:] {
			if names := dollarName().FindAllStringSubmatch(w.text, -1); names != nil {
				r.Variables = nil
				for _, n := range names {
					r.Variables = append(r.Variables, n[1])
				}
			}
		}
		return []Replacement{r}
	case "yq":
		return setKeys(cmd, folder)
	case "helm":
		return setValues(cmd, p)
	}
	return nil
}

var replacing = lazyregexp.New(`edit set image\b|\benvsubst\b|\bg?sed -|\byq (e |eval )?-i`)

// ReplacesIn returns what the commands in a makefile, a script or another platform's pipeline change. It
// reads each line by itself, and those that a backslash joins.
func ReplacesIn(f File) []Replacement {
	if !replacing().Match(f.Text) {
		return nil
	}
	var all []Replacement
	text := strings.ReplaceAll(string(f.Text), "\\\n", "  ")
	n := 0
	for line := range strings.Lines(text) {
		n++
		if !replacing().MatchString(line) {
			continue
		}
		found := replacedInLine(f.Name, n, strings.TrimLeft(strings.TrimSpace(line), "@-+ "))
		if len(found) == 0 { // in quotes, as an argument of the pipeline's language
			found = replacedInLine(f.Name, n, quotedCommand(line))
		}
		all = append(all, found...)
	}
	return all
}

// quotedCommand is the part of a line from the command that replaces something up to the quote that ends it.
func quotedCommand(line string) string {
	start := replacing().FindStringIndex(line)
	if start == nil {
		return ""
	}
	rest := strings.TrimSpace(line[start[0]:])
	if quote := strings.LastIndexAny(line[:start[0]], `"'`); quote >= 0 {
		if end := strings.LastIndex(rest, line[quote:quote+1]); end > 0 {
			rest = rest[:end]
		}
	}
	return strings.Replace(rest, "edit set image", "kustomize edit set image", 1)
}

func replacedInLine(file string, n int, line string) []Replacement {
	place := finding.Place{File: file, Line: n}
	commands, err := script{text: line, at: func(int, int) finding.Place { return place }}.commands()
	if err != nil {
		return nil
	}
	var all []Replacement
	folder := ""
	for _, cmd := range commands {
		if cmd.text(0) == "cd" && !unknownPart().MatchString(cmd.text(1)) {
			folder = path.Join(path.Dir(file), cmd.text(1))
		}
		cmd.within = folder
		for _, r := range replacements(cmd, Project{}) {
			if r.Folder == "." {
				r.Folder = ""
			}
			r.Place = place
			all = append(all, r)
		}
	}
	return all
}

var dollarName = lazyregexp.New(`\$\{?([A-Za-z_]\w*)\}?`)

func setImages(cmd command, folder string) []Replacement {
	var all []Replacement
	for _, w := range cmd.words[4:] {
		name, _, _ := strings.Cut(w.text, "=")
		known := strings.Trim(unknownPart().ReplaceAllString(name, ""), "-_/.:")
		if !strings.HasPrefix(name, "-") && known != "" {
			all = append(all, Replacement{Folder: folder, Image: reference.Parse(name).Repository})
		}
	}
	return all
}

// substituted reads the substitutions of a sed command. What only a run knows in a pattern matches anything.
func substituted(cmd command) []Replacement {
	var all []Replacement
	var files []string
	for i, w := range cmd.words[1:] {
		text := strings.TrimSpace(w.text)
		if strings.HasPrefix(text, "-") && text != "-" {
			continue
		}
		patterns := sedPatterns(text)
		if len(patterns) == 0 {
			if i > 0 && !unknownPart().MatchString(text) && strings.ContainsAny(text, "./*") {
				files = append(files, text)
			}
			continue
		}
		for _, p := range patterns {
			p = unknownPart().ReplaceAllString(p, ".*")
			if re, err := regexp.Compile(p); err == nil && strings.Trim(p, ".*^$ ") != "" {
				all = append(all, Replacement{Text: re})
			}
		}
	}
	for i := range all {
		all[i].Files = files
	}
	return all
}

// sedPatterns are the patterns of the s commands in a script of sed.
func sedPatterns(script string) []string {
	var all []string
	for _, part := range strings.Split(script, ";") {
		part = strings.TrimSpace(part)
		if len(part) < 4 || part[0] != 's' || strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789./-_ ",
			rune(part[1])) && part[1] != '/' {
			continue
		}
		if pattern, _, ok := strings.Cut(part[2:], part[1:2]); ok {
			all = append(all, strings.NewReplacer(`\(`, "(", `\)`, ")", `\|`, "|", `\+`, "+").Replace(pattern))
		}
	}
	return all
}

var (
	assignment = lazyregexp.New(`\.?([\w-]+)"?\s*\)?\s*=[^=]`)
	selected   = lazyregexp.New(`\.name\s*==\s*"([^"]+)"`)
)

// setKeys reads an assignment of yq: the last key of its path, or the entry of images that it selects.
func setKeys(cmd command, folder string) []Replacement {
	if !cmd.has("-i", "--inplace", "-iy", "-yi") {
		return nil
	}
	var all []Replacement
	var files []string
	for _, w := range cmd.words[1:] {
		switch m := assignment().FindAllStringSubmatch(w.text, -1); {
		case strings.HasPrefix(w.text, "-"), w.text == "e", w.text == "eval":
		case m == nil:
			files = append(files, path.Join(folder, w.text))
		default:
			for _, key := range m {
				all = append(all, Replacement{Key: key[1]})
			}
			if s := selected().FindStringSubmatch(w.text); s != nil && strings.Contains(w.text, "images") {
				all = append(all, Replacement{Image: s[1]})
			}
		}
	}
	for i := range all {
		if all[i].Key != "" {
			all[i].Files = files
		}
	}
	return all
}

// setValues reads the values that a helm command sets to what a run computes. They replace those of its chart
// and of its files.
func setValues(cmd command, p Project) []Replacement {
	if v := cmd.text(1); v != "upgrade" && v != "install" && v != "template" {
		return nil
	}
	var files []string
	for _, w := range cmd.words[2:] {
		if _, ok := p.read(path.Join(cmd.folder, w.text, "Chart.yaml")); ok {
			files = append(files, path.Join(cmd.folder, w.text)+"/")
		}
	}
	var all []Replacement
	for _, s := range settings(cmd) {
		if s.key == "" {
			files = append(files, path.Join(cmd.folder, s.value))
		} else if strings.Contains(s.value, "<sha:") || unknownPart().MatchString(s.value) {
			all = append(all, Replacement{Key: s.key})
		}
	}
	if len(files) == 0 {
		return nil
	}
	for i := range all {
		all[i].Files = files
	}
	return all
}

// replacedByActions are the images that actions put into manifests.
func replacedByActions(w *flow, j job) []Replacement {
	var all []Replacement
	for _, step := range j.Steps {
		exec, ok := step.Exec.(*actionlint.ExecAction)
		if !ok {
			continue
		}
		uses := strings.ToLower(value(exec.Uses))
		if strings.HasPrefix(uses, "mikefarah/yq@") {
			all = append(all, replacedInLine(w.file, w.at(exec.Uses).Line, inputOf(exec, "cmd"))...)
		}
		if strings.HasPrefix(uses, "azure/k8s-deploy@") || strings.HasPrefix(uses, "azure/k8s-bake@") {
			for line := range strings.Lines(inputOf(exec, "images")) {
				name := reference.Parse(normal(strings.TrimSpace(line), environ(j.env, step.Env))).Repository
				if name != "" {
					all = append(all, Replacement{Place: w.at(exec.Uses), Image: name})
				}
			}
		}
		if strings.Contains(uses, "replace-tokens") || strings.Contains(uses, "replacetokens") {
			all = append(all, Replacement{Place: w.at(exec.Uses), Text: token()})
		}
		if strings.Contains(uses, "envsubst") {
			all = append(all, Replacement{Place: w.at(exec.Uses), Variables: []string{"*"}})
		}
	}
	return all
}

// token matches what the actions that replace tokens look for, in the usual forms.
var token = lazyregexp.New(`#\{[^}]+\}#?|__[A-Za-z]\w*?__|\$\{[^}]+\}|\{\{[^}]+\}\}`)

// Covers reports whether the replacement changes a file.
func (r Replacement) Covers(file string) bool {
	return len(r.Files) == 0 || slices.ContainsFunc(r.Files, func(f string) bool {
		if strings.HasSuffix(f, "/") {
			return strings.HasPrefix(file, strings.TrimPrefix(f, "./"))
		}
		if ok, _ := path.Match(path.Base(f), path.Base(file)); ok {
			return true
		}
		return strings.HasSuffix("/"+file, "/"+strings.TrimPrefix(path.Clean(f), "./"))
	})
}
