package render

import (
	"bytes"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"

	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render/helm"
	"slipway/internal/render/kustomize"
	"slipway/internal/render/tree"
)

// source renders one environment, part by part: its charts, then what its paths hold.
type source struct {
	*Renderer
	view   *tree.View
	env    project.Environment
	result Result
	// namespace is for objects that have none; only Skaffold sets it.
	namespace string
	// part counts the environment's paths, or the configurations of its skaffold.yaml; parts is the one that
	// each object came from.
	part int
	// modules are the files of those configurations.
	modules []string
	parts   map[object.Ref]int
}

func (s *source) render() (Result, error) {
	if s.env.Skaffold != nil {
		if err := s.skaffold(*s.env.Skaffold); err != nil {
			return Result{}, err
		}
	} else if len(s.env.Paths) == 0 && len(s.env.Charts) == 0 {
		return Result{}, fmt.Errorf("the environment has no path and no charts")
	}
	for _, c := range s.env.Charts {
		if err := s.chart(c, nil); err != nil {
			return Result{}, err
		}
	}
	for i, p := range s.env.Paths {
		s.part = i
		if err := s.path(p); err != nil {
			return Result{}, err
		}
	}
	if s.result.Set.Len() == 0 {
		return Result{}, ErrEmpty
	}
	s.result.Warnings = unique(s.result.Warnings)
	s.result.Reads = s.view.Reads()
	s.result.Set.Conceal(s.view.Secrets())
	return s.result, nil
}

func (s *source) add(objects []object.Object, warnings []string) error {
	s.result.Warnings = append(s.result.Warnings, warnings...)
	for _, o := range objects {
		o, err := object.New(s.into(o, s.namespace).Body, o.Origin)
		if err != nil {
			return err
		}
		if s.env.NoHooks && o.IsHook() {
			s.result.LeftOut = append(s.result.LeftOut, o.Ref())
			continue
		}
		// Services that are deployed one by one may each bring the object that they share.
		first, found := s.result.Set.Get(o.Ref())
		if found && s.parts[o.Ref()] != s.part && reflect.DeepEqual(first.Body, o.Body) {
			continue
		}
		if found && first.Origin == o.Origin && s.parts[o.Ref()] != s.part {
			return &tree.RefusedError{Origin: o.Origin, What: fmt.Sprintf("%s is made twice from here", o.Ref()),
				Why: fmt.Sprintf("%s and %s change it differently", s.partName(s.parts[o.Ref()]), s.partName(s.part))}
		}
		if err := s.result.Set.Add(o); err != nil {
			return err
		}
		if s.parts == nil {
			s.parts = map[object.Ref]int{}
		}
		s.parts[o.Ref()] = s.part
	}
	return nil
}

// partName is what a part is called in messages.
func (s *source) partName(i int) string {
	switch {
	case i < len(s.modules):
		return s.modules[i]
	case i < len(s.env.Paths):
		return s.env.Paths[i]
	}
	return s.env.Name
}

func (s *source) warn(format string, args ...any) {
	s.result.Warnings = append(s.result.Warnings, fmt.Sprintf(format, args...))
}

// chart renders one chart, over the inline values, and has its patches applied.
func (s *source) chart(c project.Chart, inline map[string]any) error {
	ns := c.Namespace
	if ns == "" {
		ns = s.env.Namespace
	}
	if ns == "" {
		s.warn("no namespace is set: charts see \"default\" here, and the namespace of the kubeconfig context " +
			"when they are planned or deployed")
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
	s.result.Losses = append(s.result.Losses, out.Losses...)
	objects := out.Objects
	if noHooks {
		objects = s.withoutHooks(objects)
	}
	for _, u := range out.Unstable {
		s.result.Unstable = true
		s.warn("differs on each render: %s", u)
	}
	if c.Patches != "" {
		b, err := s.kustomize.Build(s.view, c.Patches, kustomize.Options{Extra: objects})
		if err != nil {
			return err
		}
		objects, out.Warnings = b.Objects, append(out.Warnings, b.Warnings...)
		s.result.Losses = append(s.result.Losses, b.Losses...)
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
func (s *source) withoutHooks(objects []object.Object) []object.Object {
	return slices.DeleteFunc(slices.Clone(objects), func(o object.Object) bool {
		if !o.IsHook() {
			return false
		}
		s.result.LeftOut = append(s.result.LeftOut, o.Ref())
		return true
	})
}

// path renders an overlay or a directory of plain YAML.
func (s *source) path(p string) error {
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

// inflate renders charts for kustomizations. It calls warn for each warning, with unstable set where the
// result differs on each render, and lose with what the charts lost.
func (r *Renderer) inflate(kubeVersion string, warn func(text string, unstable bool),
	lose func([]object.Loss)) func(*tree.View, kustomize.Chart) ([]object.Object, error) {
	return func(v *tree.View, c kustomize.Chart) ([]object.Object, error) {
		if c.KubeVersion == "" {
			c.KubeVersion = kubeVersion
		}
		out, err := r.helm.Inflate(v, c.HelmChart, c.Dir, c.Values)
		for _, w := range out.Warnings {
			warn(fmt.Sprintf("%s: %s", c.Origin, w), false)
		}
		for _, u := range out.Unstable {
			warn(fmt.Sprintf("%s: differs on each render: %s", c.Origin, u), true)
		}
		lose(out.Losses)
		return out.Objects, err
	}
}

func (s *source) overlay(dir string, o kustomize.Options) error {
	o.Inflate = s.inflate(s.env.KubeVersion, func(text string, unstable bool) {
		s.warn("%s", text)
		s.result.Unstable = s.result.Unstable || unstable
	}, func(losses []object.Loss) { s.result.Losses = append(s.result.Losses, losses...) })
	b, err := s.kustomize.Build(s.view, dir, o)
	if err != nil {
		return err
	}
	s.result.Losses = append(s.result.Losses, b.Losses...)
	return s.add(b.Objects, b.Warnings)
}

// manifestFile reads one file of plain YAML, which has objects.
func (s *source) manifestFile(name string) error {
	before := s.result.Set.Len()
	if err := s.file(name); err != nil {
		return err
	}
	if s.result.Set.Len() == before {
		return fmt.Errorf("%s: %w", name, ErrEmpty)
	}
	return nil
}

func (s *source) file(name string) error {
	text, err := s.view.File(name)
	if err != nil {
		return err
	}
	objects, err := object.Read(bytes.NewReader(text), name)
	if err != nil {
		return err
	}
	return s.add(objects, nil)
}

// plain reads the YAML and JSON files of a directory and of the directories in it, in the order of their
// paths. It skips hidden files and directories that are overlays or charts.
func (s *source) plain(dir string) error {
	files, err := s.manifests(dir)
	if err != nil {
		return err
	}
	before := s.result.Set.Len()
	for _, f := range files {
		if err := s.file(f); err != nil {
			return err
		}
	}
	if s.result.Set.Len() == before {
		return fmt.Errorf("%s: %w", dir, ErrEmpty)
	}
	return nil
}

func (s *source) manifests(dir string) ([]string, error) {
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

func (s *source) subdirectory(name string, link bool) ([]string, error) {
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
