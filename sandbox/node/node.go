// Package node plays the kubelets of a few nodes on which nothing runs: as far as a deploy can
// see, pods behave as on real ones. Images are really looked up in the sandbox's registry; what
// a container then does is said by its pod's annotations or its image's labels.
//
// It knows nothing of the control plane but its API, and touches no node that it did not make.
package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

const (
	nodePrefix     = "sim-node-"
	nodeAddress    = "127.0.0.1"
	maxNodes       = 250 // one byte of the pods' addresses
	leaseNamespace = "kube-node-lease"
	leaseSeconds   = 40
	heartbeat      = 10 * time.Second
)

// Options say where the control plane and the registry are, and who the nodes are to them.
type Options struct {
	Config   *rest.Config // of an administrator
	Count    int
	Registry string // host:port, plain HTTP: every registry's name stands for it

	CertFile, KeyFile string // the kubelet API's server certificate
	ClientCAFile      string // of the API server's certificate for the kubelet API

	MetricsCertFile, MetricsKeyFile string // for MetricsService.kube-system.svc
	FrontProxyCAFile                string // of the aggregator's client certificate
	CAFile                          string // of MetricsCertFile
}

// Start adds the nodes and the metrics API to a cluster. It returns when the nodes are ready;
// what it started ends with ctx and is waited for in wg.
func Start(ctx context.Context, wg *sync.WaitGroup, o Options) error {
	if o.Registry == "" {
		return errors.New("no registry: nothing could tell whether an image exists")
	}
	if o.Count < 0 || o.Count > maxNodes {
		return fmt.Errorf("%d nodes: from 0 to %d are possible", o.Count, maxNodes)
	}
	config := rest.CopyConfig(o.Config)
	config.QPS = -1 // three kubelets and their clients, not one
	if config.ContentType == "" {
		config.ContentType, config.AcceptContentTypes = "application/vnd.kubernetes.protobuf",
			"application/vnd.kubernetes.protobuf,application/json"
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	k := &kubelet{
		client: client, count: o.Count,
		registry: &registry{host: o.Registry, http: &http.Client{Timeout: 5 * time.Second},
			known: map[string]image{}},
		store:     store{images: map[presentKey]present{}},
		queue:     workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]()),
		recorders: map[string]record.EventRecorder{},
		known:     map[string]*pod{}, ips: map[string]types.UID{},
	}
	for _, step := range []func(context.Context, *sync.WaitGroup, Options) error{k.serveLogs, k.recordEvents,
		k.watchPods, k.register, k.serveMetrics} {
		if err := step(ctx, wg, o); err != nil {
			return err
		}
	}
	return nil
}

func nodeName(i int) string { return nodePrefix + strconv.Itoa(i) }

func nodeNumber(name string) int {
	i, err := strconv.Atoi(strings.TrimPrefix(name, nodePrefix))
	if err != nil {
		return -1
	}
	return i
}

// recordEvents gives each node a recorder of its own: one alone is too slow, and drops what 200
// pods say that start together.
func (k *kubelet) recordEvents(ctx context.Context, wg *sync.WaitGroup, _ Options) error {
	for i := range k.count {
		b := record.NewBroadcaster(record.WithContext(ctx))
		b.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: k.client.CoreV1().Events("")})
		k.recorders[nodeName(i)] = b.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "kubelet",
			Host: nodeName(i)})
		wg.Go(func() { <-ctx.Done(); b.Shutdown() })
	}
	return nil
}

func (k *kubelet) watchPods(ctx context.Context, wg *sync.WaitGroup, _ Options) error {
	factory := informers.NewSharedInformerFactoryWithOptions(k.client, 0,
		informers.WithTransform(lighten),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = "spec.nodeName!=" }))
	k.pods = factory.Core().V1().Pods().Informer()
	if _, err := k.pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: k.enqueue, UpdateFunc: func(_, obj any) { k.enqueue(obj) }, DeleteFunc: k.enqueue,
	}); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	wg.Go(func() { <-ctx.Done(); k.queue.ShutDown(); factory.Shutdown() })
	if !cache.WaitForCacheSync(ctx.Done(), k.pods.HasSynced) {
		return fmt.Errorf("list pods: %w", ctx.Err())
	}
	for range workers {
		wg.Go(func() { k.work(ctx) })
	}
	return nil
}

// lighten drops what nobody here reads and what is half of a pod's size.
func lighten(obj any) (any, error) {
	if p, ok := obj.(*corev1.Pod); ok {
		p.ManagedFields = nil
	}
	return obj, nil
}

// register makes the nodes, removes those that are too many, and keeps them alive.
func (k *kubelet) register(ctx context.Context, wg *sync.WaitGroup, _ Options) error {
	version, err := k.client.Discovery().ServerVersion()
	if err != nil {
		return err
	}
	k.version = version.GitVersion
	for i := range k.count {
		if err := k.ensureNode(ctx, i); err != nil {
			return fmt.Errorf("node %s: %w", nodeName(i), err)
		}
	}
	if err := k.removeNodes(ctx); err != nil {
		return err
	}
	wg.Go(func() {
		ticker := time.NewTicker(heartbeat)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				k.beat(ctx)
			}
		}
	})
	return nil
}

