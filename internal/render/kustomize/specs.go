package kustomize

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"
	"sigs.k8s.io/yaml"
)

// specs are the fields that transformations change, in the form of a configurations file.
type specs struct {
	NamePrefix                types.FsSlice `json:"namePrefix,omitempty"`
	NameSuffix                types.FsSlice `json:"nameSuffix,omitempty"`
	NameSpace                 types.FsSlice `json:"namespace,omitempty"`
	CommonLabels              types.FsSlice `json:"commonLabels,omitempty"`
	Labels                    types.FsSlice `json:"labels,omitempty"`
	TemplateLabels            types.FsSlice `json:"templateLabels,omitempty"`
	VolumeClaimTemplateLabels types.FsSlice `json:"volumeClaimTemplateLabels,omitempty"`
	CommonAnnotations         types.FsSlice `json:"commonAnnotations,omitempty"`
	NameReference             references    `json:"nameReference,omitempty"`
	VarReference              types.FsSlice `json:"varReference,omitempty"`
	Images                    types.FsSlice `json:"images,omitempty"`
	Replicas                  types.FsSlice `json:"replicas,omitempty"`
}

// reference lists the fields that hold the name of a kind of object.
type reference struct {
	resid.Gvk `json:",inline"`
	Referrers types.FsSlice `json:"fieldSpecs,omitempty"`
}

type references []reference

func (r references) Len() int           { return len(r) }
func (r references) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r references) Less(i, j int) bool { return r[i].IsLessThan(r[j].Gvk) }

//go:embed defaults.json
var defaults []byte

// defaultSpecs are those of the library, which does not export them: defaults.json is a copy.
func defaultSpecs() *specs {
	var s specs
	if err := json.Unmarshal(defaults, &s); err != nil {
		panic(err)
	}
	s.sort()
	all, err := (&specs{}).merge(&s)
	if err != nil {
		panic(err)
	}
	return all
}

func (s *specs) slices() []*types.FsSlice {
	return []*types.FsSlice{
		&s.NamePrefix, &s.NameSuffix, &s.NameSpace, &s.CommonLabels, &s.Labels, &s.TemplateLabels,
		&s.VolumeClaimTemplateLabels, &s.CommonAnnotations, &s.VarReference, &s.Images, &s.Replicas,
	}
}

// sort puts the fields in the library's order with the same unstable sort.
func (s *specs) sort() {
	for _, fs := range s.slices() {
		sort.Sort(*fs)
	}
	sort.Sort(s.NameReference)
}

func (s *specs) empty() bool {
	for _, fs := range s.slices() {
		if len(*fs) > 0 {
			return false
		}
	}
	return len(s.NameReference) == 0
}

// merge returns the fields of both and changes neither.
func (s *specs) merge(o *specs) (*specs, error) {
	if s == o || o.empty() {
		return s, nil
	}
	merged, mine, other := &specs{}, s.slices(), o.slices()
	for i, fs := range merged.slices() {
		var err error
		if *fs, err = mine[i].DeepCopy().MergeAll(*other[i]); err != nil {
			return nil, err
		}
	}
	for _, r := range s.NameReference {
		r.Referrers = r.Referrers.DeepCopy()
		merged.NameReference = append(merged.NameReference, r)
	}
	for _, r := range o.NameReference {
		if err := merged.refer(r); err != nil {
			return nil, err
		}
	}
	merged.sort()
	return merged, nil
}

func (s *specs) refer(r reference) error {
	for i, have := range s.NameReference {
		if have.Gvk.Equals(r.Gvk) {
			all, err := have.Referrers.MergeAll(r.Referrers)
			s.NameReference[i].Referrers = all
			return err
		}
	}
	r.Referrers = r.Referrers.DeepCopy()
	s.NameReference = append(s.NameReference, r)
	return nil
}

// configure adds the fields that configurations and definitions of custom resources name.
func configure(l *layer, m *resources) error {
	all := l.build.specs
	custom, at := &specs{}, l.entries(len(l.Configurations), "configurations")
	for i, name := range l.Configurations {
		text, _, err := l.readFile(at[i], name)
		if err != nil {
			return err
		}
		var s specs
		if err := yaml.UnmarshalStrict(text, &s); err != nil {
			return at[i].fail(fmt.Errorf("%s: %w", name, err))
		}
		s.sort()
		if custom, err = custom.merge(&s); err != nil {
			return at[i].fail(err)
		}
	}
	all, err := all.merge(custom)
	if err == nil {
		m.specs, err = m.specs.merge(all)
	}
	if err != nil {
		return l.fieldEntry("configurations").fail(err)
	}
	at = l.entries(len(l.Crds), "crds")
	for i, name := range l.Crds {
		text, _, err := l.readFile(at[i], name)
		if err != nil {
			return err
		}
		s, err := specsOfDefinitions(text)
		if err == nil {
			m.specs, err = m.specs.merge(s)
		}
		if err != nil {
			return at[i].fail(fmt.Errorf("%s: %w", name, err))
		}
	}
	return nil
}

// definition is the relevant part of an OpenAPI definition.
type definition struct {
	Schema struct {
		Properties map[string]map[string]any `json:"properties"`
	}
}

// specsOfDefinitions reads the purpose of fields from the extensions of OpenAPI definitions.
func specsOfDefinitions(text []byte) (*specs, error) {
	var types map[string]definition
	if err := yaml.Unmarshal(text, &types); err != nil {
		return nil, err
	}
	s := &specs{}
	for _, name := range sortedKeys(types) {
		fields := types[name].Schema.Properties
		if fields["kind"] == nil || fields["apiVersion"] == nil || fields["metadata"] == nil {
			continue
		}
		d := definitions{types: types, kind: name[strings.LastIndex(name, ".")+1:], specs: &specs{}}
		if err := d.read(name, nil); err != nil {
			return nil, err
		}
		var err error
		if s, err = s.merge(d.specs); err != nil {
			return nil, err
		}
	}
	return s, nil
}

type definitions struct {
	types map[string]definition
	kind  string
	specs *specs
}

func (d *definitions) read(name string, path []string) error {
	if len(path) > 50 {
		return errors.New("definitions refer to each other in a cycle")
	}
	properties := d.types[name].Schema.Properties
	for _, field := range sortedKeys(properties) {
		p := properties[field]
		spec := func(more ...string) types.FieldSpec {
			all := append(append(append([]string{}, path...), field), more...)
			return types.FieldSpec{Gvk: resid.Gvk{Kind: d.kind}, Path: strings.Join(all, "/")}
		}
		for extension, fs := range map[string]*types.FsSlice{
			"x-kubernetes-annotation":     &d.specs.CommonAnnotations,
			"x-kubernetes-label-selector": &d.specs.CommonLabels,
			"x-kubernetes-identity":       &d.specs.NamePrefix,
		} {
			if _, ok := p[extension].(string); ok {
				var err error
				if *fs, err = fs.MergeOne(spec()); err != nil {
					return err
				}
			}
		}
		version, ok := p["x-kubernetes-object-ref-api-version"].(string)
		if kind, known := p["x-kubernetes-object-ref-kind"].(string); ok && known {
			key, ok := p["x-kubernetes-object-ref-name-key"].(string)
			if !ok {
				key = "name"
			}
			r := reference{resid.Gvk{Kind: kind, Version: version}, types.FsSlice{spec(key)}}
			if err := d.specs.refer(r); err != nil {
				return err
			}
		}
		if ref, ok := p["$ref"].(string); ok {
			if err := d.read(ref, append(path[:len(path):len(path)], field)); err != nil {
				return err
			}
		}
	}
	return nil
}
