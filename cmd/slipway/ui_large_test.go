package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"slipway/internal/cluster/sandboxtest"
	"slipway/internal/deploy"
	"slipway/internal/image/imagetest"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/project/source"
	"slipway/internal/release"
	"slipway/internal/web"
)

const (
	// largestPage is what no page exceeds, and manyObjects what an environment may have.
	largestPage = 300_000
	manyObjects = 10_000
)

// largeSite serves a project whose environment prod has the objects in a file, as a release has recorded
// them. Requests to the API server go through wrap.
func largeSite(
	t *testing.T, manifests string, wrap func(http.Handler) http.Handler,
) (site string, target deploy.Target) {
	t.Helper()
	if err := startShared(); err != nil {
		t.Fatal(err)
	}
	prefix, dir := sandboxtest.Name("l"), t.TempDir()
	file := filepath.Join(dir, "kubeconfig")
	if err := shared.Project(t.Context(), prefix, file, "prod"); err != nil {
		t.Fatal(err)
	}
	if wrap != nil {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		front := "server: " + shared.Front(t, wrap)
		writeFile(t, file, regexp.MustCompile(`server: .*`).ReplaceAllString(string(text), front))
	}
	writeFile(t, filepath.Join(dir, "slipway.yaml"), "project: shop\nenvironments:\n  prod: {path: k8s}\n")
	if err := os.MkdirAll(filepath.Join(dir, "k8s"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "k8s", "one.yaml"),
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n")
	connect := func(src project.Source, env project.Environment) (deploy.Target, error) {
		return deploy.Connect(src, env, deploy.ConnectOptions{Kubeconfig: file})
	}
	src, err := source.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if target, err = connect(src, src.Project.Environments[0]); err != nil {
		t.Fatal(err)
	}
	manifests = strings.ReplaceAll(manifests, "NAMESPACE", prefix+"-prod")
	objects, err := object.Read(strings.NewReader(manifests), "k8s/all.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var set object.Set
	for _, o := range objects {
		if err := set.Add(o); err != nil {
			t.Fatal(err)
		}
	}
	rel, err := target.Records().Begin(t.Context(), release.Past{}, release.Release{Objects: set, Who: "Ada"})
	if err == nil {
		rel.Status, rel.Finished = release.Healthy, rel.Started
		_, err = target.Records().Finish(t.Context(), rel)
	}
	if err != nil {
		t.Fatal(err)
	}
	pages, err := web.New(t.Context(), web.Options{
		Sources: func(context.Context) ([]project.Source, error) { return []project.Source{src}, nil },
		Connect: web.Remember(connect), Hint: hintOf,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(pages.Handler())
	t.Cleanup(server.Close)
	return server.URL, target
}

// readPage returns a page, and fails when it is too large.
func readPage(t *testing.T, address string) string {
	t.Helper()
	began := time.Now()
	answer, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatal(answer.Status, err, string(text))
	}
	if len(text) > largestPage {
		t.Errorf("%s has %d bytes", address, len(text))
	}
	t.Logf("%s has %d bytes, after %s", address, len(text),
		time.Since(began).Round(time.Millisecond))
	return string(text)
}

// No page is too large, however many objects there are, and whatever they are like.
func TestLargePages(t *testing.T) {
	var all strings.Builder
	for i := range manyObjects - 1 {
		fmt.Fprintf(&all, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s-%05d, "+
			"namespace: NAMESPACE, annotations: {note: %q}}\n", strings.Repeat("n", 200), i, strings.Repeat("<&>", 20))
	}
	all.WriteString("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a-large-one, " +
		"namespace: NAMESPACE}\ndata:\n")
	for i := range 400 {
		fmt.Fprintf(&all, "  %s%03d: %q\n", strings.Repeat("k", 200), i, strings.Repeat("<&>", 500))
	}
	site, target := largeSite(t, all.String(), nil)
	first := readPage(t, site+"/p/shop/prod") // health and drift are not known yet
	if !strings.Contains(first, "10000 objects") || !strings.Contains(first, "1–200 of 10000") {
		t.Error("the first page does not count them")
	}
	readPage(t, site+"/p/shop/prod?page=50")
	readPage(t, site+"/p/shop/prod/object?kind=ConfigMap&name=a-large-one&namespace="+target.Cluster.Namespace())
}

// A pod writes 10 MB/s of log. Neither the page nor its stream grow with it.
func TestFloodingPod(t *testing.T) {
	line := strings.Repeat("<flood> & ", 60)
	const written = 90 << 20
	flood := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/log") {
				next.ServeHTTP(w, r)
				return
			}
			most := int64(written)
			if limit, err := strconv.ParseInt(r.FormValue("limitBytes"), 10, 64); err == nil {
				most = limit
			}
			for n := int64(0); n < most; {
				wrote, err := fmt.Fprintf(w, "%s %s\n", time.Now().UTC().Format(time.RFC3339Nano), line)
				if err != nil {
					return
				}
				n += int64(wrote)
			}
			if r.FormValue("follow") != "" {
				<-r.Context().Done()
			}
		})
	}
	site, target := largeSite(t, floodingPod, flood)
	startPod(t, target)
	page := readPage(t, site+"/p/shop/prod/logs")
	if !strings.Contains(page, "&lt;flood&gt;") || !strings.Contains(page, "earlier lines are not shown") {
		t.Error("the page does not show the last lines")
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r, err := http.NewRequestWithContext(ctx, "GET", site+"/p/shop/prod/logs/follow?workload=Pod/flood", nil)
	if err != nil {
		t.Fatal(err)
	}
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	received, batches, left := 0, 0, 0
	lines := bufio.NewReader(answer.Body)
	for left < written/len(line)/2 { // most of what was written
		text, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		received += len(text)
		if strings.HasPrefix(text, "event: rows") {
			batches++
		}
		if m := leftOut.FindStringSubmatch(text); m != nil {
			n, _ := strconv.Atoi(m[1])
			left += n
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&now)
	if most := (batches + 1) * largestPage; received > most {
		t.Errorf("%d bytes in %d batches", received, batches)
	}
	// Other tests of this process grow meanwhile; a site that keeps what it reads grows by all of it.
	if grown := int64(now.HeapAlloc) - int64(before.HeapAlloc); grown > written/2 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	t.Logf("%d bytes in %d batches, %d lines left out", received, batches, left)
}

// startPod starts the pod, and returns when it runs.
func startPod(t *testing.T, target deploy.Target) {
	t.Helper()
	imagetest.Push(shared.Registry+"/acme/flood:v1", imagetest.Image(256, runtime.GOARCH, nil))
	pods := target.Cluster.Typed().CoreV1().Pods(target.Cluster.Namespace())
	var pod corev1.Pod
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(floodingPod, "NAMESPACE", target.Cluster.Namespace())),
		&pod); err != nil {
		t.Fatal(err)
	}
	if _, err := pods.Create(t.Context(), &pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w, err := pods.Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		if p, ok := e.Object.(*corev1.Pod); ok && p.Status.Phase == corev1.PodRunning {
			return
		}
	}
	t.Fatal("the pod does not run")
}

var leftOut = regexp.MustCompile(`(\d+) lines left out`)

const floodingPod = `apiVersion: v1
kind: Pod
metadata: {name: flood, namespace: NAMESPACE}
spec: {containers: [{name: flood, image: "ghcr.io/acme/flood:v1"}]}
`
