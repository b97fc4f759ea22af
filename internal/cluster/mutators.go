package cluster

import (
	"context"
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
// The server does not say which one did. It names none where the user may not list them.
func nameMutators(ctx context.Context, c *Cluster, observed []plan.Observed) {
	changed := func(o plan.Observed) bool {
		return o.Err == nil && o.Unverified == "" && !o.Settled && o.Desired.Body != nil &&
			slices.ContainsFunc(object.Lost(o.Desired, o.Merged), plan.IsChanged)
	}
	if !slices.ContainsFunc(observed, changed) {
		return
	}
	var all []mutator
	for _, kind := range []string{"MutatingWebhookConfiguration", "MutatingAdmissionPolicy"} {
		list, err := List(ctx, c, object.Ref{Group: admissionGroup, Kind: kind})
		if err != nil {
			continue // the values alone are said
		}
		for _, l := range list {
			all = append(all, mutatorsOf(l.Object)...)
		}
	}
	if len(all) == 0 {
		return
	}
	namespaces := map[string]labels.Set{}
	for i, o := range observed {
		if !changed(o) {
			continue
		}
		ns := o.Ref.Namespace
		if _, known := namespaces[ns]; !known && ns != "" {
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
	name string // "webhook sidecar.example.com"
	rule map[string]any
	list string // the field with the rules
}

func mutatorsOf(o object.Object) []mutator {
	if o.Ref().Kind == "MutatingAdmissionPolicy" {
		rule, _ := o.At("spec", "matchConstraints").(map[string]any)
		return []mutator{{"policy " + o.Ref().Name, rule, "resourceRules"}}
	}
	var all []mutator
	for _, hook := range object.Mappings(o.At("webhooks")) {
		name, _ := hook["name"].(string)
		all = append(all, mutator{"webhook " + name, hook, "rules"})
	}
	return all
}

// fits says that the mutator is asked about an object. It does not know the conditions that are written in
// CEL.
func (m mutator) fits(ctx context.Context, c *Cluster, o plan.Observed, namespace labels.Set) bool {
	mapping, err := c.mapping(ctx, o.Ref, version(o.Desired))
	if err != nil {
		return false
	}
	operation := "UPDATE"
	if o.Live.Body == nil {
		operation = "CREATE"
	}
	has := func(rule map[string]any, key, value string) bool {
		list, _ := rule[key].([]any)
		return slices.ContainsFunc(list, func(v any) bool {
			text, _ := v.(string)
			return text == value || strings.Trim(text, "*/") == "" && text != ""
		})
	}
	asks := slices.ContainsFunc(object.Mappings(m.rule[m.list]), func(rule map[string]any) bool {
		return has(rule, "apiGroups", o.Ref.Group) && has(rule, "resources", mapping.Resource.Resource) &&
			has(rule, "operations", operation)
	})
	return asks && selects(m.rule["objectSelector"], labelsOf(o.Desired)) &&
		(namespace == nil || selects(m.rule["namespaceSelector"], namespace))
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
