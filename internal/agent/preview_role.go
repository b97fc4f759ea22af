package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/deploy"
	"slipway/internal/object"
)

const (
	rbacGroup   = "rbac.authorization.k8s.io"
	bindingName = "slipway-preview"
	// bindingTime is how long the API server may take until it has seen a new binding.
	bindingTime = 15 * time.Second
)

// bind gives the agent the permissions of Config.PreviewRole in the namespace of a preview: without it the
// agent would need them in all namespaces. It returns when the API server grants them.
func (p *previews) bind(ctx context.Context, namespace string) error {
	role := p.agent.config.PreviewRole
	if role == "" {
		return nil
	}
	c, err := deploy.ConnectLease(p.Context, namespace, p.agent.options.Connect)
	if err != nil {
		return err
	}
	user := cluster.Username(ctx, c)
	if user == "" {
		return fmt.Errorf("bind ClusterRole %s in %s: the API server does not say who this agent is", role,
			namespace)
	}
	err = c.Apply(ctx, object.Object{Body: map[string]any{
		"apiVersion": rbacGroup + "/v1", "kind": "RoleBinding",
		"metadata": map[string]any{"name": bindingName, "namespace": namespace},
		"roleRef":  map[string]any{"apiGroup": rbacGroup, "kind": "ClusterRole", "name": role},
		"subjects": []any{map[string]any{"apiGroup": rbacGroup, "kind": "User", "name": user}},
	}}, true)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, bindingTime)
	defer cancel()
	for {
		err := cluster.Permit(ctx, c, nil)
		if denied := (*cluster.PermissionError)(nil); !errors.As(err, &denied) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("ClusterRole %s is bound in %s, and does not suffice: %w", role, namespace, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
