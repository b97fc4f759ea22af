package project

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"slipway/internal/words"

	"go.yaml.in/yaml/v3"
)

// withReleases adds to environments the charts of the repository that Flux installs because of the
// HelmReleases in their kustomizations: those have the values of a base, and the environment's patches.
func (l layout) withReleases(envs []Environment) ([]Environment, []string) {
	var elsewhere, unread, valued []string
	for i, e := range envs {
		var found []helmRelease
		for _, p := range e.Paths {
			found = append(found, l.helmReleases(p, map[string]bool{})...)
		}
		for _, r := range found {
			o := r.object()
			if r.unread != "" && !slices.Contains(unread, r.unread) {
				unread = append(unread, r.unread)
			}
			a := l.fromFlux(o, r.file, r.generated(o)...)
			c := a.chart
			switch {
			case c == nil && o.Spec.Chart.Spec.Chart != "":
				if !slices.Contains(elsewhere, o.Spec.Chart.Spec.Chart) {
					elsewhere = append(elsewhere, o.Spec.Chart.Spec.Chart)
				}
			case c != nil && !slices.ContainsFunc(e.Charts, func(c2 Chart) bool { return c2.Release == c.Release }):
				if a.valuesFrom && !slices.Contains(valued, r.file) {
					valued = append(valued, r.file)
				}
				envs[i].Charts = append(envs[i].Charts, *c)
			}
		}
	}
	var notes []string
	if len(elsewhere) > 0 {
		notes = append(notes, fmt.Sprintf("Flux installs charts that are not in this repository (%s): a render "+
			"has their HelmReleases, but not their objects", words.And(elsewhere)))
	}
	if len(valued) > 0 {
		notes = append(notes, clusterValues(valued))
	}
	if len(unread) > 0 {
		notes = append(notes, fmt.Sprintf("patches of HelmReleases that are not followed: %s", words.And(unread)))
	}
	return envs, notes
}

// helmRelease is one as a kustomization makes it, with the files of ConfigMaps and Secrets that are generated
// beside it, by their names. Unread is a patch whose effect is not known.
type helmRelease struct {
	file   string
	body   map[string]any
	files  map[string]string
	unread string
}

func (r helmRelease) object() (o gitopsObject) {
	if text, err := yaml.Marshal(r.body); err == nil {
		_ = yaml.Unmarshal(text, &o) // fields of other types are not read
	}
	return o
}

// released is the app of a HelmRelease as the kustomization beside its file makes it.
func (l layout) released(o gitopsObject, file string) syncedApp {
	if dir := path.Dir(file); l.kustomized(dir) {
		for _, r := range l.helmReleases(dir, map[string]bool{}) {
			if r.file == file && r.name() == o.Metadata.Name {
				o = r.object()
				return l.fromFlux(o, file, r.generated(o)...)
			}
		}
	}
	return l.fromFlux(o, file)
}

