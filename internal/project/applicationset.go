package project

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// argoGenerator is what detection reads of a generator of an ApplicationSet.
type argoGenerator struct {
	List struct{ Elements []map[string]any }
	Git  struct {
		Directories []struct {
			Path    string
			Exclude bool
		}
		Files  []struct{ Path string }
		Values map[string]any
	}
	Matrix struct{ Generators []yaml.Node }
	Merge  struct {
		MergeKeys  []string `yaml:"mergeKeys"`
		Generators []yaml.Node
	}
}

// askers are the generators that ask something outside the repository.
var askers = strings.Fields("clusters clusterDecisionResource scmProvider pullRequest plugin")

// generated are the Applications that an ApplicationSet makes, as far as the repository says which, and the
// parts of it that the repository does not decide.
func (l layout) generated(o gitopsObject) (made []gitopsObject, open []string) {
	g := generation{layout: l}
	for _, n := range o.Spec.Generators {
		for _, params := range g.parameters(n, nil) {
			filled := fill(o.Spec.Template, params)
			var app gitopsObject
			_ = filled.Decode(&app) // fields of other types are not read
			made = append(made, app)
		}
	}
	if o.Spec.TemplatePatch != "" {
		g.open = append(g.open, "templatePatch")
	}
	return made, g.open
}

// generation is one ApplicationSet being read.
type generation struct {
	layout
	open []string
}

var placeholder = regexp.MustCompile(`\{\{-?\s*([^{}]+?)\s*-?\}\}`)

// fill replaces the parameters in a template's texts. One that is unknown stays as it is.
func fill(n yaml.Node, params map[string]string) yaml.Node {
	if n.Kind == yaml.ScalarNode {
		n.Value = placeholder.ReplaceAllStringFunc(n.Value, func(s string) string {
			name := strings.TrimPrefix(placeholder.FindStringSubmatch(s)[1], ".")
			if v, ok := params[name]; ok {
				return v
			}
			return s
		})
	}
	content := n.Content
	n.Content = nil
	for _, c := range content {
		filled := fill(*c, params)
		n.Content = append(n.Content, &filled)
	}
	return n
}

// parameters are what a generator fills a template with. The generators before it in a matrix fill its own
// fields.
func (g *generation) parameters(n yaml.Node, given map[string]string) []map[string]string {
	var spec argoGenerator
	filled := fill(n, given)
	_ = filled.Decode(&spec)
	var all []map[string]string
	for i := 0; i+1 < len(n.Content); i += 2 {
		switch kind := n.Content[i].Value; {
		case slices.Contains(askers, kind):
			if !slices.Contains(g.open, kind) {
				g.open = append(g.open, kind)
			}
			all = append(all, map[string]string{}) // the rest of the template may say enough
		case kind == "list":
			for _, e := range spec.List.Elements {
				all = append(all, flattened("", e, map[string]string{}))
			}
		case kind == "git":
			all = append(all, g.fromGit(spec)...)
		case kind == "matrix":
			all = append(all, g.matrix(spec.Matrix.Generators, map[string]string{})...)
		case kind == "merge":
			all = append(all, g.merged(spec.Merge.Generators, spec.Merge.MergeKeys)...)
		}
	}
	return all
}

func (g *generation) fromGit(spec argoGenerator) (all []map[string]string) {
	values := flattened("values", spec.Git.Values, map[string]string{})
	for _, dir := range g.dirs {
		matches, excluded := false, false
		for _, d := range spec.Git.Directories {
			if globbed(d.Path).MatchString(dir) {
				matches, excluded = matches || !d.Exclude, excluded || d.Exclude
			}
		}
		if matches && !excluded {
			all = append(all, pathParameters(dir, maps.Clone(values)))
		}
		for _, f := range spec.Git.Files {
			for _, name := range g.files[dir] {
				var content map[string]any
				if globbed(f.Path).MatchString(path.Join(dir, name)) &&
					yaml.Unmarshal(g.text(path.Join(dir, name)), &content) == nil {
					params := pathParameters(dir, flattened("", content, maps.Clone(values)))
					params["path.filename"] = name
					all = append(all, params)
				}
			}
		}
	}
	return all
}

// globbed is a pattern of Argo CD's: a star stands for a part of a name, two for any directories.
func globbed(pattern string) *regexp.Regexp {
	text := regexp.QuoteMeta(path.Clean(pattern))
	text = strings.ReplaceAll(text, `\*\*/`, "(.*/)?")
	text = strings.ReplaceAll(text, `\*\*`, ".*")
	text = strings.ReplaceAll(strings.ReplaceAll(text, `\*`, "[^/]*"), `\?`, "[^/]")
	return regexp.MustCompile("^" + text + "$")
}

// matrix combines what each generator says with what the next one says.
func (g *generation) matrix(generators []yaml.Node, given map[string]string) []map[string]string {
	if len(generators) == 0 {
		return []map[string]string{given}
	}
	var all []map[string]string
	for _, params := range g.parameters(generators[0], given) {
		both := maps.Clone(given)
		maps.Copy(both, params)
		all = append(all, g.matrix(generators[1:], both)...)
	}
	return all
}

// merged is what the first generator says, changed by those parameters of the others that have the same keys.
func (g *generation) merged(generators []yaml.Node, keys []string) []map[string]string {
	if len(generators) == 0 {
		return nil
	}
	all := g.parameters(generators[0], nil)
	unknown := !slices.ContainsFunc(all, func(params map[string]string) bool { return len(params) > 0 })
	if unknown {
		all = nil // what the others say of it is all that is known
	}
	for _, n := range generators[1:] {
		for _, over := range g.parameters(n, nil) {
			if unknown {
				all = append(all, over)
				continue
			}
			for _, params := range all {
				if !slices.ContainsFunc(keys, func(k string) bool { return params[k] != over[k] }) {
					maps.Copy(params, over)
				}
			}
		}
	}
	return all
}

func flattened(prefix string, v any, into map[string]string) map[string]string {
	switch v := v.(type) {
	case map[string]any:
		for k, v := range v {
			flattened(strings.TrimPrefix(prefix+"."+k, "."), v, into)
		}
	case []any:
		if len(v) > 0 && prefix != "" { // what a list is about, its first element shows
			flattened(prefix, v[0], into)
		}
	case nil:
	default:
		into[prefix] = fmt.Sprint(v)
	}
	return into
}

func pathParameters(dir string, into map[string]string) map[string]string {
	into["path"], into["path.path"], into["path.basename"] = dir, dir, path.Base(dir)
	into["path.basenameNormalized"] = nameOf(dir)
	for i, s := range strings.Split(dir, "/") {
		into[fmt.Sprintf("path[%d]", i)], into[fmt.Sprintf("index .path.segments %d", i)] = s, s
	}
	return into
}
