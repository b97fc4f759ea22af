package plan

import (
	"fmt"
	"slices"

	"slipway/internal/object"
)

const (
	admissionGroup = "admissionregistration.k8s.io"
	rbacGroup      = "rbac.authorization.k8s.io"
)

// servedBy says that an object makes the API server call a Service of the set: a webhook or an APIService.
// Until the pods of the Service are ready the API server would refuse objects because of it.
func servedBy(o object.Object, set object.Set) bool {
	return slices.ContainsFunc(services(o), func(ref object.Ref) bool {
		_, ok := set.Get(ref)
		return ok
	})
}

// services returns the Services that the API server calls because of an object.
func services(o object.Object) []object.Ref {
	var clients []any
	switch r := o.Ref(); {
	case r.Group == admissionGroup:
		for _, hook := range object.Mappings(o.At("webhooks")) {
			clients = append(clients, (object.Object{Body: hook}).At("clientConfig", "service"))
		}
	case r.Kind == "APIService":
		clients = append(clients, o.At("spec", "service"))
	}
	var refs []object.Ref
	for _, c := range clients {
		if s := object.Mapping(c); s != nil {
			namespace, _ := s["namespace"].(string)
			name, _ := s["name"].(string)
			refs = append(refs, object.Ref{Kind: "Service", Namespace: namespace, Name: name})
		}
	}
	return refs
}

// addOperators adds that the custom resources of the set come after the workloads that run their operator,
// where the set has both, and nothing else is said about the order of either.
func addOperators(after, behind graph, set object.Set, parts []part) {
	kinds := definedKinds(set)
	if len(kinds) == 0 {
		return
	}
	accounts := operatorAccounts(set)
	for _, operator := range parts {
		spec, _, ok := operator.PodSpec()
		if !ok || operator.ref.RunsOnce() || operator.isOrdered() {
			continue
		}
		account, _ := spec["serviceAccountName"].(string)
		groups := accounts[object.Ref{Kind: "ServiceAccount", Namespace: operator.ref.Namespace, Name: account}]
		for _, custom := range parts {
			kind := custom.ref.Group + "/" + custom.ref.Kind
			controls := slices.Contains(groups, custom.ref.Group) || slices.Contains(groups, "*")
			if kinds[kind] && controls && !custom.isOrdered() {
				after.add(operator.ref, custom.ref)
				behind.add(custom.ref, operator.ref)
			}
		}
	}
}

// definedKinds returns the kinds, "group/kind", that the definitions of a set define.
func definedKinds(set object.Set) map[string]bool {
	kinds := map[string]bool{}
	for _, o := range set.Objects() {
		if o.Ref().Kind == "CustomResourceDefinition" {
			kinds[fmt.Sprintf("%v/%v", o.At("spec", "group"), o.At("spec", "names", "kind"))] = true
		}
	}
	return kinds
}

// operatorAccounts returns the API groups whose resources a ServiceAccount of the set controls: it may watch
// them and write their status.
func operatorAccounts(set object.Set) map[object.Ref][]string {
	groups := map[object.Ref][]string{} // by role
	for _, o := range set.Objects() {
		if r := o.Ref(); r.Group == rbacGroup && (r.Kind == "ClusterRole" || r.Kind == "Role") {
			groups[r] = controlledGroups(o)
		}
	}
	accounts := map[object.Ref][]string{}
	for _, o := range set.Objects() {
		r := o.Ref()
		if r.Group != rbacGroup || r.Kind != "ClusterRoleBinding" && r.Kind != "RoleBinding" {
			continue
		}
		kind, _ := o.At("roleRef", "kind").(string)
		name, _ := o.At("roleRef", "name").(string)
		role := object.Ref{Group: rbacGroup, Kind: kind, Name: name}
		if kind == "Role" {
			role.Namespace = r.Namespace
		}
		for _, subject := range object.Mappings(o.At("subjects")) {
			namespace, _ := subject["namespace"].(string)
			name, _ := subject["name"].(string)
			if namespace == "" {
				namespace = r.Namespace
			}
			account := object.Ref{Kind: "ServiceAccount", Namespace: namespace, Name: name}
			accounts[account] = append(accounts[account], groups[role]...)
		}
	}
	return accounts
}

// controlledGroups returns the API groups that a role may watch, and write the status of.
func controlledGroups(role object.Object) []string {
	var watched, written []string
	for _, rule := range object.Mappings(role.At("rules")) {
		verbs, resources := texts(rule["verbs"]), texts(rule["resources"])
		groups := texts(rule["apiGroups"])
		all := slices.Contains(verbs, "*")
		if all || slices.Contains(verbs, "watch") {
			watched = append(watched, groups...)
		}
		if !all && !slices.Contains(verbs, "update") && !slices.Contains(verbs, "patch") {
			continue
		}
		if slices.ContainsFunc(resources, func(r string) bool {
			return r == "*" || len(r) > 7 && r[len(r)-7:] == "/status"
		}) {
			written = append(written, groups...)
		}
	}
	return slices.DeleteFunc(watched, func(g string) bool { return !slices.Contains(written, g) })
}

func texts(v any) []string {
	list, _ := v.([]any)
	var out []string
	for _, e := range list {
		if s, ok := e.(string); ok {
			out = append(out, s)
		}
	}
	return out
}