func (r helmRelease) name() string {
	metadata, _ := r.body["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	return name
}

// generated are the values files that the release reads through a generated ConfigMap or Secret.
func (r helmRelease) generated(o gitopsObject) (files []string) {
	for _, from := range o.Spec.ValuesFrom {
		m, _ := from.(map[string]any)
		key, _ := m["valuesKey"].(string)
		if key == "" {
			key = "values.yaml"
		}
		if file := r.files[fmt.Sprint(m["kind"], "/", m["name"], "/", key)]; file != "" {
			files = append(files, file)
		}
	}
	return files
}

// releasing is what detection reads of a kustomization around HelmReleases.
type releasing struct {
	Resources  []string
	Bases      []string
	Components []string
	Patches    []struct {
		Path, Patch string
		Target      struct{ Kind, Name string }
	}
	PatchesStrategicMerge []string           `yaml:"patchesStrategicMerge"`
	ConfigMapGenerator    []releaseGenerator `yaml:"configMapGenerator"`
	SecretGenerator       []releaseGenerator `yaml:"secretGenerator"`
}

type releaseGenerator struct {
	Name  string
	Files []string
}

// helmReleases are those of a kustomization, or of a directory of manifests.
func (l layout) helmReleases(dir string, seen map[string]bool) []helmRelease {
	if seen[dir] {
		return nil
	}
	seen[dir] = true
	i := slices.IndexFunc(kustomizations, func(name string) bool { return l.file(path.Join(dir, name)) })
	if i < 0 {
		var all []helmRelease
		for _, name := range l.files[dir] {
			all = append(all, l.helmReleasesIn(path.Join(dir, name))...)
		}
		return all
	}
	var k releasing
	_ = yaml.Unmarshal(l.text(path.Join(dir, kustomizations[i])), &k) // broken says what is wrong in it
	var all []helmRelease
	for _, ref := range slices.Concat(k.Resources, k.Bases, k.Components) {
		p := path.Join(dir, ref)
		if l.isFolder(p) {
			all = append(all, l.helmReleases(p, seen)...)
		} else {
			all = append(all, l.helmReleasesIn(p)...)
		}
	}
	for kind, generators := range map[string][]releaseGenerator{
		"ConfigMap": k.ConfigMapGenerator, "Secret": k.SecretGenerator,
	} {
		for _, g := range generators {
			for _, f := range g.Files {
				key, file, named := strings.Cut(f, "=")
				if !named {
					key, file = path.Base(f), f
				}
				for _, r := range all {
					if p := path.Join(dir, file); l.file(p) {
						r.files[kind+"/"+g.Name+"/"+key] = p
					}
				}
			}
		}
	}
	for _, p := range k.Patches {
		all = l.patched(all, dir, p.Path, p.Patch, p.Target.Kind, p.Target.Name)
	}
	for _, p := range k.PatchesStrategicMerge {
		if strings.Contains(p, "\n") {
			all = l.patched(all, dir, "", p, "", "")
		} else {
			all = l.patched(all, dir, p, "", "", "")
		}
	}
	return all
}

func (l layout) helmReleasesIn(file string) (all []helmRelease) {
	if !isYAML(file) || !l.file(file) {
		return nil
	}
	for _, doc := range mappingsIn(l.text(file)) {
		if doc["kind"] == "HelmRelease" {
			all = append(all, helmRelease{file: file, body: doc, files: map[string]string{}})
		}
	}
	return all
}

func mappingsIn(text []byte) (docs []map[string]any) {
	if !bytes.Contains(text, []byte("HelmRelease")) {
		return nil
	}
	for stream := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var doc map[string]any
		if stream.Decode(&doc) != nil {
			return docs
		}
		docs = append(docs, doc)
	}
}

// patched are releases with a strategic merge patch. The effect of another patch is not known.
func (l layout) patched(all []helmRelease, dir, file, inline, kind, name string) []helmRelease {
	text, place := []byte(inline), path.Join(dir, "kustomization.yaml")
	if file != "" {
		place = path.Join(dir, file)
		text = l.text(place)
	}
	var list []any
	isList := yaml.Unmarshal(text, &list) == nil
	for i, r := range all {
		switch {
		case isList && kind == "HelmRelease" && (name == "" || name == r.name()):
			all[i].unread = place
		case isList:
		default:
			for _, doc := range mappingsIn(text) {
				patch := helmRelease{body: doc}
				of := name
				if of == "" && kind == "" {
					of = patch.name()
				}
				if doc["kind"] == "HelmRelease" && (of == "" || of == r.name()) {
					all[i].body = merged(r.body, doc).(map[string]any)
				}
			}
		}
	}
	return all
}

// merged is a value with a patch: mappings key by key, without the keys that are null, and the rest replaced.
func merged(base, patch any) any {
	from, isMapping := base.(map[string]any)
	over, isPatch := patch.(map[string]any)
	if !isMapping || !isPatch {
		return patch
	}
	out := map[string]any{}
	for k, v := range from {
		out[k] = v
	}
	for k, v := range over {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = merged(out[k], v)
		}
	}
	return out
}
