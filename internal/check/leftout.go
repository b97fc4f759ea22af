package check

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"

	"slipway/internal/check/finding"
	"slipway/internal/git"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render"
	"slipway/internal/render/tree"
)

// LeftOut is a file that does not exist and that environments are rendered from. They are checked without it.
type LeftOut struct {
	File string `json:"file"`
	// Environments are those that name the file.
	Environments []string `json:"environments"`
	// Ignored: Git ignores the file, so that every new clone lacks it; Example is a file beside it to copy.
	Ignored bool   `json:"ignored,omitempty"`
	Example string `json:"example,omitempty"`
	// What names the missing objects: "ConfigMap settings".
	What string `json:"what"`

	// made are the objects that a generator makes without the file; none: the file has objects, a patch or
	// values, and the fields are unknown.
	made []generated
	err  error
}

// generated is an object of a generator, as the generator calls it.
type generated struct{ kind, name string }

// Why says why the file is missing.
func (l LeftOut) Why() string {
	why := l.File + " does not exist"
	if l.Ignored {
		why = l.File + " is ignored by Git"
	}
	if l.Example != "" {
		why += "; " + path.Base(l.Example) + " is there"
	}
	return why
}

// renderWithout renders environments that did not render, without the files that are missing. It replaces the
// results and the errors of those that render so, and returns the files and the renderer that reads them as
// empty.
func renderWithout(ctx context.Context, in Input, results []render.Result, errs []error) (
	[]LeftOut, *render.Renderer, error) {
	var names []string
	first := map[string]error{}
	without := in.Renderer
	for i, env := range in.Environments {
		result, err := results[i], errs[i]
		for tried := in.Renderer; err != nil; tried = without {
			var missing *tree.MissingError
			if !errors.As(err, &missing) {
				break
			}
			if first[missing.Name] != nil && tried == without {
				break // it is needed all the same
			}
			if first[missing.Name] == nil {
				first[missing.Name] = err
				names = append(names, missing.Name)
				if without != in.Renderer {
					without.Close()
				}
				var openErr error
				if without, openErr = in.Renderer.Without(names); openErr != nil {
					return nil, in.Renderer, openErr
				}
			}
			result, err = without.Render(ctx, env)
		}
		if err == nil {
			results[i], errs[i] = result, nil
		}
	}
	var all []LeftOut
	for _, name := range names {
		l := LeftOut{File: name, err: first[name]}
		for i, env := range in.Environments {
			if errs[i] == nil && readsFile(results[i].Reads, name) {
				l.Environments = append(l.Environments, env.Name)
			}
		}
		if err := l.ask(ctx, in.Project); err != nil {
			return nil, without, err
		}
		l.describe(without.View(ctx), in, results)
		all = append(all, l)
	}
	return all, without, nil
}

func readsFile(r tree.Reads, name string) bool {
	return slices.ContainsFunc(r.List(), func(s tree.Seen) bool { return s.Kind == tree.File && s.Path == name })
}

// ask asks Git whether it ignores the file.
func (l *LeftOut) ask(ctx context.Context, p project.Project) error {
	repository, err := git.Open(ctx, p.Dir)
	if err != nil {
		return ctx.Err() // outside Git nothing is ignored
	}
	if l.Ignored, err = repository.Ignored(ctx, p.Dir, l.File); err != nil {
		return ctx.Err()
	}
	return nil
}

// describe finds out what the file is for, and whether an example is beside it.
func (l *LeftOut) describe(view *tree.View, in Input, results []render.Result) {
	base, ext := strings.TrimSuffix(l.File, path.Ext(l.File)), path.Ext(l.File)
	for _, word := range []string{"example", "sample", "template", "dist", "tpl"} {
		dir := path.Dir(l.File)
		for _, name := range []string{l.File + "." + word, l.File + "-" + word, base + "." + word + ext,
			base + "-" + word + ext, path.Join(dir, word+ext)} {
			if l.Example == "" && view.IsFile(name) && !view.IsEmptied(name) {
				l.Example = name
			}
		}
	}
	var uses []string
	for i, env := range in.Environments {
		if !slices.Contains(l.Environments, env.Name) {
			continue
		}
		for _, seen := range results[i].Reads.List() {
			if seen.Kind == tree.File && slices.Contains(konfig.RecognizedKustomizationFileNames(),
				path.Base(seen.Path)) {
				uses = append(uses, l.uses(view, seen.Path)...)
			}
		}
	}
	slices.Sort(uses)
	uses = slices.Compact(uses)
	if l.What = strings.Join(uses, ", "); l.What == "" {
		l.What, l.made = "what "+path.Base(l.File)+" sets", nil
	}
}

