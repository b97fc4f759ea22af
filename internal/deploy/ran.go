package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"slipway/internal/cluster"
	"slipway/internal/image"
	"slipway/internal/object"
	"slipway/internal/release"
	"slipway/internal/rollout"
)

// Ran returns the digests among the images of a release that its namespaces run now: an image that was never
// started is not to blame. Where the pods cannot be listed it returns none, and the error.
func Ran(ctx context.Context, t Target, rel release.Release) ([]string, error) {
	return RunningAmong(ctx, t, rel.Images, rel.Objects)
}

// RunningAmong returns the digests among images that the namespaces of objects run now.
func RunningAmong(ctx context.Context, t Target, images []image.Pin, objects object.Set) ([]string, error) {
	var namespaces []string
	for _, ref := range objects.Refs() {
		namespace := cmp.Or(ref.Namespace, t.Cluster.Namespace())
		if !slices.Contains(namespaces, namespace) {
			namespaces = append(namespaces, namespace)
		}
	}
	var ran []string
	for _, namespace := range namespaces {
		digests, err := cluster.Digests(ctx, t.Cluster, namespace)
		if err != nil {
			return ran, err
		}
		for _, pin := range images {
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
		t.warn(Failure, nil, "cannot tell which images ran: %v", err)
	}
	return ran
}

// noteNotRun notes in a healthy release which images of its workloads no pod runs: a StatefulSet with the
// update strategy OnDelete keeps its old pods, and a webhook may write another image into new ones.
func noteNotRun(ctx context.Context, t Target, p Proposal, rel *release.Release) {
	var err error
	if rel.NotRun, err = notRun(ctx, t, p); err != nil {
		t.warn(Verify, nil, "cannot tell which images run: %v", err)
	} else if len(rel.NotRun) > 0 {
		t.warn(Verify, nil, "%s", NotRunText(*rel))
	}
}

// NotRunText says which images of a release no pod ran, and what to do.
func NotRunText(rel release.Release) string {
	return fmt.Sprintf("no pod runs %s, although all objects are healthy: this release is neither promoted nor "+
		"rolled back to. Replace the pods that run another image, and deploy again",
		strings.Join(rel.NotRun, ", "))
}

// notRun returns the images with a digest that no pod in the namespace of their workload runs.
func notRun(ctx context.Context, t Target, p Proposal) ([]string, error) {
	ran := map[string]map[string]bool{} // by namespace
	images := map[object.Ref][]string{}
	var refs []object.Ref
	for _, o := range p.Prepared.Set.Objects() {
		ref, pinned := o.Ref(), pinnedImages(o)
		if len(pinned) > 0 && ran[ref.Namespace] == nil {
			var err error
			if ran[ref.Namespace], err = cluster.Digests(ctx, t.Cluster, ref.Namespace); err != nil {
				return nil, err
			}
		}
		pinned = slices.DeleteFunc(pinned, func(image string) bool {
			_, digest, _ := strings.Cut(image, "@")
			return ran[ref.Namespace][digest]
		})
		if len(pinned) > 0 {
			images[ref], refs = pinned, append(refs, ref)
		}
	}
	if len(refs) == 0 {
		return nil, nil
	}
	states, err := rollout.Health(ctx, t.Cluster, t.Judge, refs)
	var missing []string
	for _, s := range states {
		for _, image := range images[s.Ref] {
			if s.Blocking && !s.Idle && !slices.Contains(missing, image) {
				missing = append(missing, image)
			}
		}
	}
	return missing, err
}

// pinnedImages returns the images with a digest of a workload that keeps pods running.
func pinnedImages(o object.Object) []string {
	var pinned []string
	switch o.Ref().Kind {
	case "Deployment", "StatefulSet", "DaemonSet":
		spec, path, _ := o.PodSpec()
		for _, c := range object.Containers(spec, path) {
			if image, _ := c.Body["image"].(string); strings.Contains(image, "@") {
				pinned = append(pinned, image)
			}
		}
	}
	return pinned
}
