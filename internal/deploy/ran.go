package deploy

import (
	"context"
	"errors"
	"slices"

	"slipway/internal/cluster"
	"slipway/internal/release"
	"slipway/internal/rollout"
)

// Ran returns the digests among the images of a release that its namespaces run now: an image that was never
// started is not to blame. Where the pods cannot be listed it returns none, and the error.
func Ran(ctx context.Context, t Target, rel release.Release) ([]string, error) {
	var namespaces []string
	for _, ref := range rel.Objects.Refs() {
		if ref.Namespace != "" && !slices.Contains(namespaces, ref.Namespace) {
			namespaces = append(namespaces, ref.Namespace)
		}
	}
	var ran []string
	for _, namespace := range namespaces {
		digests, err := cluster.Digests(ctx, t.Cluster, namespace)
		if err != nil {
			return ran, err
		}
		for _, pin := range rel.Images {
			if digests[pin.Digest] && !slices.Contains(ran, pin.Digest) {
				ran = append(ran, pin.Digest)
			}
		}
	}
	return ran, nil
}

// ranBadly returns the same for a release that did not become healthy: nothing for any other error.
func ranBadly(ctx context.Context, t Target, rel release.Release, err error) []string {
	if !errors.As(err, new(*rollout.NotHealthyError)) {
		return nil
	}
	ran, err := Ran(ctx, t, rel)
	if err != nil {
		t.say(Failure, nil, "warning: which images ran is unknown: %v", err)
	}
	return ran
}
