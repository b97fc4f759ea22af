package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

const workers = 16

// kubelet plays the kubelets of all simulated nodes. A pod is in the hands of one worker at a time.
type kubelet struct {
	client    kubernetes.Interface
	count     int
	port      int32 // of the kubelet API
	version   string
	registry  *registry
	store     store
	pods      cache.SharedIndexInformer
	queue     workqueue.TypedRateLimitingInterface[string]
	recorders map[string]record.EventRecorder // by node

	mu    sync.Mutex
	known map[string]*pod
	ips   map[string]types.UID
}

// enqueue takes pods of our nodes only: a real kubelet may have joined the cluster.
func (k *kubelet) enqueue(obj any) {
	if p, ok := obj.(*corev1.Pod); ok && !simulated(p.Spec.NodeName) {
		return
	}
	if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj); err == nil {
		k.queue.Add(key)
	}
}

func (k *kubelet) work(ctx context.Context) {
	for {
		key, quit := k.queue.Get()
		if quit {
			return
		}
		wake, err := k.sync(ctx, key)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			klog.ErrorS(err, "simulated node", "pod", key)
			k.queue.AddRateLimited(key)
		default:
			k.queue.Forget(key)
			if !wake.IsZero() {
				k.queue.AddAfter(key, time.Until(wake))
			}
		}
		k.queue.Done(key)
	}
}

// sync moves one pod on to now, and says when to look at it again.
func (k *kubelet) sync(ctx context.Context, key string) (time.Time, error) {
	obj, exists, err := k.pods.GetStore().GetByKey(key)
	if err != nil || !exists {
		k.forget(key)
		return time.Time{}, err
	}
	seen := obj.(*corev1.Pod)
	if seen.Status.Phase == corev1.PodSucceeded || seen.Status.Phase == corev1.PodFailed {
		k.forget(key)
		if seen.DeletionTimestamp != nil {
			return time.Time{}, k.remove(ctx, seen)
		}
		return time.Time{}, nil
	}
	p, err := k.remember(ctx, key, seen)
	if err != nil {
		return time.Time{}, err
	}
	if p.obj.Status.StartTime == nil && p.obj.DeletionTimestamp == nil {
		if err := k.write(ctx, p); err != nil { // so that Pending can be seen while the image is looked up
			return time.Time{}, err
		}
	}
	if err := k.proceed(ctx, p); err != nil {
		return time.Time{}, err
	}
	if err := k.write(ctx, p); err != nil {
		return time.Time{}, err
	}
	if p.stopped(time.Now()) {
		return time.Time{}, k.remove(ctx, p.obj)
	}
	return p.wake(), nil
}

// proceed advances a pod and starts what is to be started, until nothing is left to do now.
func (k *kubelet) proceed(ctx context.Context, p *pod) error {
	if !p.mounted && p.obj.DeletionTimestamp == nil && !p.mountWake.After(time.Now()) {
		if err := k.mount(ctx, p); err != nil {
			return err
		}
	}
	for {
		k.record(p, p.advance(time.Now()))
		c := p.next(time.Now())
		if c == nil {
			return nil
		}
		notes, err := k.launch(ctx, p, c)
		k.record(p, notes)
		if err != nil {
			return err
		}
	}
}

func (k *kubelet) mount(ctx context.Context, p *pod) error {
	volume, err := k.data(p.obj).volumes(ctx, p.obj)
	if fault := (missing{}); errors.As(err, &fault) {
		k.record(p, []notice{warning(nil, "FailedMount", "MountVolume.SetUp failed for volume %q : %v",
			volume, fault)})
		p.mounts++
		p.mountWake = time.Now().Add(min(noticeDelay<<min(p.mounts, 8), backoffLimit))
		return nil
	}
	p.mounted = err == nil
	return err
}

// launch starts a container, or makes it wait with the reason.
func (k *kubelet) launch(ctx context.Context, p *pod, c *container) ([]notice, error) {
	refuse := func(err error) []notice {
		c.wait("InvalidBehavior", err.Error(), time.Now().Add(backoffLimit))
		return []notice{warning(c, "InvalidBehavior", "%v", err)}
	}
	if err := checkAnnotations(p.obj); err != nil {
		return refuse(err), nil
	}
	if _, err := scriptFor(p.obj, c, nil); err != nil {
		return refuse(err), nil
	}
	img, notes, ok, err := k.ensureImage(ctx, p, c)
	if err != nil || !ok {
		return notes, err
	}
	c.status.Image, c.status.ImageID = reported(c.spec.Image, img)
	s, err := scriptFor(p.obj, c, img.labels)
	if err != nil {
		return append(notes, refuse(fmt.Errorf("label of image %s: %w", c.spec.Image, err))...), nil
	}
	if !img.runsHere() {
		s = script{exits: true, code: 255, reason: "Error"}
	}
	err = checkUser(p.obj, c.spec, img)
	if err == nil {
		err = k.data(p.obj).environment(ctx, c.spec)
	}
	if fault := (missing{}); errors.As(err, &fault) {
		c.wait("CreateContainerConfigError", fault.message, time.Now().Add(retryDelay))
		return append(notes, warning(c, "Failed", "Error: %v", fault)), nil
	}
	if err != nil {
		return notes, err
	}
	k.address(p)
	c.ip = p.ip
	return append(notes, c.start(p.obj, s, img, time.Now())...), nil
}

