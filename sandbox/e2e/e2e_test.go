// Package e2e starts the real program and looks at it as its users do: through its files, its API
// server with the identities of its kubeconfig, its registry and its Git server.
package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"slipway/sandbox/datadir"
	"slipway/sandbox/kubeconfig"
)

// process is one run of the program.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	ended chan struct{}
	state datadir.State
	out   string // file of what it printed
}

func program(t *testing.T) string {
	t.Helper()
	path := os.Getenv("SLIPWAY_SANDBOX")
	if path == "" {
		path = filepath.Join("..", "..", "bin", "slipway-sandbox")
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the program is not built: run `make sandbox` once, or set SLIPWAY_SANDBOX (%v)", err)
	}
	return path
}

// start runs the program on data and returns when it is ready.
func start(t *testing.T, data string, args ...string) *process {
	t.Helper()
	p := &process{t: t, ended: make(chan struct{}), out: filepath.Join(t.TempDir(), "out")}
	out, err := os.Create(p.out)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p.cmd = exec.Command(program(t), append([]string{"serve", "--data", data}, args...)...)
	p.cmd.Stderr = out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.ended) }()
	t.Cleanup(func() { p.end(syscall.SIGKILL) })
	p.await("ready", func() bool {
		b, err := os.ReadFile(filepath.Join(data, datadir.StateFile))
		// The file of a killed process is there until the new one removes it.
		return err == nil && json.Unmarshal(b, &p.state) == nil && p.state.PID == p.cmd.Process.Pid
	})
	return p
}

func (p *process) end(signal os.Signal) {
	_ = p.cmd.Process.Signal(signal)
	<-p.ended
}

func (p *process) await(what string, done func() bool) {
	p.t.Helper()
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-p.ended:
			p.t.Fatalf("%s: the sandbox ended:\n%s", what, read(p.t, p.out))
		case <-deadline:
			p.t.Fatalf("%s: not after two minutes:\n%s", what, read(p.t, p.out))
		}
	}
}

// client speaks as the user of a context.
func (p *process) client(contextName string) kubernetes.Interface {
	p.t.Helper()
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: p.state.Kubeconfig},
		&clientcmd.ConfigOverrides{CurrentContext: contextName}).ClientConfig()
	if err != nil {
		p.t.Fatal(err)
	}
	cfg.QPS = -1
	c, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

func TestSandbox(t *testing.T) {
	data := t.TempDir()
	p := start(t, data)
	first := p.state
	prod := p.client("prod")

	t.Run("version", func(t *testing.T) {
		v, err := prod.Discovery().ServerVersion()
		if err != nil || v.GitVersion != "v1.37.2" || first.Kubernetes != v.GitVersion {
			t.Errorf("server %v, state %q, %v", v, first.Kubernetes, err)
		}
	})
	t.Run("kubeconfig says that it is a sandbox", func(t *testing.T) { checkExtension(t, data, first) })
	t.Run("nodes", func(t *testing.T) {
		nodes, err := p.client("admin").CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
		if err != nil || len(nodes.Items) != first.Nodes || len(nodes.Items) == 0 {
			t.Errorf("%d nodes, state says %d, %v", len(nodes.Items), first.Nodes, err)
		}
	})
	t.Run("an editor of prod deploys to prod only", func(t *testing.T) {
		if _, err := prod.CoreV1().PersistentVolumeClaims("prod").Create(t.Context(), claim(),
			metav1.CreateOptions{}); err != nil {
			t.Error(err)
		}
		if _, err := prod.AppsV1().Deployments("prod").Create(t.Context(), deployment(),
			metav1.CreateOptions{}); err != nil {
			t.Error(err)
		}
		for _, ns := range []string{"dev", "staging", "kube-system"} {
			if _, err := prod.AppsV1().Deployments(ns).Create(t.Context(), deployment(),
				metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
				t.Errorf("%s: %v", ns, err)
			}
		}
	})
	t.Run("what an editor may do", func(t *testing.T) { checkEditor(t, prod) })
	t.Run("registry and Git server answer", func(t *testing.T) { checkWeb(t, first) })
	t.Run("a second one on the same folder is refused", func(t *testing.T) {
		out, err := exec.CommandContext(t.Context(), program(t), "serve", "--data", data).CombinedOutput()
		if err == nil || !strings.Contains(string(out), datadir.ErrInUse.Error()) {
			t.Errorf("%v: %s", err, out)
		}
	})

	// Killed, so that everything which a stop in order would tidy up is left behind.
	p.end(syscall.SIGKILL)
	p = start(t, data)
	t.Run("after SIGKILL data and addresses are the same", func(t *testing.T) {
		if p.state.Server != first.Server || p.state.Registry != first.Registry ||
			p.state.GitServer != first.GitServer {
			t.Errorf("before %+v, after %+v", first, p.state)
		}
		// With the old client certificate: a kubeconfig that somebody copied stays valid.
		checkPodIsMade(t, prod)
		d, err := prod.AppsV1().Deployments("prod").Get(t.Context(), "myapp", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range d.ManagedFields {
			if f.Subresource == "status" && f.Manager != "kube-controller-manager" {
				t.Errorf("the status belongs to %q", f.Manager)
			}
		}
	})

	t.Run("SIGTERM stops it, in order and soon", func(t *testing.T) {
		began := time.Now()
		p.end(syscall.SIGTERM)
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("exit code %d:\n%s", code, read(t, p.out))
		}
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("took %v", took)
		}
		if _, err := os.Stat(filepath.Join(data, datadir.StateFile)); err == nil {
			t.Error("sandbox.json is still there")
		}
	})
}

