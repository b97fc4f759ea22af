package kustomize

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/resid"
	"sigs.k8s.io/kustomize/kyaml/utils"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// names finds the resources that a name may refer to. The library searches all resources for each field.
type names struct {
	*resources
	before map[string]map[string][]*called // by previous name and present namespace
	was    map[string]map[string]bool      // the first namespaces of what is in a namespace now
	known  map[resid.Gvk][]referrer
}

// called is a resource with its present and previous ids.
type called struct {
	*resource.Resource
	id       resid.ResId
	previous []resid.ResId
}

// referrer is a field that may hold the name of a kind of object.
type referrer struct {
	field  string
	path   []string
	target resid.Gvk
}

// fixNames lets fields that name an object name it as it is called now.
func fixNames(m *resources, refs references) error {
	n := names{m, map[string]map[string][]*called{}, map[string]map[string]bool{}, map[resid.Gvk][]referrer{}}
	all := make([]*called, len(m.list))
	for i, r := range m.list {
		all[i] = &called{r, r.CurId(), r.PrevIds()}
		n.add(all[i])
	}
	for _, c := range all {
		accounts, err := accountNamespaces(c)
		if err != nil {
			return about(m, c.Resource)(err)
		}
		for _, f := range n.referrers(refs, c.first().Gvk) {
			s := search{names: &n, by: c, field: f, accounts: accounts}
			if ok := reach(c.YNode(), f.path, s.fix); !ok {
				if s.err == nil {
					s.err = errors.New("cannot hold a name")
				}
				return about(m, c.Resource)(fmt.Errorf("%s: %w", f.field, s.err))
			}
		}
	}
	return nil
}

// first is the id that a resource began with.
func (c *called) first() resid.ResId {
	if len(c.previous) > 0 {
		return c.previous[0]
	}
	return c.id
}

// wasOf reports whether a resource had a kind.
func (c *called) wasOf(kind resid.Gvk) bool {
	return slices.ContainsFunc(c.previous, func(id resid.ResId) bool { return id.IsSelected(&kind) })
}

func (n *names) referrers(refs references, gvk resid.Gvk) []referrer {
	fields, ok := n.known[gvk]
	if ok {
		return fields
	}
	for _, ref := range refs {
		for _, fs := range ref.Referrers {
			if gvk.IsSelected(&fs.Gvk) {
				fields = append(fields, referrer{fs.Path, utils.PathSplitter(fs.Path, "/"), ref.Gvk})
			}
		}
	}
	n.known[gvk] = fields
	return fields
}

func (n *names) add(c *called) {
	present := c.id.EffectiveNamespace()
	for i, id := range c.previous {
		if slices.ContainsFunc(c.previous[:i], func(o resid.ResId) bool { return o.Name == id.Name }) {
			continue
		}
		if n.before[id.Name] == nil {
			n.before[id.Name] = map[string][]*called{}
		}
		n.before[id.Name][present] = append(n.before[id.Name][present], c)
	}
	if n.was[present] == nil {
		n.was[present] = map[string]bool{}
	}
	n.was[present][c.first().EffectiveNamespace()] = true
}

// search finds the object that one field of one resource refers to.
type search struct {
	*names
	by       *called
	field    referrer
	accounts map[string]bool // namespaces that a RoleBinding takes ServiceAccounts from
	err      error
}

// fix updates the name in a field, and reports whether the field can hold one.
func (s *search) fix(n *yaml.Node) bool {
	switch {
	case n.Tag == kyaml.NodeTagNull:
	case n.Kind == yaml.ScalarNode:
		if found := s.find(n.Value, nil, sameName); found != nil && found.id.Name != n.Value {
			*n = yaml.Node{Kind: yaml.ScalarNode, Value: found.id.Name, Style: n.Style}
		}
	case n.Kind == yaml.MappingNode:
		s.mapping(n)
	case n.Kind == yaml.SequenceNode:
		for _, c := range n.Content {
			if c.Kind == yaml.SequenceNode || !s.fix(c) {
				return false
			}
		}
	default:
		return false
	}
	return s.err == nil
}

// mapping updates a name that is beside its namespace.
func (s *search) mapping(n *yaml.Node) {
	name := mapped(n, "name")
	if name == nil {
		s.err = errors.New("name is missing")
		return
	}
	found := s.find(name.Value, mapped(n, "namespace"), func(a, b *called) bool {
		return sameName(a, b) && a.id.Namespace == b.id.Namespace
	})
	if found == nil || found.id.Name == name.Value && found.id.Namespace == "" {
		return
	}
	*name = yaml.Node{Kind: yaml.ScalarNode, Value: found.id.Name, Style: name.Style}
	if found.id.Namespace == "" {
		return // which is any namespace, not the default one
	}
	ns := mapped(n, "namespace")
	if ns == nil {
		ns = &yaml.Node{}
		n.Content = append(n.Content, key("namespace"), ns)
	}
	*ns = yaml.Node{Kind: yaml.ScalarNode, Tag: kyaml.NodeTagString, Value: found.id.Namespace, Style: ns.Style}
}

