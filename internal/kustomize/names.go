package kustomize

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/filters/nameref"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"
	"sigs.k8s.io/kustomize/kyaml/utils"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// names finds out which resources a name may mean.
type names struct {
	before map[string]map[string][]*resource.Resource // by previous name and present namespace
	was    map[string]map[string]bool                 // the first namespaces of what is in a namespace now
}

// referrer is a field that may hold the name of a kind of object.
type referrer struct {
	field  types.FieldSpec
	path   []string
	target resid.Gvk
}

// fixNames lets fields that name an object name it as it is called now. The library looks through all
// objects for each such field; here it only gets to see those that were once called what the field says.
func (p *pile) fixNames(refs references) error {
	n := names{map[string]map[string][]*resource.Resource{}, map[string]map[string]bool{}}
	for _, r := range p.list {
		n.add(r)
	}
	known := map[resid.Gvk][]referrer{}
	for _, r := range p.list {
		gvk := r.OrgId().Gvk
		fields, ok := known[gvk]
		if !ok {
			fields = referrers(refs, gvk)
			known[gvk] = fields
		}
		if err := n.fix(p, r, fields); err != nil {
			return err
		}
	}
	return nil
}

func referrers(refs references, gvk resid.Gvk) []referrer {
	var fields []referrer
	for _, ref := range refs {
		for _, fs := range ref.Referrers {
			if gvk.IsSelected(&fs.Gvk) {
				fields = append(fields, referrer{fs, utils.PathSplitter(fs.Path, "/"), ref.Gvk})
			}
		}
	}
	return fields
}

func (n *names) add(r *resource.Resource) {
	here := r.CurId().EffectiveNamespace()
	ids := r.PrevIds()
	for i, id := range ids {
		if slices.ContainsFunc(ids[:i], func(o resid.ResId) bool { return o.Name == id.Name }) {
			continue
		}
		if n.before[id.Name] == nil {
			n.before[id.Name] = map[string][]*resource.Resource{}
		}
		n.before[id.Name][here] = append(n.before[id.Name][here], r)
	}
	if n.was[here] == nil {
		n.was[here] = map[string]bool{}
	}
	if was := r.OrgId().EffectiveNamespace(); was != resid.TotallyNotANamespace {
		n.was[here][was] = true
	}
}

// fix looks at the fields of one resource.
func (n *names) fix(p *pile, r *resource.Resource, fields []referrer) error {
	id := r.CurId()
	accounts, err := accountNamespaces(r)
	if err != nil {
		return p.about(r)(err)
	}
	for _, f := range fields {
		var named []string
		plain := reach(r.YNode(), f.path, func(v *yaml.Node) bool { return n.collect(v, &named) })
		if plain && len(named) == 0 {
			continue
		}
		if !plain {
			named = sortedKeys(n.before)
		}
		c := &candidates{was: map[string]bool{}}
		for _, name := range named {
			n.gather(c, name, id, accounts)
		}
		n.namespaces(c, id, accounts)
		err := p.apply(r, nameref.Filter{Referrer: r, NameFieldToUpdate: f.field, ReferralTarget: f.target, ReferralCandidates: c})
		if err != nil {
			return err
		}
		for _, found := range c.list { // the filter notes at it who refers to it, which nobody asks for
			if err := found.PipeE(kyaml.ClearAnnotation(konfig.ConfigAnnoDomain + "/refBy")); err != nil {
				return err
			}
		}
	}
	return nil
}

// collect takes the names out of a field, as far as anything was called so before. It says whether the
// field has a form that the library takes.
func (n *names) collect(v *yaml.Node, named *[]string) bool {
	switch {
	case v == nil || v.Tag == kyaml.NodeTagNull:
	case v.Kind == yaml.ScalarNode:
		if n.before[v.Value] != nil && !slices.Contains(*named, v.Value) {
			*named = append(*named, v.Value)
		}
	case v.Kind == yaml.MappingNode:
		name := mapped(v, "name")
		return name != nil && n.collect(&yaml.Node{Kind: yaml.ScalarNode, Value: name.Value}, named)
	case v.Kind == yaml.SequenceNode:
		for _, c := range v.Content {
			if c.Kind == yaml.SequenceNode || !n.collect(c, named) {
				return false
			}
		}
	default:
		return false
	}
	return true
}

// gather adds what once had a name and may be meant by a resource.
func (n *names) gather(c *candidates, name string, by resid.ResId, accounts map[string]bool) {
	for _, here := range sortedKeys(n.before[name]) {
		near := by.IsClusterScoped() || here == resid.TotallyNotANamespace || here == by.EffectiveNamespace()
		for _, r := range n.before[name][here] {
			if (near || accounts[r.GetNamespace()]) && !slices.Contains(c.list, r) {
				c.list = append(c.list, r)
			}
		}
	}
}

func (n *names) namespaces(c *candidates, by resid.ResId, accounts map[string]bool) {
	for here, was := range n.was {
		if !by.IsClusterScoped() && here != resid.TotallyNotANamespace && here != by.EffectiveNamespace() && !accounts[here] {
			continue
		}
		for ns := range was {
			c.was[ns] = true
		}
	}
}

// candidates are what a name may mean, as much of a resmap.ResMap as the library's filter asks for.
type candidates struct {
	resmap.ResMap
	list []*resource.Resource
	was  map[string]bool // the first namespaces of everything that could be meant, whatever its name
}

func (c *candidates) Resources() []*resource.Resource { return c.list }

func (c *candidates) GroupedByOriginalNamespace() map[string][]*resource.Resource {
	groups := group(c.list, (*resource.Resource).OrgId)
	for ns := range c.was {
		groups[ns] = append([]*resource.Resource{}, groups[ns]...)
	}
	return groups
}

func (c *candidates) GroupedByCurrentNamespace() map[string][]*resource.Resource {
	return group(c.list, (*resource.Resource).CurId)
}

func group(list []*resource.Resource, id func(*resource.Resource) resid.ResId) map[string][]*resource.Resource {
	groups := map[string][]*resource.Resource{}
	for _, r := range list {
		if ns := id(r).EffectiveNamespace(); ns != resid.TotallyNotANamespace {
			groups[ns] = append(groups[ns], r)
		}
	}
	return groups
}

// accountNamespaces are the namespaces that a RoleBinding takes ServiceAccounts from.
func accountNamespaces(r *resource.Resource) (map[string]bool, error) {
	if r.GetKind() != "RoleBinding" || r.CurId().IsClusterScoped() {
		return nil, nil
	}
	subjects := mapped(r.YNode(), "subjects")
	if subjects == nil || subjects.Kind != yaml.SequenceNode {
		return nil, nil
	}
	accounts := map[string]bool{}
	for _, s := range subjects.Content {
		kind, ns := mapped(s, "kind"), mapped(s, "namespace")
		if ns == nil || kind == nil || kind.Value != "ServiceAccount" {
			continue
		}
		if ns.ShortTag() != "!!str" {
			return nil, fmt.Errorf("the namespace of a subject is blank")
		}
		accounts[ns.Value] = true
	}
	return accounts, nil
}
