package render

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render/helm"
	"slipway/internal/render/kustomize"
	"slipway/internal/render/tree"
)

// source renders one environment, part by part: what its skaffold.yaml names, its charts, then what its paths
// hold.
type source struct {
	*Renderer
	view *tree.View
	env  project.Environment
	pool object.Pool // of the objects in plain files
}

func (s *source) render() (Result, error) {
	p, err := s.plan(nil)
	if err != nil {
		return Result{}, err
	}
	result := Result{plan: p, owners: map[object.Ref][]int{}}
	for i, u := range p.units() {
		part, err := s.part(u)
		if err != nil {
			return Result{}, err
		}
		result.Parts = append(result.Parts, part)
		if err := result.add(i, part); err != nil {
			return Result{}, err
		}
	}
	if result.Set.Len() == 0 {
		return Result{}, ErrEmpty
	}
	result.Warnings = unique(result.Warnings)
	result.Reads = s.view.Reads()
	result.Set.Conceal(s.view.Secrets())
	return result, nil
}

// add adds a part to the result. An object that another part has brought is not added again.
func (r *Result) add(i int, p *Part) error {
	r.Warnings = append(append(r.Warnings, p.unit.warnings...), p.warnings...)
	r.Losses = append(r.Losses, p.losses...)
	r.LeftOut = append(r.LeftOut, p.leftOut...)
	r.Unstable = append(r.Unstable, p.unstable...)
	for _, o := range p.set.Objects() {
		ref := o.Ref()
		owners := r.owners[ref]
		r.owners[ref] = append(owners, i)
		first, found := r.Set.Get(ref)
		if found && isShared(r.Parts[owners[0]].unit, first, p.unit, o) {
			continue
		}
		if found && first.Origin == o.Origin && r.Parts[owners[0]].unit.index != p.unit.index {
			return &tree.RefusedError{Origin: o.Origin, What: fmt.Sprintf("%s is made twice from here", ref),
				Why: fmt.Sprintf("%s and %s change it differently", r.Parts[owners[0]].unit.name, p.unit.name)}
		}
		if err := r.Set.Add(o); err != nil {
			return err
		}
	}
	return nil
}

// piece renders one part.
type piece struct {
	*source
	*Part
	view *tree.View // of this part alone
}

func (s *piece) add(objects []object.Object, warnings []string) error {
	s.warnings = append(s.warnings, warnings...)
	for _, o := range objects {
		o, err := object.New(s.into(o, s.unit.namespace).Body, o.Origin)
		if err != nil {
			return err
		}
		if s.verifies(o.Origin.File) {
			if o, err = asVerification(o); err != nil {
				return err
			}
		}
		if s.env.NoHooks && o.IsHook() {
			s.leftOut = append(s.leftOut, o.Ref())
			continue
		}
		if err := s.set.Add(o); err != nil {
			return err
		}
	}
	return nil
}

func (s *piece) warn(format string, args ...any) {
	s.warnings = append(s.warnings, fmt.Sprintf(format, args...))
}

// NoNamespace is the warning about charts in an environment without a namespace. It concerns those who read
// or apply what is rendered.
const NoNamespace = "no namespace is set: charts see \"default\" here, and the namespace of the kubeconfig " +
	"context when they are planned or deployed"

// chart renders one chart, over the inline values, and has its patches applied.
func (s *piece) chart(c project.Chart, inline map[string]any) error {
	ns := c.Namespace
	if ns == "" {
		ns = s.env.Namespace
	}
	if ns == "" {
		s.warn("%s", NoNamespace)
	}
	var lookup helm.Lookup
	if c.Lookup {
		if lookup = s.Renderer.lookup; lookup == nil {
			s.warn("chart %s: lookup finds nothing, because render contacts no cluster", c.Path)
		}
	}
	noHooks := c.NoHooks || s.env.NoHooks
	out, err := s.helm.Render(s.view, c, helm.Options{
		Namespace: ns, KubeVersion: s.env.KubeVersion, APIVersions: s.env.APIVersions,
		IncludeCRDs: true, SkipTests: true, Inline: inline, Lookup: lookup,
	})
	if err != nil {
		return err
	}
	s.losses = append(s.losses, out.Losses...)
	objects := out.Objects
	if noHooks {
		objects = s.withoutHooks(objects)
	}
	for _, u := range out.Unstable {
		s.unstable = append(s.unstable, u)
		s.warn("differs on each render: %s", u)
	}
	if c.Patches != "" {
		b, err := s.kustomize.Build(s.view, c.Patches, kustomize.Options{Extra: objects})
		if err != nil {
			return err
		}
		objects, out.Warnings = b.Objects, append(out.Warnings, b.Warnings...)
		s.losses, s.Selections = append(s.losses, b.Losses...), b.Selections
	}
	if noHooks { // those that the patches make
		objects = s.withoutHooks(objects)
	}
	for i, o := range objects {
		objects[i] = s.into(o, c.Namespace)
	}
	return s.add(objects, out.Warnings)
}

