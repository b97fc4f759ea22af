package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	aggregator "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset"
)

// MetricsService is the Service in kube-system that stands for the metrics API.
const MetricsService = "sandbox-metrics"

const (
	metricsGroup = "metrics.k8s.io"
	metricsPath  = "/apis/" + metricsGroup + "/v1beta1"
)

// serveMetrics gives autoscalers numbers to act on.
func (k *kubelet) serveMetrics(ctx context.Context, wg *sync.WaitGroup, o Options) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+metricsPath, func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, metricsResources)
	})
	mux.HandleFunc("GET "+metricsPath+"/nodes", k.nodeMetricsList)
	mux.HandleFunc("GET "+metricsPath+"/nodes/{name}", k.nodeMetrics)
	mux.HandleFunc("GET "+metricsPath+"/pods", k.podMetricsList)
	mux.HandleFunc("GET "+metricsPath+"/namespaces/{namespace}/pods", k.podMetricsList)
	mux.HandleFunc("GET "+metricsPath+"/namespaces/{namespace}/pods/{name}", k.podMetrics)
	port, err := listenTLS(ctx, wg, o.MetricsCertFile, o.MetricsKeyFile, o.FrontProxyCAFile, mux)
	if err != nil {
		return fmt.Errorf("metrics API: %w", err)
	}
	if err := k.registerMetrics(ctx, o, port); err != nil {
		return fmt.Errorf("register the metrics API: %w", err)
	}
	return nil
}

var metricsResources = metav1.APIResourceList{
	TypeMeta:     metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"},
	GroupVersion: metricsGroup + "/v1beta1",
	APIResources: []metav1.APIResource{
		{Name: "nodes", SingularName: "node", Kind: "NodeMetrics", Verbs: metav1.Verbs{"get", "list"}},
		{Name: "pods", SingularName: "pod", Namespaced: true, Kind: "PodMetrics",
			Verbs: metav1.Verbs{"get", "list"}},
	},
}

// registerMetrics leads the aggregator here. It cannot reach a cluster IP, but an ExternalName
// service is resolved to a plain host, with the port taken from the APIService.
func (k *kubelet) registerMetrics(ctx context.Context, o Options, port int32) error {
	ca, err := os.ReadFile(o.CAFile)
	if err != nil {
		return err
	}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: MetricsService,
		Namespace: metav1.NamespaceSystem},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"}}
	// A fresh control plane answers before it has made its own namespaces.
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 15*time.Second, true,
		func(ctx context.Context) (bool, error) {
			_, err := k.client.CoreV1().Services(metav1.NamespaceSystem).Create(ctx, service, metav1.CreateOptions{})
			if apierrors.IsNotFound(err) {
				return false, nil
			}
			return err == nil || apierrors.IsAlreadyExists(err), ignoreExists(err)
		})
	if err != nil {
		return err
	}
	config := rest.CopyConfig(o.Config)
	config.ContentType, config.AcceptContentTypes = "", "" // the aggregator's own group knows no protobuf
	client, err := aggregator.NewForConfig(config)
	if err != nil {
		return err
	}
	services := client.ApiregistrationV1().APIServices()
	want := &apiregistrationv1.APIService{ObjectMeta: metav1.ObjectMeta{Name: "v1beta1." + metricsGroup},
		Spec: apiregistrationv1.APIServiceSpec{Group: metricsGroup, Version: "v1beta1", GroupPriorityMinimum: 100,
			VersionPriority: 100,
			CABundle:        ca, Service: &apiregistrationv1.ServiceReference{Namespace: metav1.NamespaceSystem,
				Name: MetricsService, Port: &port}}}
	have, err := services.Get(ctx, want.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = services.Create(ctx, want, metav1.CreateOptions{})
	case err == nil:
		have.Spec = want.Spec
		_, err = services.Update(ctx, have, metav1.UpdateOptions{})
	}
	return err
}

