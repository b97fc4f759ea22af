package project

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"slipway/internal/words"

	"go.yaml.in/yaml/v3"
)

// gitopsObject is what detection reads of Argo CD's Application and ApplicationSet, and of Flux's
// Kustomization and HelmRelease.
type gitopsObject struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name, Namespace string }
	Spec       struct {
		Source      *argoSource
		Sources     []argoSource
		Destination struct{ Name, Namespace string }
		Generators  []yaml.Node
		Template    yaml.Node
		// TemplatePatch changes the Applications by a template of its own.
		TemplatePatch string `yaml:"templatePatch"`

		Path            string
		TargetNamespace string `yaml:"targetNamespace"`
		ReleaseName     string `yaml:"releaseName"`
		Chart           struct {
			Spec struct {
				Chart       string
				ValuesFiles []string `yaml:"valuesFiles"`
			}
		}
		Values     map[string]any
		ValuesFrom []any `yaml:"valuesFrom"`
		PostBuild  any   `yaml:"postBuild"`
		// What a Kustomization of Flux changes in what its directory builds.
		Patches, Images, Components []any
		NamePrefix                  string `yaml:"namePrefix"`
		NameSuffix                  string `yaml:"nameSuffix"`
	}
}

type argoSource struct {
	Path, Chart    string
	TargetRevision string `yaml:"targetRevision"`
	Helm           struct {
		ReleaseName  string         `yaml:"releaseName"`
		ValueFiles   []string       `yaml:"valueFiles"`
		Values       string         `yaml:"values"`
		ValuesObject map[string]any `yaml:"valuesObject"`
		Parameters   []struct {
			Name, Value string
			ForceString bool `yaml:"forceString"`
		}
	}
}

// synced are the environments that Argo CD's and Flux's objects deploy from this repository, and what these
// objects do that a render does not.
func (l layout) synced() ([]Environment, []string) {
	var apps []syncedApp
	var unknown []string
	for _, dir := range l.dirs {
		if l.inChart(dir) && !l.file(path.Join(dir, "Chart.yaml")) || isBeside(dir) {
			continue
		}
		for _, name := range l.files[dir] {
			if isYAML(name) {
				found, notes := l.appsIn(path.Join(dir, name))
				apps, unknown = append(apps, found...), append(unknown, notes...)
			}
		}
	}
	apps = slices.DeleteFunc(apps, func(a syncedApp) bool { return a.path == "" })
	if !slices.ContainsFunc(apps, func(a syncedApp) bool { return a.env != "" }) {
		for i := range apps {
			apps[i].env = "default" // one place, whatever it is called
		}
	}
	sure, namespaces := map[string]bool{}, map[string]bool{}
	for _, a := range apps {
		sure[a.env] = sure[a.env] || a.sure
		namespaces[a.env+"/"+a.namespace] = namespaces[a.env+"/"+a.namespace] || a.sure && a.namespace != ""
	}
	var envs []Environment
	for _, a := range apps {
		if a.env == "" || sure[a.env] && !a.sure && a.chart == nil && !namespaces[a.env+"/"+a.namespace] {
			continue // of the cluster's own, such as operators that all environments share
		}
		i := slices.IndexFunc(envs, func(e Environment) bool { return e.Name == a.env })
		if i < 0 {
			i = len(envs)
			envs = append(envs, Environment{Name: a.env, Namespace: a.namespace})
		}
		e := &envs[i]
		if a.namespace != e.Namespace {
			e.Namespace = ""
		}
		switch {
		case a.chart == nil && !slices.Contains(e.Paths, a.path):
			e.Paths = append(e.Paths, a.path)
		case a.chart != nil && !slices.ContainsFunc(e.Charts, func(c Chart) bool {
			return c.Release == a.chart.Release
		}):
			e.Charts = append(e.Charts, *a.chart)
		}
	}
	return envs, append(syncNotes(apps), unknown...)
}

// syncNotes say what Argo CD and Flux do that a render of the working tree does not.
func syncNotes(apps []syncedApp) (notes []string) {
	var branches, substituted, patched, valued []string
	revisions := map[string]bool{}
	for _, a := range apps {
		if a.env == "" {
			continue
		}
		branch := a.env + " from " + a.revision
		if a.revision != "" && a.revision != "HEAD" && !slices.Contains(branches, branch) {
			branches = append(branches, branch)
			revisions[a.revision] = true
		}
		if a.substitutes && !slices.Contains(substituted, a.file) {
			substituted = append(substituted, a.file)
		}
		if a.patches && !slices.Contains(patched, a.file) {
			patched = append(patched, a.file)
		}
		if a.valuesFrom && !slices.Contains(valued, a.file) {
			valued = append(valued, a.file)
		}
	}
	if len(patched) > 0 {
		notes = append(notes, fmt.Sprintf("a Kustomization of Flux has patches (%s), which a render does not "+
			"apply: move them to kustomization.yaml", words.And(patched)))
	}
	if len(revisions) > 1 {
		notes = append(notes, fmt.Sprintf("environments are branches: %s; this working tree stands for all of "+
			"them", words.And(branches)))
	}
	if len(substituted) > 0 {
		notes = append(notes, fmt.Sprintf("Flux substitutes variables in the manifests of %s, but a render leaves "+
			"${…} unchanged", words.And(substituted)))
	}
	if len(valued) > 0 {
		notes = append(notes, clusterValues(valued))
	}
	return notes
}