func checkExtension(t *testing.T, data string, s datadir.State) {
	c, err := clientcmd.LoadFromFile(s.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	ext, ok := c.Clusters["sandbox"].Extensions[kubeconfig.Extension].(*runtime.Unknown)
	if !ok {
		t.Fatal("no extension")
	}
	var got kubeconfig.Sandbox
	if err := json.Unmarshal(ext.Raw, &got); err != nil {
		t.Fatal(err)
	}
	if want := (kubeconfig.Sandbox{Registry: s.Registry, GitServer: s.GitServer, Data: data}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if c.CurrentContext != "dev" {
		t.Errorf("current context %q", c.CurrentContext)
	}
}

// checkEditor holds what a deploy by somebody who may edit one namespace relies on.
func checkEditor(t *testing.T, c kubernetes.Interface) {
	for _, r := range []struct {
		group, resource string
		want            bool
	}{
		{"apps", "deployments", true}, {"apps", "statefulsets", true}, {"apps", "daemonsets", true},
		{"batch", "jobs", true}, {"batch", "cronjobs", true}, {"autoscaling", "horizontalpodautoscalers", true},
		{"policy", "poddisruptionbudgets", true}, {"networking.k8s.io", "networkpolicies", true},
		{"networking.k8s.io", "ingresses", true}, {"coordination.k8s.io", "leases", true},
		{"", "secrets", true}, {"", "configmaps", true}, {"", "services", true}, {"", "serviceaccounts", true},
		{"", "persistentvolumeclaims", true},
		{"rbac.authorization.k8s.io", "roles", false}, {"", "namespaces", false}, {"", "nodes", false},
		{"", "resourcequotas", false},
	} {
		for _, verb := range []string{"create", "patch", "delete"} {
			review, err := c.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(),
				&authorizationv1.SelfSubjectAccessReview{
					Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
						Namespace: "prod", Verb: verb, Group: r.group, Resource: r.resource}},
				}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if review.Status.Allowed != r.want {
				t.Errorf("%s %s: %v", verb, r.resource, review.Status.Allowed)
			}
		}
	}
}

func checkWeb(t *testing.T, s datadir.State) {
	for url, want := range map[string]int{
		"http://" + s.Registry + "/v2/":                             http.StatusOK,
		"http://" + s.Registry + "/v2/private/x/tags/list":          http.StatusUnauthorized,
		s.GitServer + "/private/x.git/info/refs":                    http.StatusUnauthorized,
		s.GitServer + "/none.git/info/refs?service=git-upload-pack": http.StatusNotFound,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			continue
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", url, resp.StatusCode, want)
		}
	}
}

// checkPodIsMade: controllers, scheduler and volumes act on what was created before the restart.
func checkPodIsMade(t *testing.T, c kubernetes.Interface) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w, err := c.CoreV1().Pods("prod").Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		if pod, ok := e.Object.(*corev1.Pod); ok && pod.Spec.NodeName != "" {
			return
		}
	}
	t.Error("no pod of the deployment was scheduled")
}

func deployment() *appsv1.Deployment {
	labels := map[string]string{"app": "myapp"}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "myapp"},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					Containers: []corev1.Container{{Name: "myapp", Image: "registry.example/none:1"}},
					Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
						PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}},
				},
			},
		},
	}
}

// claim has no class: the default one serves it.
func claim() *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "data"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
