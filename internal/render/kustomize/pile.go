package kustomize

import (
	"fmt"
	"slices"

	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/kio"
	"sigs.k8s.io/kustomize/kyaml/resid"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"slipway/internal/object"
)

// pile is what has been accumulated so far: resources in order, where they come from, the fields that
// transformations go for, and vars. It is the resmap.ResMap of those of the library's transformers that
// are used as they are; they ask for no more of it than is defined here.
type pile struct {
	resmap.ResMap
	list    []*resource.Resource
	origins map[*resource.Resource]object.Origin
	specs   *specs
	vars    types.VarSet

	// index finds resources by what they are or were called. What it finds needs to be checked: names
	// that are no more stay in it. Those lent out since may have got new ones.
	index map[name][]*resource.Resource
	lent  []*resource.Resource
}

type name struct{ kind, namespace, name string }

func nameOf(id resid.ResId) name { return name{id.Kind, id.EffectiveNamespace(), id.Name} }

func newPile() *pile {
	return &pile{origins: map[*resource.Resource]object.Origin{}, specs: &specs{}, vars: types.NewVarSet()}
}

// refOf names a resource as objects are named.
func refOf(r *resource.Resource) object.Ref {
	id := r.CurId()
	return object.Ref{Group: id.Group, Kind: id.Kind, Namespace: id.Namespace, Name: id.Name}
}

func (p *pile) note(r *resource.Resource) {
	for _, id := range append(r.PrevIds(), r.CurId()) {
		n := nameOf(id)
		if list := p.index[n]; len(list) == 0 || list[len(list)-1] != r {
			p.index[n] = append(list, r)
		}
	}
}

// called lists what is in the index under an id's name.
func (p *pile) called(id resid.ResId) []*resource.Resource {
	if p.index == nil {
		p.index = make(map[name][]*resource.Resource, len(p.list))
		for _, r := range p.list {
			p.note(r)
		}
	}
	for _, r := range p.lent {
		p.note(r)
	}
	p.lent = nil
	return p.index[nameOf(id)]
}

func (p *pile) has(r *resource.Resource) bool {
	_, ok := p.origins[r]
	return ok && !r.IsNilOrEmpty()
}

// current are the resources that have an id now.
func (p *pile) current(id resid.ResId) []*resource.Resource {
	var found []*resource.Resource
	for _, r := range p.called(id) {
		if p.has(r) && id.Equals(r.CurId()) && !slices.Contains(found, r) {
			found = append(found, r)
		}
	}
	return found
}

// known are the resources that have an id or had it.
func (p *pile) known(id resid.ResId) []*resource.Resource {
	var found []*resource.Resource
	for _, r := range p.called(id) {
		if p.has(r) && slices.ContainsFunc(append(r.PrevIds(), r.CurId()), id.Equals) &&
			!slices.Contains(found, r) {
			found = append(found, r)
		}
	}
	return found
}

// one is the only resource that has an id or had it.
func (p *pile) one(id resid.ResId) (*resource.Resource, error) {
	found := p.known(id)
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("%s is not among the resources", refOfID(id))
	case 1:
		p.lent = append(p.lent, found[0])
		return found[0], nil
	}
	return nil, fmt.Errorf("%s is more than one resource: %s and %s", refOfID(id), p.origins[found[0]],
		p.origins[found[1]])
}

func refOfID(id resid.ResId) object.Ref {
	return object.Ref{Group: id.Group, Kind: id.Kind, Namespace: id.Namespace, Name: id.Name}
}

// append adds a resource. No other may have its id.
func (p *pile) append(r *resource.Resource, at object.Origin) error {
	if found := p.current(r.CurId()); len(found) > 0 {
		return &object.DuplicateError{Ref: refOf(r), First: p.origins[found[0]], Second: at}
	}
	p.list = append(p.list, r)
	p.origins[r] = at
	p.note(r)
	return nil
}