func clusterValues(files []string) string {
	return fmt.Sprintf("Flux adds values from the cluster (valuesFrom in %s), which a render does not have",
		words.And(files))
}

// syncedApp is one directory that one of these objects deploys. It is sure of its environment where the
// directory or the values files say it, and not the object around them.
type syncedApp struct {
	env, path, namespace string
	sure                 bool
	chart                *Chart
	file, revision       string
	// substitutes: Flux replaces variables in what it renders; valuesFrom: it adds values from the cluster.
	substitutes, valuesFrom bool
	// patches: Flux changes what the directory builds.
	patches bool
}

var gitopsGroup = regexp.MustCompile(`\b(argoproj\.io|(kustomize|helm)\.toolkit\.fluxcd\.io)/`)

// appsIn are the apps that a file's objects deploy, and what the repository does not say of them.
func (l layout) appsIn(file string) (apps []syncedApp, unknown []string) {
	text := l.text(file)
	if !gitopsGroup.Match(text) {
		return nil, nil
	}
	stream := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var o gitopsObject
		if err := stream.Decode(&o); err != nil && !strings.Contains(err.Error(), "cannot unmarshal") {
			return apps, unknown
		}
		switch o.Kind {
		case "Application":
			apps = append(apps, l.fromArgo(o, file)...)
		case "ApplicationSet":
			made, open := l.generated(o)
			for _, app := range made {
				apps = append(apps, l.fromArgo(app, file)...)
			}
			if len(open) > 0 {
				unknown = append(unknown, fmt.Sprintf("%s: the repository does not say what its %s makes", file,
					words.And(open)))
			}
		case "Kustomization":
			if strings.HasPrefix(o.APIVersion, "kustomize.toolkit.fluxcd.io/") && o.Spec.Path != "" {
				a := l.app(o, file, path.Clean(o.Spec.Path), o.Spec.TargetNamespace, nil)
				a.patches = len(o.Spec.Patches)+len(o.Spec.Images)+len(o.Spec.Components) > 0 ||
					o.Spec.NamePrefix+o.Spec.NameSuffix != ""
				apps = append(apps, a)
			}
		case "HelmRelease":
			apps = append(apps, l.released(o, file))
		}
	}
}

func (l layout) fromArgo(o gitopsObject, file string) []syncedApp {
	var apps []syncedApp
	sources := o.Spec.Sources
	if o.Spec.Source != nil {
		sources = append(sources, *o.Spec.Source)
	}
	for _, s := range sources {
		if s.Path == "" || s.Chart != "" {
			continue
		}
		dir := path.Clean(s.Path)
		var c *Chart
		if l.file(path.Join(dir, "Chart.yaml")) {
			c = &Chart{Path: dir, Release: s.Helm.ReleaseName, Namespace: o.Spec.Destination.Namespace}
			for _, v := range s.Helm.ValueFiles {
				if ref, rest, ok := strings.Cut(v, "/"); ok && strings.HasPrefix(ref, "$") {
					v = "/" + rest
				}
				if strings.HasPrefix(v, "/") {
					v = strings.TrimPrefix(v, "/")
				} else {
					v = path.Join(dir, v)
				}
				if l.file(v) && v != path.Join(dir, "values.yaml") {
					c.Values = append(c.Values, v)
				}
			}
			inline := s.Helm.ValuesObject
			if inline == nil {
				_ = yaml.Unmarshal([]byte(s.Helm.Values), &inline)
			}
			c.SetJSON = inlined(inline)
			for _, p := range s.Helm.Parameters {
				if p.ForceString {
					c.SetString = append(c.SetString, p.Name+"="+p.Value)
				} else {
					c.Set = append(c.Set, p.Name+"="+p.Value)
				}
			}
		}
		a := l.app(o, file, dir, o.Spec.Destination.Namespace, c)
		a.revision = s.TargetRevision
		apps = append(apps, a)
	}
	return apps
}

// fromFlux is the chart that a HelmRelease installs, with the values files that are generated for it.
func (l layout) fromFlux(o gitopsObject, file string, generated ...string) syncedApp {
	dir := path.Clean(o.Spec.Chart.Spec.Chart)
	if !l.file(path.Join(dir, "Chart.yaml")) {
		return syncedApp{}
	}
	namespace := cmp.Or(o.Spec.TargetNamespace, o.Metadata.Namespace)
	c := &Chart{Path: dir, Release: o.Spec.ReleaseName, SetJSON: inlined(o.Spec.Values)}
	for _, v := range o.Spec.Chart.Spec.ValuesFiles {
		if v = path.Clean(v); l.file(v) && v != path.Join(dir, "values.yaml") {
			c.Values = append(c.Values, v)
		}
	}
	c.Values = append(c.Values, generated...)
	a := l.app(o, file, dir, namespace, c)
	a.valuesFrom = len(generated) < len(o.Spec.ValuesFrom)
	return a
}