// uses returns what a kustomization needs the file for.
func (l *LeftOut) uses(view *tree.View, kustomization string) []string {
	documents, err := view.Documents(kustomization)
	if err != nil || len(documents) == 0 || len(documents[0].Content) == 0 {
		return nil
	}
	var uses []string
	top := documents[0].Content[0]
	for i := 0; i+1 < len(top.Content); i += 2 {
		kind, isGenerator := map[string]string{
			"configMapGenerator": "ConfigMap", "secretGenerator": "Secret",
		}[top.Content[i].Value]
		entries := top.Content[i+1].Content
		if top.Content[i+1].Kind != yaml.SequenceNode {
			entries = []*yaml.Node{top.Content[i+1]}
		}
		for _, entry := range entries {
			if !namesFile(entry, path.Dir(kustomization), l.File) {
				continue
			}
			if isGenerator {
				name := scalarOf(entry, "name")
				l.made = append(l.made, generated{kind, name})
				uses = append(uses, fmt.Sprintf("a part of %s %s", kind, name))
				continue
			}
			base := path.Base(l.File)
			uses = append(uses, map[string]string{"resources": "the objects of " + base,
				"components": "the changes of " + base, "patches": "the patch " + base,
				"patchesStrategicMerge": "the patch " + base, "patchesJson6902": "the patch " + base,
				"helmCharts": "the values of " + base}[top.Content[i].Value])
		}
	}
	return slices.DeleteFunc(uses, func(s string) bool { return s == "" })
}

// namesFile reports whether a node contains the path of a file, alone or after "key=".
func namesFile(n *yaml.Node, dir, file string) bool {
	if n.Kind == yaml.ScalarNode {
		_, after, _ := strings.Cut(n.Value, "=")
		return path.Join(dir, n.Value) == file || after != "" && path.Join(dir, after) == file
	}
	return slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return namesFile(c, dir, file) })
}

func scalarOf(n *yaml.Node, key string) string {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1].Value
		}
	}
	return ""
}

// onlyGenerated reports whether nothing but keys of generated objects is missing.
func (l LeftOut) onlyGenerated() bool {
	return len(l.made) > 0 && strings.HasPrefix(l.What, "a part of ")
}

// isPartial reports whether an object was generated without some of its keys.
func (e *environment) isPartial(o object.Object) bool {
	for _, l := range e.leftOut {
		for _, g := range l.made {
			if o.Ref().Kind == g.kind && strings.Contains(o.Ref().Name, g.name) {
				return true
			}
		}
	}
	return false
}

// mayBeLeftOut are the rules that find an object missing, which may be in a file that is left out.
var mayBeLeftOut = []string{
	string(configMissing), string(accountMissing), string(claimMissing), string(tlsSecret), string(roleBinding),
	string(backendService), string(scaleTarget), string(serviceSelector), string(budgetSelector),
	string(budgetMissing), string(policyMissing), string(configKey),
}

// withoutGuesses takes out the findings of one environment that a left-out file may refute, and reports their
// rules as not checked.
func withoutGuesses(e *environment, f found) found {
	i := slices.IndexFunc(e.leftOut, func(l LeftOut) bool { return !l.onlyGenerated() })
	if i < 0 {
		return f
	}
	var left []finding.Finding
	dropped := map[string]int{}
	for _, one := range f.findings {
		if slices.Contains(mayBeLeftOut, one.Rule) {
			dropped[one.Rule]++
			continue
		}
		left = append(left, one)
	}
	f.findings = left
	for _, id := range mayBeLeftOut {
		if dropped[id] > 0 {
			f.unchecked = append(f.unchecked, finding.Unchecked{
				What: "findings of " + id, Why: e.leftOut[i].Why(),
			})
		}
	}
	return f
}