func (k *kubelet) removeNodes(ctx context.Context) error {
	nodes, err := k.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: simulatedLabel})
	if err != nil {
		return err
	}
	for _, n := range nodes.Items {
		if simulated(n.Name) && nodeNumber(n.Name) >= k.count {
			if err := k.client.CoreV1().Nodes().Delete(ctx, n.Name, metav1.DeleteOptions{}); err != nil &&
				!apierrors.IsNotFound(err) {
				return err
			}
		}
	}
	return nil
}

// beat renews the leases. After a suspended laptop wakes, the node lifecycle controller has
// marked the nodes Unknown, and nothing but a new status brings them back.
func (k *kubelet) beat(ctx context.Context) {
	for i := range k.count {
		err := k.renew(ctx, nodeName(i))
		var n *corev1.Node
		if err == nil {
			n, err = k.client.CoreV1().Nodes().Get(ctx, nodeName(i), metav1.GetOptions{ResourceVersion: "0"})
		}
		if apierrors.IsNotFound(err) || err == nil && !nodeReady(n) {
			err = k.ensureNode(ctx, i)
		}
		if err != nil && ctx.Err() == nil {
			klog.ErrorS(err, "simulated node: heartbeat", "node", nodeName(i))
		}
	}
}

func nodeReady(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// renew is a merge patch: an update without a resource version is refused, and nobody notices
// until all nodes are unreachable 50 seconds later.
func (k *kubelet) renew(ctx context.Context, name string) error {
	duration, now := int32(leaseSeconds), metav1.NowMicro()
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: leaseNamespace},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &name, LeaseDurationSeconds: &duration, RenewTime: &now}}
	patch, err := json.Marshal(map[string]any{"spec": lease.Spec})
	if err != nil {
		return err
	}
	leases := k.client.CoordinationV1().Leases(leaseNamespace)
	if _, err = leases.Patch(ctx, name, types.MergePatchType, patch,
		metav1.PatchOptions{}); apierrors.IsNotFound(err) {
		_, err = leases.Create(ctx, lease, metav1.CreateOptions{})
	}
	return err
}

func (k *kubelet) ensureNode(ctx context.Context, i int) error {
	name := nodeName(i)
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			corev1.LabelHostname: name, corev1.LabelOSStable: nodeOS, corev1.LabelArchStable: nodeArch,
			corev1.LabelTopologyRegion: "sandbox", corev1.LabelTopologyZone: fmt.Sprintf("zone-%c", 'a'+i%3),
			simulatedLabel: "true"}},
		Spec: corev1.NodeSpec{ProviderID: "sandbox://" + name, PodCIDR: podRange(i),
			PodCIDRs: []string{podRange(i)}},
	}
	nodes := k.client.CoreV1().Nodes()
	if _, err := nodes.Create(ctx, node, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	status, err := json.Marshal(map[string]any{"status": k.nodeStatus()})
	if err != nil {
		return err
	}
	if _, err := nodes.Patch(ctx, name, types.StrategicMergePatchType, status, metav1.PatchOptions{},
		"status"); err != nil {
		return err
	}
	if err := k.renew(ctx, name); err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	return nil // a fresh cluster has no namespace for leases yet: the next heartbeat comes in time
}

func podRange(i int) string { return fmt.Sprintf("10.244.%d.0/24", i) }

func (k *kubelet) nodeStatus() corev1.NodeStatus {
	now := metav1.Now()
	condition := func(t corev1.NodeConditionType, s corev1.ConditionStatus, reason,
		message string) corev1.NodeCondition {
		return corev1.NodeCondition{Type: t, Status: s, Reason: reason, Message: message, LastHeartbeatTime: now,
			LastTransitionTime: now}
	}
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("8"), corev1.ResourceMemory: resource.MustParse("16Gi"),
		corev1.ResourcePods:             resource.MustParse("500"), // a kubelet has 110; these pods cost little
		corev1.ResourceEphemeralStorage: resource.MustParse("100Gi"),
	}
	return corev1.NodeStatus{
		Capacity: room, Allocatable: room,
		// kubectl logs goes to the address and port that stand here: a host name would be preferred, and not
		// resolved.
		Addresses:       []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: nodeAddress}},
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: k.port}},
		NodeInfo: corev1.NodeSystemInfo{KubeletVersion: k.version, OSImage: "simulated: nothing runs here",
			ContainerRuntimeVersion: "sandbox://0", OperatingSystem: nodeOS, Architecture: nodeArch},
		Conditions: []corev1.NodeCondition{
			condition(corev1.NodeReady, corev1.ConditionTrue, "KubeletReady",
				"simulated node is posting ready status"),
			condition(corev1.NodeMemoryPressure, corev1.ConditionFalse, "KubeletHasSufficientMemory",
				"simulated node has sufficient memory"),
			condition(corev1.NodeDiskPressure, corev1.ConditionFalse, "KubeletHasNoDiskPressure",
				"simulated node has no disk pressure"),
			condition(corev1.NodePIDPressure, corev1.ConditionFalse, "KubeletHasSufficientPID",
				"simulated node has sufficient PID available"),
		},
	}
}
