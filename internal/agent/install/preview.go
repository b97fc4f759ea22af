package install

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render"
)

// addPreviews adds what the previews of a configuration need. RBAC cannot name namespaces that do not exist
// yet, so the agent may create and delete any, and binds itself the permissions in those that it has created.
// A ValidatingAdmissionPolicy limits both to the namespaces of previews.
func (r *rules) addPreviews(
	ctx context.Context, p project.Project, renderer *render.Renderer, own written,
) error {
	for _, entry := range own.Repositories {
		if entry.Previews == nil {
			continue
		}
		isHere := slices.ContainsFunc(r.options.Environments, func(name string) bool {
			_, ok := entry.Environments[name]
			return ok
		})
		if !isHere {
			r.note("the previews of " + entry.URL + " get no permissions here: install with an environment of it")
			continue
		}
		env, err := p.Environment(entry.Previews.Environment)
		if err != nil {
			return fmt.Errorf("previews of --config: %w", err)
		}
		env.Namespace = entry.Previews.Namespace + "0"
		result, err := renderer.Render(ctx, env)
		if err != nil {
			return err
		}
		in := newRules(r.options)
		in.add(env.Namespace, result.Set)
		r.preview = append(r.preview, in.in[env.Namespace]...)
		r.prefixes = append(r.prefixes, entry.Previews.Namespace)
	}
	if len(r.prefixes) == 0 {
		return nil
	}
	r.preview = append(r.preview, rule{"", "resourcequotas", nil, []string{"create", "get", "patch"}})
	r.in[""] = append(r.in[""],
		rule{"", "namespaces", nil, []string{"create", "delete", "get", "list", "patch"}},
		rule{rbacGroup, "rolebindings", nil, []string{"create", "patch"}},
		rule{rbacGroup, "clusterroles", []string{r.previewRole()}, []string{"bind"}})
	r.note(fmt.Sprintf("the agent needs ClusterRole %s for previews: RBAC lets it create and delete every "+
		"namespace; ValidatingAdmissionPolicy %s (Kubernetes 1.30) limits that to %s. It may read the labels and "+
		"annotations of all namespaces", r.clusterName(), r.previewRole(), r.previewNames()))
	return nil
}

// previewRole is the name of the ClusterRole that the agent binds in the namespace of a preview.
func (r *rules) previewRole() string { return r.clusterName() + "-preview" }

// previewNames are the namespaces of previews, for people.
func (r *rules) previewNames() string { return strings.Join(r.prefixes, "NUMBER, ") + "NUMBER" }

// previewObjects are the ClusterRole of previews, which is bound nowhere yet, and the policy that keeps the
// agent to their namespaces. Namespaces of the environments' own manifests stay allowed.
func (r *rules) previewObjects() []object.Object {
	name := r.previewRole()
	role := map[string]any{
		"apiVersion": rbacGroup + "/v1", "kind": "ClusterRole", "metadata": map[string]any{"name": name},
		"rules": compact(r.preview),
	}
	var names []string
	for _, one := range r.in[""] {
		if one.group == "" && one.resource == "namespaces" {
			names = append(names, one.names...)
		}
	}
	for _, prefix := range r.prefixes {
		names = append(names, prefix+"[0-9]+")
	}
	pattern := fmt.Sprintf("matches('^(%s)$')", strings.Join(names, "|"))
	user := fmt.Sprintf("request.userInfo.username == 'system:serviceaccount:%s:%s'", r.options.Namespace,
		r.options.Name)
	const admission = "admissionregistration.k8s.io/v1"
	on := func(group, resource string, operations ...any) map[string]any {
		return map[string]any{
			"apiGroups": []any{group}, "apiVersions": []any{"v1"}, "operations": operations,
			"resources": []any{resource},
		}
	}
	policy := map[string]any{
		"apiVersion": admission, "kind": "ValidatingAdmissionPolicy", "metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"failurePolicy": "Fail",
			"matchConstraints": map[string]any{"resourceRules": []any{
				on("", "namespaces", "CREATE", "UPDATE", "DELETE"), on(rbacGroup, "rolebindings", "CREATE", "UPDATE"),
			}},
			"matchConditions": []any{map[string]any{"name": "agent", "expression": user}},
			"validations": []any{map[string]any{
				"expression": fmt.Sprintf("request.resource.resource == 'namespaces' ? request.name.%s : "+
					"object.roleRef.name != '%s' || request.namespace.%s", pattern, name, pattern),
				"message": "the Slipway agent may do this in the namespaces of previews alone: " + r.previewNames(),
			}},
		},
	}
	binding := map[string]any{
		"apiVersion": admission, "kind": "ValidatingAdmissionPolicyBinding",
		"metadata": map[string]any{"name": name},
		"spec":     map[string]any{"policyName": name, "validationActions": []any{"Deny"}},
	}
	return []object.Object{{Body: role}, {Body: policy}, {Body: binding}}
}