// withoutHooks leaves out hooks, and notes them.
func (s *piece) withoutHooks(objects []object.Object) []object.Object {
	return slices.DeleteFunc(slices.Clone(objects), func(o object.Object) bool {
		if !o.IsHook() {
			return false
		}
		s.leftOut = append(s.leftOut, o.Ref())
		return true
	})
}

// path renders an overlay or a directory of plain YAML.
func (s *piece) path(p string) error {
	real, err := s.view.Real(p)
	if err != nil {
		return err
	}
	switch kind, err := s.view.Kind(real); {
	case err != nil:
		return err
	case kind == tree.File && manifest(real):
		return s.manifestFile(real)
	case kind == tree.File:
		return fmt.Errorf("%s is neither a directory nor a YAML file", p)
	}
	kustomized, err := kustomize.File(s.view, real)
	if err != nil {
		return err
	}
	if kustomized != "" {
		return s.overlay(real, kustomize.Options{})
	}
	if s.view.IsFile(real, "Chart.yaml") {
		return &tree.RefusedError{Origin: object.Origin{File: path.Join(real, "Chart.yaml")},
			What: "path is a Helm chart", Why: "name it under charts, with its values files"}
	}
	return s.plain(p)
}

// inflate renders charts for kustomizations. It calls warn for each warning, with the field where it is about
// one that differs on each render, and lose with what the charts lost.
func (r *Renderer) inflate(kubeVersion string, warn func(text string, unstable *Unstable),
	lose func([]object.Loss)) func(*tree.View, kustomize.Chart) ([]object.Object, error) {
	return func(v *tree.View, c kustomize.Chart) ([]object.Object, error) {
		if c.KubeVersion == "" {
			c.KubeVersion = kubeVersion
		}
		out, err := r.helm.Inflate(v, c.HelmChart, c.Dir, c.Values)
		for _, w := range out.Warnings {
			warn(fmt.Sprintf("%s: %s", c.Origin, w), nil)
		}
		for _, u := range out.Unstable {
			warn(fmt.Sprintf("%s: differs on each render: %s", c.Origin, u), &u)
		}
		lose(out.Losses)
		return out.Objects, err
	}
}

func (s *piece) overlay(dir string, o kustomize.Options) error {
	o.Inflate = s.inflate(s.env.KubeVersion, func(text string, unstable *Unstable) {
		s.warn("%s", text)
		if unstable != nil {
			s.unstable = append(s.unstable, *unstable)
		}
	}, func(losses []object.Loss) { s.losses = append(s.losses, losses...) })
	b, err := s.kustomize.Build(s.view, dir, o)
	if err != nil {
		return err
	}
	s.losses, s.Selections = append(s.losses, b.Losses...), b.Selections
	return s.add(b.Objects, b.Warnings)
}

// manifestFile reads one file of plain YAML, which has objects.
func (s *piece) manifestFile(name string) error {
	before := s.set.Len()
	if err := s.file(name); err != nil {
		return err
	}
	if s.set.Len() == before {
		return fmt.Errorf("%s: %w", name, ErrEmpty)
	}
	return nil
}

func (s *piece) file(name string) error {
	text, err := s.view.File(name)
	if err != nil {
		return err
	}
	objects, err := s.pool.Read(bytes.NewReader(text), name)
	if err != nil {
		return err
	}
	return s.add(objects, nil)
}

// plain reads the YAML and JSON files of a directory and of the directories in it, in the order of their
// paths. It skips hidden files and directories that are overlays or charts.
func (s *piece) plain(dir string) error {
	files, err := s.manifests(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := s.file(f); err != nil {
			return err
		}
	}
	if s.set.Len() == 0 {
		return fmt.Errorf("%s: %w", dir, ErrEmpty)
	}
	return nil
}

func (s *piece) manifests(dir string) ([]string, error) {
	entries, err := s.view.Directory(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), ".") || name == project.File {
			continue
		}
		kind, err := s.view.Kind(name) // follows links: those that lead out are refused here
		if err != nil {
			return nil, err
		}
		if kind == tree.Directory {
			more, err := s.subdirectory(name, !e.IsDir())
			if err != nil {
				return nil, err
			}
			files = append(files, more...)
		} else if manifest(name) {
			files = append(files, name)
		}
	}
	slices.Sort(files)
	return files, nil
}

func manifest(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(name))
}

func (s *piece) subdirectory(name string, link bool) ([]string, error) {
	kustomized, err := kustomize.File(s.view, name)
	if err != nil {
		return nil, err
	}
	why := ""
	switch {
	case kustomized != "":
		why = "it has its own kustomization"
	case s.view.IsFile(name, "Chart.yaml"):
		why = "it is a Helm chart"
	case link: // could be a cycle
		why = "it is a link to a directory"
	default:
		return s.manifests(name)
	}
	s.warn("%s is skipped: %s", name, why)
	return nil, nil
}
