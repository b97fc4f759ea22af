package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
)

// store is what is present on the nodes: an image by the name under which it was pulled.
type store struct {
	mu     sync.Mutex
	images map[presentKey]present
}

type presentKey struct{ node, name string }

type present struct {
	image image
	cred  credential // that opened the registry: a pod without it may not use the image
}

func (s *store) find(node string, ref reference.Named, creds []credential) (image, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.images[presentKey{node, ref.String()}]
	if !ok {
		return image{}, false
	}
	for _, c := range append(creds, credential{}) {
		if c == p.cred {
			return p.image, true
		}
	}
	return image{}, false
}

func (s *store) add(node string, ref reference.Named, p present) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.images[presentKey{node, ref.String()}] = p
}

// parseImage reads a reference as the kubelet does, with its wording.
func parseImage(name string) (reference.Named, error) {
	ref, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return nil, fmt.Errorf("couldn't parse image name %q: %v", name, err)
	}
	return reference.TagNameOnly(ref), nil
}

// ensureImage sees to the image of a container as its pull policy says. ok is false if the
// container has to wait: its status says why, and the events are returned.
func (k *kubelet) ensureImage(ctx context.Context, p *pod, c *container) (img image, notes []notice,
	ok bool, err error) {
	name := c.spec.Image
	ref, bad := parseImage(name)
	if bad != nil {
		message := fmt.Sprintf("Failed to apply default image tag %q: %v", name, bad)
		c.wait("InvalidImageName", message, time.Now().Add(backoffLimit))
		return img, []notice{warning(c, "InspectFailed", "%s", message),
			warning(c, "Failed", "Error: InvalidImageName")}, false, nil
	}
	all, missing, err := k.keyring(ctx, p.obj)
	if err != nil {
		return img, nil, false, err
	}
	if len(missing) > 0 {
		notes = append(notes, warning(nil, "FailedToRetrieveImagePullSecret",
			"Unable to retrieve some image pull secrets (%s); attempting to pull the image may not succeed.",
			strings.Join(missing, ", ")))
	}
	creds := all.matching(ref)
	if c.spec.ImagePullPolicy != corev1.PullAlways {
		if img, ok := k.store.find(p.obj.Spec.NodeName, ref, creds); ok {
			notes = append(notes, normal(c, "Pulled",
				"Container image %q already present on machine and can be accessed by the pod", name))
			return img, notes, true, nil
		}
	}
	if c.spec.ImagePullPolicy == corev1.PullNever {
		message := fmt.Sprintf("Container image %q is not present with pull policy of Never", name)
		c.wait("ErrImageNeverPull", message, time.Now().Add(backoffLimit))
		return img, append(notes, warning(c, "ErrImageNeverPull", "%s", message),
			warning(c, "Failed", "Error: ErrImageNeverPull")), false, nil
	}
	img, more, ok := k.pull(ctx, p, c, ref, creds)
	return img, append(notes, more...), ok, nil
}

// pull asks the registry, or backs off from asking again.
func (k *kubelet) pull(ctx context.Context, p *pod, c *container, ref reference.Named,
	creds []credential) (image, []notice, bool) {
	name := c.spec.Image
	if _, tagged := ref.(reference.Tagged); tagged && !strings.HasSuffix(name, ":"+tagOrDigest(ref)) &&
		!strings.Contains(name, "@") {
		name += ":latest"
	}
	if c.pullErr != "" {
		text := fmt.Sprintf("Back-off pulling image %q", name)
		c.wait("ImagePullBackOff", text+": ErrImagePull: "+c.pullErr, time.Now().Add(backoff(c.pulls)))
		c.pullErr = ""
		return image{}, []notice{normal(c, "BackOff", "%s", text), warning(c, "Failed", "Error: ImagePullBackOff")},
			false
	}
	notes := []notice{normal(c, "Pulling", "Pulling image %q", name)}
	begin := time.Now()
	img, cred, err := k.registry.find(ctx, ref, creds)
	took := time.Since(begin).Truncate(time.Millisecond)
	if err != nil {
		delay := noticeDelay
		if c.pulls > 0 {
			delay = pullDelay
		}
		c.pulls++
		c.pullErr = pullFailure(ref, err)
		c.wait("ErrImagePull", c.pullErr, time.Now().Add(delay))
		return img, append(notes, warning(c, "Failed", "Failed to pull image %q: %s", name, c.pullErr),
			warning(c, "Failed", "Error: ErrImagePull")), false
	}
	k.store.add(p.obj.Spec.NodeName, ref, present{img, cred})
	return img, append(notes, normal(c, "Pulled", "Successfully pulled image %q in %v (%v including waiting). "+
		"Image size: %d bytes.", name, took, took, img.size)), true
}

// pullFailure words an error as containerd and the kubelet would, so that what reads events of
// real clusters reads these.
func pullFailure(ref reference.Named, err error) string {
	full := ref.String()
	prefix := fmt.Sprintf("failed to pull and unpack image %q: ", full)
	switch {
	case errors.Is(err, errNoPlatform):
		return "rpc error: code = NotFound desc = " + prefix + err.Error()
	case errors.Is(err, errNotFound):
		return fmt.Sprintf("rpc error: code = NotFound desc = %sfailed to resolve reference %q: %s: not found",
			prefix, full, full)
	}
	return fmt.Sprintf("rpc error: code = Unknown desc = %sfailed to resolve reference %q: %v",
		prefix, full, err)
}

// reported is how a node writes an image and its digest into a container's status.
func reported(name string, img image) (imageName, imageID string) {
	ref, err := parseImage(name)
	if err != nil {
		return name, ""
	}
	return ref.String(), ref.Name() + "@" + img.digest
}

// recall finds the image of a container again that was started before the sandbox was restarted.
// An image that is gone from the registry is an image without a script.
func (k *kubelet) recall(ctx context.Context, obj *corev1.Pod, status *corev1.ContainerStatus) image {
	ref, err := reference.ParseNormalizedNamed(status.ImageID)
	if err != nil {
		return image{}
	}
	if img, ok := k.registry.remembered(tagOrDigest(ref)); ok {
		return img
	}
	all, _, err := k.keyring(ctx, obj)
	if err != nil {
		return image{}
	}
	img, _, err := k.registry.find(ctx, ref, all.matching(ref))
	if err != nil {
		return image{}
	}
	return img
}