func ignoreExists(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func (k *kubelet) podMetricsList(w http.ResponseWriter, r *http.Request) {
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	items := []any{}
	for _, p := range k.running() {
		if namespace := r.PathValue("namespace"); (namespace == "" || namespace == p.Namespace) &&
			selector.Matches(labels.Set(p.Labels)) {
			items = append(items, podMetrics(p))
		}
	}
	writeJSON(w, metricsList("PodMetricsList", items))
}

func (k *kubelet) podMetrics(w http.ResponseWriter, r *http.Request) {
	p, ok := k.lookup(r.PathValue("namespace"), r.PathValue("name"))
	if !ok || p.Status.Phase != corev1.PodRunning || !simulated(p.Spec.NodeName) {
		notFound(w, "pods", r.PathValue("name"))
		return
	}
	writeJSON(w, podMetrics(p))
}

func (k *kubelet) nodeMetricsList(w http.ResponseWriter, _ *http.Request) {
	items := []any{}
	for i := range k.count {
		items = append(items, k.usageOf(nodeName(i)))
	}
	writeJSON(w, metricsList("NodeMetricsList", items))
}

func (k *kubelet) nodeMetrics(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if n := nodeNumber(name); !simulated(name) || n < 0 || n >= k.count {
		notFound(w, "nodes", name)
		return
	}
	writeJSON(w, k.usageOf(name))
}

// running are the pods that use something.
func (k *kubelet) running() (pods []*corev1.Pod) {
	for _, obj := range k.pods.GetStore().List() {
		if p := obj.(*corev1.Pod); p.Status.Phase == corev1.PodRunning && simulated(p.Spec.NodeName) {
			pods = append(pods, p)
		}
	}
	return pods
}

func (k *kubelet) usageOf(node string) any {
	total := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"),
		corev1.ResourceMemory: resource.MustParse("512Mi")}
	for _, p := range k.running() {
		for i := range p.Spec.Containers {
			if p.Spec.NodeName == node {
				for name, q := range usage(p, &p.Spec.Containers[i]) {
					sum := total[name]
					sum.Add(q)
					total[name] = sum
				}
			}
		}
	}
	return metrics("NodeMetrics", metav1.ObjectMeta{Name: node}, map[string]any{"usage": total})
}

func podMetrics(p *corev1.Pod) any {
	containers := []any{}
	for i := range p.Spec.Containers {
		c := &p.Spec.Containers[i]
		containers = append(containers, map[string]any{"name": c.Name, "usage": usage(p, c)})
	}
	return metrics("PodMetrics", metav1.ObjectMeta{Name: p.Name, Namespace: p.Namespace, Labels: p.Labels},
		map[string]any{"containers": containers})
}

// usage is a tenth of what a container requests, or its even share of what the pod's annotation says.
func usage(p *corev1.Pod, c *corev1.Container) corev1.ResourceList {
	list := corev1.ResourceList{}
	for _, r := range []struct {
		name     corev1.ResourceName
		key, min string
	}{{corev1.ResourceCPU, cpuKey, "5m"}, {corev1.ResourceMemory, memoryKey, "32Mi"}} {
		used := resource.MustParse(r.min)
		if request, ok := c.Resources.Requests[r.name]; ok {
			used = share(r.name, request, 10)
		}
		if said, err := resource.ParseQuantity(p.Annotations[r.key]); err == nil {
			used = share(r.name, said, int64(len(p.Spec.Containers)))
		}
		list[r.name] = used
	}
	return list
}

// share counts CPU in thousandths, memory in bytes.
func share(name corev1.ResourceName, q resource.Quantity, n int64) resource.Quantity {
	if name == corev1.ResourceCPU {
		return *resource.NewMilliQuantity(q.MilliValue()/n, q.Format)
	}
	return *resource.NewQuantity(q.Value()/n, q.Format)
}

func metricsList(kind string, items []any) any {
	return map[string]any{"kind": kind, "apiVersion": metricsGroup + "/v1beta1", "metadata": map[string]any{},
		"items": items}
}

func metrics(kind string, meta metav1.ObjectMeta, more map[string]any) any {
	meta.CreationTimestamp = metav1.Now()
	doc := map[string]any{"kind": kind, "apiVersion": metricsGroup + "/v1beta1", "metadata": meta,
		"timestamp": metav1.Now(), "window": "15s"}
	for name, v := range more {
		doc[name] = v
	}
	return doc
}

func notFound(w http.ResponseWriter, resource, name string) {
	var status apierrors.APIStatus
	if !errors.As(apierrors.NewNotFound(corev1.Resource(resource), name), &status) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusNotFound)
	s := status.Status()
	s.Kind, s.APIVersion = "Status", "v1"
	writeJSON(w, s)
}