// remember finds what is known of a pod. The watch lags behind our own writes, so the newer of
// the two versions counts.
func (k *kubelet) remember(ctx context.Context, key string, seen *corev1.Pod) (*pod, error) {
	k.mu.Lock()
	p, ok := k.known[key]
	k.mu.Unlock()
	if ok && p.obj.UID == seen.UID {
		order, err := resourceversion.CompareResourceVersion(seen.ResourceVersion, p.obj.ResourceVersion)
		if err != nil {
			return nil, err
		}
		if order > 0 {
			p.update(seen)
		}
		return p, nil
	}
	if ok {
		k.forget(key)
	}
	p = adopt(seen, time.Now())
	for _, c := range p.containers {
		if c.status.State.Running == nil {
			continue
		}
		img := k.recall(ctx, seen, &c.status)
		s, err := scriptFor(seen, c, img.labels)
		if err != nil {
			klog.ErrorS(err, "simulated node: behavior of a running container", "pod", key, "container", c.spec.Name)
		}
		c.ip = seen.Status.PodIP
		c.rejoin(s, img, time.Now())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if p.ip = seen.Status.PodIP; p.ip != "" && !seen.Spec.HostNetwork {
		k.ips[p.ip] = seen.UID
	}
	k.known[key] = p
	return p, nil
}

func (k *kubelet) forget(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p, ok := k.known[key]; ok && k.ips[p.ip] == p.obj.UID {
		delete(k.ips, p.ip)
	}
	delete(k.known, key)
}

// address gives a pod the first free address of its node's range.
func (k *kubelet) address(p *pod) {
	if p.ip != "" {
		return
	}
	if p.obj.Spec.HostNetwork {
		p.ip = nodeAddress
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	number := nodeNumber(p.obj.Spec.NodeName)
	for host := 2; host < 255; host++ {
		ip := net.IPv4(10, 244, byte(number), byte(host)).String()
		if _, taken := k.ips[ip]; !taken {
			k.ips[ip], p.ip = p.obj.UID, ip
			return
		}
	}
}

func (k *kubelet) record(p *pod, notes []notice) {
	recorder := k.recorders[p.obj.Spec.NodeName]
	if recorder == nil {
		return // of a node that a former run had
	}
	for _, n := range notes {
		ref := &corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: p.obj.Namespace, Name: p.obj.Name,
			UID: p.obj.UID, ResourceVersion: p.obj.ResourceVersion}
		if n.container != nil {
			field := "containers"
			if n.container.role != regular {
				field = "initContainers"
			}
			ref.FieldPath = fmt.Sprintf("spec.%s{%s}", field, n.container.spec.Name)
		}
		recorder.Event(ref, n.kind, n.reason, n.message)
	}
}

// write reports the pod's status if it changed: a strategic merge patch that is bound to the
// pod's UID, so that conditions of other controllers stay and a namesake is not touched.
func (k *kubelet) write(ctx context.Context, p *pod) error {
	status := p.report(time.Now())
	if equality.Semantic.DeepEqual(&p.obj.Status, status) {
		return nil
	}
	before, err := json.Marshal(corev1.Pod{Status: p.obj.Status})
	if err != nil {
		return err
	}
	after, err := json.Marshal(corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: p.obj.UID}, Status: *status})
	if err != nil {
		return err
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, corev1.Pod{})
	if err != nil {
		return err
	}
	obj, err := k.client.CoreV1().Pods(p.obj.Namespace).Patch(ctx, p.obj.Name, types.StrategicMergePatchType,
		patch, metav1.PatchOptions{}, "status")
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // gone, or another pod of that name: the watch will tell
	}
	if err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	p.update(obj)
	return nil
}

// remove ends a pod's life, as only its node may.
func (k *kubelet) remove(ctx context.Context, obj *corev1.Pod) error {
	options := metav1.DeleteOptions{GracePeriodSeconds: new(int64),
		Preconditions: &metav1.Preconditions{UID: &obj.UID}}
	err := k.client.CoreV1().Pods(obj.Namespace).Delete(ctx, obj.Name, options)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

func simulated(node string) bool { return strings.HasPrefix(node, nodePrefix) }