func sameName(a, b *called) bool { return a.id.Name == b.id.Name }

// find returns the resource that had the name in a field, and that the field can refer to.
func (s *search) find(old string, namespace *yaml.Node, same func(a, b *called) bool) *called {
	list := s.candidates(old, namespace)
	if len(list) == 1 {
		return list[0]
	}
	for _, strict := range []bool{false, true} {
		if !strict || len(list) > 1 {
			list = slices.DeleteFunc(list, func(c *called) bool { return !c.PrefixesSuffixesEquals(s.by, !strict) })
		}
	}
	if len(list) == 0 {
		return nil
	}
	for _, c := range list[1:] {
		if !same(list[0], c) {
			s.err = fmt.Errorf("%s is ambiguous: %s (%s) or %s (%s)", old, refOf(list[0].id),
				s.origins[list[0].Resource], refOf(c.id), s.origins[c.Resource])
			return nil
		}
	}
	return list[0]
}

func (s *search) candidates(old string, namespace *yaml.Node) []*called {
	byFirst := namespace != nil && s.wasSomewhere(namespace.Value)
	role, bound := s.role()
	var list []*called
	for present, all := range s.before[old] {
		for _, c := range all {
			if !s.sees(present) && !s.accounts[c.id.Namespace] || !c.wasOf(s.field.target) || bound &&
				!c.wasOf(role) || !s.near(c) {
				continue
			}
			if namespace != nil {
				if ns := c.id.EffectiveNamespace(); byFirst && c.first().EffectiveNamespace() != namespace.Value ||
					!byFirst && ns != namespace.Value {
					continue
				}
			}
			list = append(list, c)
		}
	}
	if len(list) > 1 {
		slices.SortFunc(list, func(a, b *called) int { return strings.Compare(a.id.String(), b.id.String()) })
	}
	return list
}

// sees reports whether the resource can refer to objects of a namespace.
func (s *search) sees(namespace string) bool {
	return s.by.id.IsClusterScoped() || namespace == resid.TotallyNotANamespace ||
		namespace == s.by.id.EffectiveNamespace()
}

// near reports whether the resource can refer to another one. Every namespace can refer to ServiceAccounts.
func (s *search) near(c *called) bool {
	return s.sees(c.id.EffectiveNamespace()) || c.id.Kind == "ServiceAccount"
}

// wasSomewhere reports whether an object that the resource can refer to began in a namespace.
func (s *search) wasSomewhere(namespace string) bool {
	if namespace == resid.TotallyNotANamespace {
		return false
	}
	if s.by.id.IsClusterScoped() {
		for _, was := range s.was {
			if was[namespace] {
				return true
			}
		}
	}
	for present := range s.accounts {
		if s.was[present][namespace] {
			return true
		}
	}
	return s.was[resid.TotallyNotANamespace][namespace] || s.was[s.by.id.EffectiveNamespace()][namespace]
}

// role returns the kind in a roleRef, where the field is its name.
func (s *search) role() (resid.Gvk, bool) {
	if !strings.HasSuffix(s.field.field, "roleRef/name") {
		return resid.Gvk{}, false
	}
	ref := mapped(s.by.YNode(), "roleRef")
	group, kind := mapped(ref, "apiGroup"), mapped(ref, "kind")
	if group == nil || kind == nil {
		return resid.Gvk{}, false
	}
	return resid.Gvk{Group: group.Value, Kind: kind.Value}, true
}

func accountNamespaces(c *called) (map[string]bool, error) {
	subjects := mapped(c.YNode(), "subjects")
	if c.id.Kind != "RoleBinding" || c.id.IsClusterScoped() || subjects == nil ||
		subjects.Kind != yaml.SequenceNode {
		return nil, nil
	}
	accounts := map[string]bool{}
	for _, s := range subjects.Content {
		kind, ns := mapped(s, "kind"), mapped(s, "namespace")
		if ns == nil || kind == nil || kind.Value != "ServiceAccount" {
			continue
		}
		if ns.ShortTag() != "!!str" {
			return nil, errors.New("a subject's namespace is empty")
		}
		accounts[ns.Value] = true
	}
	return accounts, nil
}
