package kustomize

import (
	"fmt"
	"slices"

	"sigs.k8s.io/kustomize/api/filters/replacement"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/kio"
	"sigs.k8s.io/kustomize/kyaml/resid"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"slipway/internal/object"
)

// resources are those accumulated so far, in order, with the places where they were written, the fields that
// transformations change, and vars. They are the resmap.ResMap of the library's own transformers, which call
// no other method of it than those below.
type resources struct {
	resmap.ResMap
	list    []*resource.Resource
	origins map[*resource.Resource]object.Origin
	specs   *specs
	vars    types.VarSet
	losses  []object.Loss   // of the current step
	marked  []object.Origin // that the current step selects
	chosen  []Selection     // of parts of the current step
	// isWanted is the Builder's; nil: all resources are.
	isWanted func(object.Origin) bool

	// images is what resources run; nil: unknown. It stays known after steps that set imagesKnown.
	images      map[*resource.Resource]imageUse
	imagesKnown bool

	// index finds resources by what they are or were called. It also keeps former names, so a match has to be
	// checked. Resources in changed may have got new names since.
	index   map[name][]*resource.Resource
	changed []*resource.Resource
}

// change is one transformation. Its configuration has been read when it is made.
type change func(*resources) error

type name struct{ kind, namespace, name string }

func nameOf(id resid.ResId) name { return name{id.Kind, id.EffectiveNamespace(), id.Name} }

func newResources() *resources {
	return &resources{origins: map[*resource.Resource]object.Origin{}, specs: &specs{}, vars: types.NewVarSet()}
}

// refOf returns the name of a resource as an object.
func refOf(id resid.ResId) object.Ref {
	return object.Ref{Group: id.Group, Kind: id.Kind, Namespace: id.Namespace, Name: id.Name}
}

// ids are those that a resource had, and has.
func ids(r *resource.Resource) []resid.ResId { return append(r.PrevIds(), r.CurId()) }

// find lists the resources that have or had the name of an id and that match.
func (m *resources) find(id resid.ResId, match func(*resource.Resource) bool) []*resource.Resource {
	if m.index == nil {
		m.index, m.changed = make(map[name][]*resource.Resource, len(m.list)), m.list
	}
	for _, r := range m.changed {
		for _, id := range ids(r) {
			n := nameOf(id)
			if list := m.index[n]; len(list) == 0 || list[len(list)-1] != r {
				m.index[n] = append(list, r)
			}
		}
	}
	m.changed = nil
	var found []*resource.Resource
	for _, r := range m.index[nameOf(id)] {
		if _, ok := m.origins[r]; ok && !r.IsNilOrEmpty() && match(r) && !slices.Contains(found, r) {
			found = append(found, r)
		}
	}
	return found
}

// current lists the resources that have an id now.
func (m *resources) current(id resid.ResId) []*resource.Resource {
	return m.find(id, func(r *resource.Resource) bool { return id.Equals(r.CurId()) })
}

// known lists the resources that have or had an id.
func (m *resources) known(id resid.ResId) []*resource.Resource {
	return m.find(id, func(r *resource.Resource) bool { return slices.ContainsFunc(ids(r), id.Equals) })
}

// one returns the only resource that has or had an id.
func (m *resources) one(id resid.ResId) (*resource.Resource, error) {
	found := m.known(id)
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("%s is not among the resources", refOf(id))
	case 1:
		m.changed = append(m.changed, found[0])
		m.mark(found[0])
		return found[0], nil
	}
	return nil, fmt.Errorf("%s matches more than one resource: %s and %s",
		refOf(id), m.origins[found[0]], m.origins[found[1]])
}

// append adds a resource. No other may have its id.
func (m *resources) append(r *resource.Resource, at object.Origin) error {
	if found := m.current(r.CurId()); len(found) > 0 {
		return &object.DuplicateError{Ref: refOf(r.CurId()), First: m.origins[found[0]], Second: at}
	}
	m.list = append(m.list, r)
	m.origins[r] = at
	m.changed = append(m.changed, r)
	return nil
}

// checkUnique fails when two resources have the same id.
func (m *resources) checkUnique() error {
	seen := make(map[string]*resource.Resource, len(m.list))
	for _, r := range m.list {
		id := r.CurId()
		key := fmt.Sprint(nameOf(id), id.Group, id.Version)
		if first := seen[key]; first != nil {
			return &object.DuplicateError{Ref: refOf(id), First: m.origins[first], Second: m.origins[r]}
		}
		seen[key] = r
	}
	return nil
}

