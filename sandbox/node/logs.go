package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const followEvery = 200 * time.Millisecond

// listenTLS serves a handler on loopback, to holders of a certificate of the CA only.
func listenTLS(ctx context.Context, wg *sync.WaitGroup, certFile, keyFile, clientCAFile string,
	h http.Handler) (port int32, err error) {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return 0, err
	}
	ca, err := os.ReadFile(clientCAFile)
	if err != nil {
		return 0, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return 0, fmt.Errorf("read %s: no certificate in it", clientCAFile)
	}
	ln, err := tls.Listen("tcp", nodeAddress+":0", &tls.Config{Certificates: []tls.Certificate{cert},
		ClientCAs:  pool,
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12})
	if err != nil {
		return 0, err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	wg.Go(func() { _ = server.Serve(ln) })
	wg.Go(func() { <-ctx.Done(); _ = server.Close() })
	return int32(ln.Addr().(*net.TCPAddr).Port), nil
}

// serveLogs offers of the kubelet's API what `kubectl logs` needs.
func (k *kubelet) serveLogs(ctx context.Context, wg *sync.WaitGroup, o Options) (err error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	mux.HandleFunc("GET /pods", k.listPods)
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", k.containerLogs)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "a simulated node does not offer "+r.URL.Path+": nothing runs in its containers",
			http.StatusNotImplemented)
	})
	if k.port, err = listenTLS(ctx, wg, o.CertFile, o.KeyFile, o.ClientCAFile, mux); err != nil {
		return fmt.Errorf("kubelet API: %w", err)
	}
	return nil
}

func (k *kubelet) listPods(w http.ResponseWriter, _ *http.Request) {
	list := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}}
	for _, obj := range k.pods.GetStore().List() {
		if p := obj.(*corev1.Pod); simulated(p.Spec.NodeName) {
			list.Items = append(list.Items, *p)
		}
	}
	writeJSON(w, list)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (k *kubelet) containerLogs(w http.ResponseWriter, r *http.Request) {
	namespace, name, containerName := r.PathValue("namespace"), r.PathValue("pod"), r.PathValue("container")
	options, err := readLogOptions(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	obj, ok := k.lookup(namespace, name)
	if !ok || !simulated(obj.Spec.NodeName) {
		http.Error(w, fmt.Sprintf("pod %q does not exist", name), http.StatusNotFound)
		return
	}
	status := findStatus(obj, containerName)
	if findSpec(obj, containerName) == nil {
		http.Error(w, fmt.Sprintf("container %q not found in pod %q", containerName, name), http.StatusNotFound)
		return
	}
	started, id, err := pickRun(name, containerName, status, options.previous)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	lines := logLines(obj, containerName, k.recall(r.Context(), obj, status))
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, options.apply(lines, started))
	if options.follow {
		k.follow(w, r.Context(), obj, containerName, id)
	}
}

func (k *kubelet) lookup(namespace, name string) (*corev1.Pod, bool) {
	obj, ok, err := k.pods.GetStore().GetByKey(namespace + "/" + name)
	if err != nil || !ok {
		return nil, false
	}
	return obj.(*corev1.Pod), true
}

func findStatus(obj *corev1.Pod, name string) *corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{obj.Status.InitContainerStatuses,
		obj.Status.ContainerStatuses} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

// pickRun finds the run whose log is asked for, or says as the kubelet why there is none.
func pickRun(pod, name string, s *corev1.ContainerStatus, previous bool) (started time.Time,
	id string, err error) {
	if s == nil {
		return started, "", fmt.Errorf("container %q in pod %q is not available", name, pod)
	}
	last := s.LastTerminationState.Terminated
	switch {
	case previous && last == nil:
		return started, "", fmt.Errorf("previous terminated container %q in pod %q not found", name, pod)
	case previous:
		return last.StartedAt.Time, last.ContainerID, nil
	case s.State.Running != nil:
		return s.State.Running.StartedAt.Time, s.ContainerID, nil
	case s.State.Terminated != nil:
		return s.State.Terminated.StartedAt.Time, s.State.Terminated.ContainerID, nil
	case last != nil:
		return last.StartedAt.Time, last.ContainerID, nil
	}
	reason := "no logs yet"
	if s.State.Waiting != nil {
		reason = s.State.Waiting.Reason
	}
	switch reason {
	case "ErrImagePull":
		reason = "image can't be pulled"
	case "ImagePullBackOff":
		reason = "trying and failing to pull image"
	}
	return started, "", fmt.Errorf("container %q in pod %q is waiting to start: %s", name, pod, reason)
}

// follow holds the answer open until that run of the container is over.
func (k *kubelet) follow(w http.ResponseWriter, ctx context.Context, obj *corev1.Pod, name, id string) {
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	for {
		now, ok := k.lookup(obj.Namespace, obj.Name)
		if !ok || now.UID != obj.UID {
			return
		}
		if s := findStatus(now, name); s == nil || s.State.Running == nil || s.ContainerID != id {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

type logOptions struct {
	previous, follow, timestamps bool
	tail, limit                  int64 // -1: all
	since                        time.Time
}

func readLogOptions(q url.Values) (logOptions, error) {
	o := logOptions{tail: -1, limit: -1}
	for name, to := range map[string]*bool{"previous": &o.previous, "follow": &o.follow,
		"timestamps": &o.timestamps} {
		*to = q.Get(name) == "true" || q.Get(name) == "1"
	}
	since := int64(-1)
	for name, to := range map[string]*int64{"tailLines": &o.tail, "limitBytes": &o.limit,
		"sinceSeconds": &since} {
		if q.Get(name) == "" {
			continue
		}
		n, err := strconv.ParseInt(q.Get(name), 10, 64)
		if err != nil || n < 0 {
			return o, fmt.Errorf("%s=%s is not a number", name, q.Get(name))
		}
		*to = n
	}
	if since >= 0 {
		o.since = time.Now().Add(-time.Duration(since) * time.Second)
	}
	if t := q.Get("sinceTime"); t != "" {
		at, err := time.Parse(time.RFC3339, t)
		if err != nil {
			return o, fmt.Errorf("sinceTime=%s is not a time", t)
		}
		o.since = at
	}
	return o, nil
}

// apply makes the text of a run's log; all its lines were printed when it started.
func (o logOptions) apply(lines []string, at time.Time) string {
	if at.Before(o.since) {
		return ""
	}
	if o.tail >= 0 && int64(len(lines)) > o.tail {
		lines = lines[int64(len(lines))-o.tail:]
	}
	var text []byte
	for _, l := range lines {
		if o.timestamps {
			text = append(text, at.UTC().Format(time.RFC3339Nano)+" "...)
		}
		text = append(append(text, l...), '\n')
	}
	if o.limit >= 0 && int64(len(text)) > o.limit {
		text = text[:o.limit]
	}
	return string(text)
}