// unique says whether each id is there once.
func (p *pile) unique() error {
	seen := make(map[string]*resource.Resource, len(p.list))
	for _, r := range p.list {
		id := r.CurId()
		key := fmt.Sprint(nameOf(id), id.Group, id.Version)
		if first := seen[key]; first != nil {
			return &object.DuplicateError{Ref: refOf(r), First: p.origins[first], Second: p.origins[r]}
		}
		seen[key] = r
	}
	return nil
}

// absorb takes in what a generator made, which may be meant for a resource that is there.
func (p *pile) absorb(r *resource.Resource, at object.Origin) error {
	id := r.CurId()
	found := p.known(id)
	if len(found) > 1 {
		return fmt.Errorf("%s could go into %s and %s", refOf(r), p.origins[found[0]], p.origins[found[1]])
	}
	if len(found) == 0 {
		if b := r.Behavior(); b == types.BehaviorMerge || b == types.BehaviorReplace {
			return fmt.Errorf("%s does not exist: behavior %s needs it", refOf(r), b)
		}
		return p.append(r, at)
	}
	old := found[0]
	switch r.Behavior() {
	case types.BehaviorReplace:
		if err := r.CopyMergeMetaDataFieldsFrom(old); err != nil {
			return err
		}
	case types.BehaviorMerge:
		at = p.origins[old]
		if err := mergeGenerated(r, old); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%s exists: behavior must be merge or replace", refOf(r))
	}
	if !old.CurId().Equals(r.CurId()) {
		return fmt.Errorf("%s would replace %s", refOf(r), refOf(old))
	}
	p.list[slices.Index(p.list, old)] = r
	delete(p.origins, old)
	p.origins[r] = at
	p.note(r)
	return nil
}

// mergeGenerated puts what a generator made over what was there.
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

// encodedSecret is a copy of a Secret with its stringData in its data, as the API server does it.
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

// merge takes in all of another pile.
func (p *pile) merge(o *pile) error {
	for _, r := range o.list {
		if err := p.append(r, o.origins[r]); err != nil {
			return err
		}
	}
	var err error
	if p.specs, err = p.specs.merge(o.specs); err != nil {
		return err
	}
	return p.vars.MergeSet(o.vars)
}

// dropEmpty drops what patches have deleted.
func (p *pile) dropEmpty() {
	p.list = slices.DeleteFunc(p.list, func(r *resource.Resource) bool { return r.IsNilOrEmpty() })
}

// Resources, Select and ApplyFilter are what the library's transformers need.

// Resources lists the resources.
func (p *pile) Resources() []*resource.Resource { return slices.Clone(p.list) }

// Select lists what a selector selects.
func (p *pile) Select(s types.Selector) ([]*resource.Resource, error) {
	pattern, err := types.NewSelectorRegex(&s)
	if err != nil {
		return nil, err
	}
	var found []*resource.Resource
	for _, r := range p.list {
		cur := r.CurId()
		if !pattern.MatchGvk(cur.Gvk) {
			continue
		}
		org := r.OrgId()
		if !pattern.MatchNamespace(org.EffectiveNamespace()) && !pattern.MatchNamespace(cur.EffectiveNamespace()) ||
			!pattern.MatchName(org.Name) && !pattern.MatchName(cur.Name) {
			continue
		}
		for _, matches := range []func() (bool, error){
			func() (bool, error) { return r.MatchesLabelSelector(s.LabelSelector) },
			func() (bool, error) { return r.MatchesAnnotationSelector(s.AnnotationSelector) },
		} {
			ok, err := matches()
			if err != nil {
				return nil, err
			}
			if !ok {
				r = nil
				break
			}
		}
		if r != nil {
			found = append(found, r)
		}
	}
	p.lent = append(p.lent, found...)
	return found, nil
}

// ApplyFilter runs one of the library's filters over all resources, which it may change in place.
func (p *pile) ApplyFilter(f kio.Filter) error {
	nodes := make([]*kyaml.RNode, len(p.list))
	for i, r := range p.list {
		nodes[i] = &r.RNode
	}
	p.index = nil
	_, err := f.Filter(nodes)
	return err
}
