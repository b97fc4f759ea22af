package rule

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"slipway/internal/check/finding"
	"slipway/internal/object"
	"slipway/internal/project"
)

// Policies returns the rules for a class as policies for a namespace, each with its binding. The API server
// then refuses what breaks a rule of severity error, and warns for the others. Rules named in without are
// left out.
func (s *Set) Policies(namespace string, class project.Class, without ...string) []object.Object {
	var out []object.Object
	for _, r := range s.rules {
		if !r.described && r.rule().Holds(class) && !slices.Contains(without, r.ID) {
			out = append(out, r.policy(namespace), r.binding(namespace))
		}
	}
	return out
}

const admission = "admissionregistration.k8s.io/v1"

func (r *rule) policyName(namespace string) string { return "slipway-" + namespace + "-" + r.ID }

func (r *rule) object(kind, namespace string, spec map[string]any) object.Object {
	return object.Object{Body: map[string]any{
		"apiVersion": admission, "kind": kind,
		"metadata": map[string]any{"name": r.policyName(namespace),
			"labels": map[string]any{"app.kubernetes.io/managed-by": "slipway"}},
		"spec": spec,
	}}
}

func (r *rule) policy(namespace string) object.Object {
	validation := map[string]any{
		"expression": strings.TrimSpace(r.all()),
		"message":    oneLine(r.Title) + r.hint(),
	}
	if r.Message != "" {
		validation["message"] = oneLine(r.Message) + r.hint()
	}
	if r.MessageExpression != "" {
		validation["messageExpression"] = fmt.Sprintf("%s + %q", r.messages(), r.hint())
	}
	spec := map[string]any{
		"failurePolicy":    "Fail",
		"matchConstraints": map[string]any{"resourceRules": r.resources()},
		"matchConditions":  conditions,
		"validations":      []any{validation},
	}
	if v := r.variables(); len(v) > 0 {
		spec["variables"] = v
	}
	return r.object("ValidatingAdmissionPolicy", namespace, spec)
}

func (r *rule) hint() string { return " (slipway check --explain " + r.ID + ")" }

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// conditions exempt objects from policies. The workload of a controller's pods was checked already, and
// running pods must go on; a deletion must not be refused.
var conditions = []any{
	map[string]any{"name": "not-made-by-a-controller",
		"expression": `!object.metadata.?ownerReferences.orValue([]).exists(o, o.?controller.orValue(false) == true)`},
	map[string]any{"name": "not-being-deleted", "expression": `!has(object.metadata.deletionTimestamp)`},
}

func (r *rule) binding(namespace string) object.Object {
	action := "Warn"
	if r.Severity == finding.Error {
		action = "Deny"
	}
	return r.object("ValidatingAdmissionPolicyBinding", namespace, map[string]any{
		"policyName":        r.policyName(namespace),
		"validationActions": []any{action},
		"matchResources": map[string]any{"namespaceSelector": map[string]any{
			"matchLabels": map[string]any{"kubernetes.io/metadata.name": namespace},
		}},
	})
}

// resources returns the rule's kinds as API resources.
func (r *rule) resources() []any {
	byGroup := map[string][]any{}
	var groups []string
	for _, k := range r.Kinds {
		kind, group, _ := strings.Cut(k, ".")
		plural, _ := meta.UnsafeGuessKindToResource(schema.GroupVersionKind{Group: group, Kind: kind})
		if byGroup[group] == nil {
			groups = append(groups, group)
		}
		byGroup[group] = append(byGroup[group], plural.Resource)
	}
	var out []any
	for _, g := range groups {
		out = append(out, map[string]any{
			"apiGroups": []any{g}, "apiVersions": []any{"*"},
			"operations": []any{"CREATE", "UPDATE"}, "resources": byGroup[g],
		})
	}
	return out
}

// all returns the expression over all elements of the lists.
func (r *rule) all() string {
	text := r.Expression
	for i := len(r.Each) - 1; i >= 0; i-- {
		text = fmt.Sprintf("(%s).all(item, %s)", r.Each[i], strings.TrimSpace(text))
	}
	return text
}

// messages returns an expression that joins the messages of all elements at fault.
func (r *rule) messages() string {
	if len(r.Each) == 0 {
		return "(" + r.MessageExpression + ")"
	}
	last := len(r.Each) - 1
	text := fmt.Sprintf(`(%s).filter(item, !(%s)).map(item, %s).join("; ")`, r.Each[last],
		strings.TrimSpace(r.Expression), r.MessageExpression)
	for i := last - 1; i >= 0; i-- {
		text = fmt.Sprintf(`(%s).map(item, %s).filter(text, text != "").join("; ")`, r.Each[i], text)
	}
	return text
}

// variables returns those that the rule's expressions use, directly or through others.
func (r *rule) variables() []any {
	text := strings.Join(r.Each, " ") + r.Expression + r.MessageExpression
	var out []any
	for i := len(variables) - 1; i >= 0; i-- {
		v := variables[i]
		if strings.Contains(text, "variables."+v[0]) {
			text += v[1]
			out = append([]any{map[string]any{"name": v[0], "expression": v[1]}}, out...)
		}
	}
	return out
}
