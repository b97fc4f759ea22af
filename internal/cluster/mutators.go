package cluster

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"slipway/internal/object"
	"slipway/internal/plan"
)

const admissionGroup = "admissionregistration.k8s.io"

// nameMutators names the webhooks and policies that may have changed what is lost of the observed objects.
// The server does not say which one did. Where the user may not list them, it says that instead.
func nameMutators(ctx context.Context, c *Cluster, observed []plan.Observed) {
	changed := func(o plan.Observed) bool {
		return o.Err == nil && o.Unverified == "" && !o.Settled && o.Desired.Body != nil &&
			slices.ContainsFunc(object.Lost(o.Desired, o.Merged), plan.IsChanged)
	}
	if !slices.ContainsFunc(observed, changed) {
		return
	}
	all, err := listMutators(ctx, c)
	namespaces := map[string]labels.Set{}
	for i, o := range observed {
		if !changed(o) {
			continue
		}
		if err != nil {
			observed[i].Unlisted = err.Error()
		}
		ns := o.Ref.Namespace
		if _, known := namespaces[ns]; !known && ns != "" && len(all) > 0 {
			live, _, _ := c.get(ctx, object.Ref{Kind: "Namespace", Name: ns}, "") // without it any namespace fits
			namespaces[ns] = labelsOf(live)
		}
		for _, m := range all {
			if m.fits(ctx, c, o, namespaces[ns]) && !slices.Contains(observed[i].Mutators, m.name) {
				observed[i].Mutators = append(observed[i].Mutators, m.name)
			}
		}
	}
}

// mutator is a webhook or a policy that changes objects, with the body of what says which ones.
type mutator struct {
	name          string // "webhook sidecar.example.com"
	rule          map[string]any
	list, exclude string // the fields with the rules
}

// listMutators also returns those that it could list when it fails.
func listMutators(ctx context.Context, c *Cluster) ([]mutator, error) {
	bound, err := listAdmission(ctx, c, "MutatingAdmissionPolicyBinding")
	policies, policiesErr := listAdmission(ctx, c, "MutatingAdmissionPolicy")
	hooks, hooksErr := listAdmission(ctx, c, "MutatingWebhookConfiguration")
	var all []mutator
	for _, policy := range policies {
		inForce := func(b Live) bool { return b.Object.At("spec", "policyName") == policy.Object.Ref().Name }
		if err == nil && !slices.ContainsFunc(bound, inForce) {
			continue
		}
		rule, _ := policy.Object.At("spec", "matchConstraints").(map[string]any)
		name := "policy " + policy.Object.Ref().Name + conditional(policy.Object.At("spec", "matchConditions"))
		all = append(all, mutator{name, rule, "resourceRules", "excludeResourceRules"})
	}
	for _, l := range hooks {
		for _, hook := range object.Mappings(l.Object.At("webhooks")) {
			name, _ := hook["name"].(string)
			name += conditional(hook["matchConditions"])
			all = append(all, mutator{"webhook " + name, hook, "rules", ""})
		}
	}
	return all, cmp.Or(hooksErr, policiesErr, err)
}

// conditional says that a mutator has conditions in CEL. They are not evaluated: they may ask about the user,
// the request and what an authorizer of the server decides.
func conditional(conditions any) string {
	if len(object.Mappings(conditions)) == 0 {
		return ""
	}
	return " (where its matchConditions hold)"
}

// listAdmission lists the objects of a kind; none where the server does not have it.
func listAdmission(ctx context.Context, c *Cluster, kind string) ([]Live, error) {
	list, err := List(ctx, c, object.Ref{Group: admissionGroup, Kind: kind}, nil)
	if _, unknown := errors.AsType[*UnknownKindError](err); unknown {
		return nil, nil
	}
	return list, err
}

// fits says that the mutator is asked about an object, where its conditions hold.
func (m mutator) fits(ctx context.Context, c *Cluster, o plan.Observed, namespace labels.Set) bool {
	mapping, err := c.mapping(ctx, o.Ref, version(o.Desired))
	if err != nil {
		return false
	}
	names := func(rule map[string]any) bool {
		return listed(rule, "apiGroups", o.Ref.Group) && listed(rule, "resources", mapping.Resource.Resource) &&
			(m.rule["matchPolicy"] != "Exact" || listed(rule, "apiVersions", mapping.Resource.Version)) &&
			listed(rule, "operations", admissionOf(o)) && inScope(rule, o.Ref)
	}
	return slices.ContainsFunc(object.Mappings(m.rule[m.list]), names) &&
		!slices.ContainsFunc(object.Mappings(m.rule[m.exclude]), names) &&
		selects(m.rule["objectSelector"], labelsOf(o.Desired)) &&
		(namespace == nil || selects(m.rule["namespaceSelector"], namespace))
}

// admissionOf is the operation that webhooks are asked about.
func admissionOf(o plan.Observed) string {
	if o.Live.Body == nil {
		return "CREATE"
	}
	return "UPDATE"
}

// listed says that a list of a rule has a value, or takes all: as "*", or "*/*" for resources.
func listed(rule map[string]any, key, value string) bool {
	list, _ := rule[key].([]any)
	return slices.ContainsFunc(list, func(v any) bool {
		text, _ := v.(string)
		return text == value || strings.Trim(text, "*/") == "" && text != ""
	})
}

// inScope says that a rule is for namespaced or cluster-wide objects like this one.
func inScope(rule map[string]any, ref object.Ref) bool {
	switch rule["scope"] {
	case "Namespaced":
		return ref.Namespace != ""
	case "Cluster":
		return ref.Namespace == ""
	}
	return true
}

// selects says that a label selector selects; one that cannot be read selects everything.
func selects(selector any, set labels.Set) bool {
	body, ok := selector.(map[string]any)
	if !ok {
		return true
	}
	var s metav1.LabelSelector
	if runtime.DefaultUnstructuredConverter.FromUnstructured(body, &s) != nil {
		return true
	}
	parsed, err := metav1.LabelSelectorAsSelector(&s)
	return err != nil || parsed.Matches(set)
}

// labelsOf returns the labels of an object; nil without an object.
func labelsOf(o object.Object) labels.Set {
	if o.Body == nil {
		return nil
	}
	set := labels.Set{}
	marks, _ := o.At("metadata", "labels").(map[string]any)
	for k, v := range marks {
		set[k], _ = v.(string)
	}
	return set
}