// absorb adds a generated resource, which may be meant for a resource that exists. By is who made it, for
// overlays that ask for that.
func (m *resources) absorb(r *resource.Resource, at object.Origin, by *resource.Origin) error {
	if by != nil {
		if have, err := r.GetOrigin(); have == nil && err == nil {
			if err := r.SetOrigin(by); err != nil {
				return err
			}
		}
	}
	m.marked = append(m.marked, at)
	id := r.CurId()
	found := m.known(id)
	if len(found) > 1 {
		return fmt.Errorf("%s matches %s and %s", refOf(id), m.origins[found[0]], m.origins[found[1]])
	}
	quoteKeys(r)
	if len(found) == 0 {
		if b := r.Behavior(); b == types.BehaviorMerge || b == types.BehaviorReplace {
			return fmt.Errorf("%s does not exist: behavior %s needs it", refOf(id), b)
		}
		return m.append(r, at)
	}
	old := found[0]
	m.mark(old)
	switch r.Behavior() {
	case types.BehaviorReplace:
		if err := r.CopyMergeMetaDataFieldsFrom(old); err != nil {
			return err
		}
	case types.BehaviorMerge:
		at = m.origins[old]
		if err := mergeGenerated(r, old); err != nil {
			return err
		}
		quoteKeys(r)
	default:
		return fmt.Errorf("%s already exists: set behavior to merge or replace", refOf(id))
	}
	if !old.CurId().Equals(r.CurId()) {
		return fmt.Errorf("%s would replace %s", refOf(r.CurId()), refOf(old.CurId()))
	}
	m.list[slices.Index(m.list, old)] = r
	delete(m.origins, old)
	m.origins[r] = at
	m.changed = append(m.changed, r)
	return nil
}

// quoteKeys makes strings of generated keys that YAML reads as other types: the library writes 1 and true
// without quotes, and then refuses them.
func quoteKeys(r *resource.Resource) {
	for _, field := range []string{"data", "binaryData"} {
		pairs(find(r.YNode(), field), func(k, _ *kyaml.Node) {
			if k.Tag == "" && k.ShortTag() != "!!str" {
				k.Tag, k.Style = "!!str", kyaml.DoubleQuotedStyle
			}
		})
	}
}

// mergeGenerated merges a resource over the generated one that it is meant for.
func mergeGenerated(r, old *resource.Resource) error {
	origin, err := old.GetOrigin()
	if err != nil {
		return err
	}
	data := old
	if r.GetApiVersion() == "v1" && r.GetKind() == "Secret" {
		if data, err = encodedSecret(old); err != nil {
			return err
		}
	}
	if err := r.CopyMergeMetaDataFieldsFrom(old); err != nil {
		return err
	}
	r.MergeDataMapFrom(data)
	r.MergeBinaryDataMapFrom(old)
	if origin != nil {
		return r.SetOrigin(origin)
	}
	return nil
}

// encodedSecret copies a Secret with its stringData moved to data, as the API server does it.
func encodedSecret(r *resource.Resource) (*resource.Resource, error) {
	r = r.DeepCopy()
	text, err := r.Pipe(kyaml.Lookup("stringData"))
	if err != nil {
		return nil, err
	}
	if !kyaml.IsMissingOrNull(text) {
		values := map[string]string{}
		err := text.VisitFields(func(n *kyaml.MapNode) error {
			key := kyaml.GetValue(n.Key)
			if n.Value.YNode() == nil || n.Value.YNode().Kind != kyaml.ScalarNode {
				return fmt.Errorf("stringData.%s must be a string", key)
			}
			values[key] = kyaml.GetValue(n.Value)
			return nil
		})
		if err == nil {
			err = r.LoadMapIntoSecretData(values)
		}
		if err != nil {
			return nil, err
		}
	}
	return r, r.PipeE(kyaml.Clear("stringData"))
}

// merge adds all of other resources.
func (m *resources) merge(o *resources) error {
	for _, r := range o.list {
		if err := m.append(r, o.origins[r]); err != nil {
			return err
		}
	}
	var err error
	if m.specs, err = m.specs.merge(o.specs); err != nil {
		return err
	}
	return m.vars.MergeSet(o.vars)
}

// Resources lists the resources.
func (m *resources) Resources() []*resource.Resource { return slices.Clone(m.list) }

// Select lists what a selector selects.
func (m *resources) Select(s types.Selector) ([]*resource.Resource, error) {
	pattern, err := types.NewSelectorRegex(&s)
	if err != nil {
		return nil, err
	}
	var found []*resource.Resource
	for _, r := range m.list {
		cur := r.CurId()
		if !pattern.MatchGvk(cur.Gvk) {
			continue
		}
		org := r.OrgId()
		if !pattern.MatchNamespace(org.EffectiveNamespace()) && !pattern.MatchNamespace(cur.EffectiveNamespace()) ||
			!pattern.MatchName(org.Name) && !pattern.MatchName(cur.Name) {
			continue
		}
		ok, err := r.MatchesLabelSelector(s.LabelSelector)
		if ok && err == nil {
			ok, err = r.MatchesAnnotationSelector(s.AnnotationSelector)
		}
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, r)
		}
	}
	m.changed = append(m.changed, found...)
	m.mark(found...)
	return found, nil
}

// ApplyFilter runs one of the library's filters over all resources, which it may change in place. Only
// replacements need to see them together; else an error says which resource it is about.
func (m *resources) ApplyFilter(f kio.Filter) error {
	m.index = nil
	m.mark(m.list...)
	if _, ok := f.(replacement.Filter); !ok {
		return filterAll(f)(m)
	}
	nodes := make([]*kyaml.RNode, len(m.list))
	for i, r := range m.list {
		nodes[i] = &r.RNode
	}
	_, err := f.Filter(nodes)
	return err
}
