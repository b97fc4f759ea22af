package cluster

import (
	"context"
	"fmt"
	"slices"

	"slipway/internal/object"
)

// Capabilities are the server's version ("v1.37.2") and what it serves, as groups with their
// versions ("apps/v1") and with kinds ("apps/v1/Deployment").
func (c *Cluster) Capabilities(ctx context.Context) (version string, apis []string, err error) {
	if err := ctx.Err(); err != nil {
		return "", nil, err
	}
	info, err := c.discovery.ServerVersion()
	if err != nil {
		return "", nil, fmt.Errorf("read the server's version: %w", c.fact(ctx, object.Ref{}, err))
	}
	_, lists, err := c.discovery.ServerGroupsAndResources()
	if err != nil && len(lists) == 0 {
		return "", nil, fmt.Errorf("read what the server serves: %w", c.fact(ctx, object.Ref{}, err))
	}
	for _, list := range lists {
		apis = append(apis, list.GroupVersion)
		for _, r := range list.APIResources {
			apis = append(apis, list.GroupVersion+"/"+r.Kind)
		}
	}
	slices.Sort(apis)
	return info.GitVersion, slices.Compact(apis), nil
}