// inlined are values that stand in the object itself.
func inlined(values map[string]any) []string {
	var set []string
	for _, k := range slices.Sorted(maps.Keys(values)) {
		if v, err := json.Marshal(values[k]); err == nil {
			set = append(set, strings.ReplaceAll(k, ".", `\.`)+"="+string(v))
		}
	}
	return set
}

// app finds the environment that a directory is deployed to; a directory of another repository has none, and
// neither has a directory of further such objects.
func (l layout) app(o gitopsObject, file, dir, namespace string, c *Chart) syncedApp {
	if c == nil && (!l.isFolder(dir) || !l.manifestsBelow(dir) ||
		l.isControlBelow(dir) && !l.patchesReleases(dir)) {
		return syncedApp{}
	}
	if !label.matches(namespace) {
		namespace = ""
	}
	a := syncedApp{path: dir, namespace: namespace, chart: c, sure: true, file: file,
		substitutes: o.Spec.PostBuild != nil, valuesFrom: len(o.Spec.ValuesFrom) > 0}
	if c != nil {
		if c.Release == "" {
			c.Release = nameOf(o.Metadata.Name)
		}
		c.Namespace = namespace
		for _, v := range slices.Backward(c.Values) {
			if a.env == "" {
				a.env = l.valuesOf(chart{path: dir, name: path.Base(dir)}, v)
			}
		}
		if a.env != "" && isEnvironmentName(a.env) {
			return a
		}
	}
	if a.env, _ = l.environmentIn(dir); a.env != "" {
		return a
	}
	a.sure = false
	if a.env, _ = l.environmentIn(strings.TrimSuffix(file, path.Ext(file))); a.env != "" {
		return a
	}
	for _, name := range []string{o.Metadata.Name, namespace, o.Spec.Destination.Name} {
		words := strings.Split(name, "-")
		for _, w := range []string{words[len(words)-1], words[0]} {
			if isEnvironmentName(w) && label.matches(w) {
				a.env = w
				return a
			}
		}
	}
	return a
}

// valuesOf is the environment that a values file of a chart is for, wherever it lies: the first part of its
// path that leaves nothing but an environment's name, or else what the whole path says.
func (l layout) valuesOf(c chart, file string) string {
	parts := strings.Split(file, "/")
	for i := range parts {
		base := path.Join(append([]string{"."}, parts[:i]...)...)
		env, ok := l.valuesFor(c, nil, base, path.Join(parts[i:]...))
		if ok && isEnvironmentName(env) && !slices.ContainsFunc(strings.Split(env, "-"), func(w string) bool {
			return !isEnvironmentName(w) && !isRegion(w)
		}) {
			return env
		}
	}
	env, _ := l.valuesFor(c, nil, ".", file)
	return env
}

var control = regexp.MustCompile(
	`(?m)^kind:\s*(Application|ApplicationSet|AppProject)\s*$|\b(kustomize|source|helm)\.toolkit\.fluxcd\.io/`)

// isControlBelow is isControl for a directory with those below it.
func (l layout) isControlBelow(dir string) bool {
	found := false
	for _, d := range l.dirs {
		if d != dir && !isBelow(d, dir) || !l.manifests(d) {
			continue
		}
		if path.Base(d) == "flux-system" || l.isControl(d) {
			found = true
		} else if !l.kustomized(d) || l.hasManifests(d) {
			return false
		}
	}
	return found
}

// steering matches what names other directories to deploy. A HelmRelease does not: it is itself what runs.
var steering = regexp.MustCompile(`(?m)^kind:\s*(Application|ApplicationSet|AppProject|GitRepository|` +
	`OCIRepository|Bucket)\s*$|\bkustomize\.toolkit\.fluxcd\.io/`)

// patchesReleases says whether a directory is the overlay of an environment on HelmReleases, as apps/staging
// of Flux's own example is.
func (l layout) patchesReleases(dir string) bool {
	if env, _ := l.environmentIn(dir); env == "" || !l.kustomized(dir) {
		return false
	}
	return !slices.ContainsFunc(l.files[dir], func(name string) bool {
		return isYAML(name) && steering.Match(l.text(path.Join(dir, name)))
	})
}

// hasManifests says whether a directory has YAML of Kubernetes in it, beside a kustomization.
func (l layout) hasManifests(dir string) bool {
	return slices.ContainsFunc(l.files[dir], func(name string) bool {
		return isYAML(name) && IsManifest(l.text(path.Join(dir, name)))
	})
}

// isControl says whether all manifests in a directory tell Argo CD or Flux what to deploy.
func (l layout) isControl(dir string) bool {
	found := false
	for _, name := range l.files[dir] {
		if text := l.text(path.Join(dir, name)); isYAML(name) && IsManifest(text) {
			if !control.Match(text) {
				return false
			}
			found = true
		}
	}
	return found
}
