package rollout

import (
	"errors"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/cluster/sandboxtest"
	"slipway/internal/image/imagetest"
	"slipway/internal/object"
)

// restrict takes the edit role from the place's editor and gives it these rules.
func restrict(t *testing.T, p place, rules ...rbacv1.PolicyRule) {
	t.Helper()
	rbac := p.admin.Typed().RbacV1()
	old, err := rbac.RoleBindings(p.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(old.Items) != 1 {
		t.Fatalf("role bindings: %v, %v", old, err)
	}
	if err := rbac.RoleBindings(p.Namespace).Delete(t.Context(), old.Items[0].Name,
		metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "few"}, Rules: rules}
	if _, err := rbac.Roles(p.Namespace).Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "few"}, Subjects: old.Items[0].Subjects,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "few"}}
	if _, err := rbac.RoleBindings(p.Namespace).Create(t.Context(), binding,
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// Who may not read logs and events gets the rest, and is told what is missing.
func TestEvidenceWithoutPermission(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	restrict(t, p, rbacv1.PolicyRule{APIGroups: []string{"", "apps"}, Resources: []string{"pods", "deployments",
		"replicasets"}, Verbs: []string{"get", "list"}})
	set := p.Parse(t, deployment("api", "exit=3", probe, ""))
	apply(t, p.admin, set)
	err := Wait(t.Context(), p.editor, set, Options{Timeout: patience})
	var sick *NotHealthyError
	if !errors.As(err, &sick) {
		t.Fatalf("Wait: %v", err)
	}
	e := sick.Failures[0]
	notes := strings.Join(e.Notes, "\n")
	if e.Cause != "the container exits with code 3 right after it starts" || !strings.Contains(notes,
		"logs not permitted: get pods/log") ||
		!strings.Contains(notes, "events not permitted: ") {
		t.Errorf("evidence: %+v", e)
	}
}

// Who may not see pods has the workload's own word, and is told so.
func TestWaitWithoutPods(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	restrict(t, p, rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"deployments"},
		Verbs: []string{"get"}})
	good := p.Parse(t, deployment("good", "", "", ""))
	apply(t, p.admin, good)
	var said []string
	say := func(text string) { said = append(said, text) }
	if err := Wait(t.Context(), p.editor, good, Options{Timeout: patience, Say: say}); err != nil {
		t.Errorf("a healthy Deployment: %v", err)
	}
	if len(said) != 2 || !strings.Contains(said[0], "may not list deployments.apps in "+p.Namespace) ||
		!strings.HasPrefix(said[1], "did not check containers for restarts: listing pods in "+p.Namespace) {
		t.Errorf("without the permission to watch, and to list pods: %q", said)
	}
	bad := p.Parse(t, deployment("bad", "never-ready", probe, "progressDeadlineSeconds: 2"))
	apply(t, p.admin, bad)
	var sick *NotHealthyError
	if err := Wait(t.Context(), p.editor, bad, Options{Timeout: patience}); !errors.As(err, &sick) {
		t.Fatalf("a sick Deployment: %v", err)
	}
	if e := sick.Failures[0]; e.Reason != "ProgressDeadlineExceeded" || len(e.Notes) == 0 ||
		!strings.HasPrefix(e.Notes[0], "pods not permitted: ") {
		t.Errorf("evidence: %+v", e)
	}
}

// What could not be pulled before says nothing of now, until it has failed once more.
func TestWaitOldPull(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	image := strings.Replace(p.Image, ":v1", ":v2", 1)
	set := p.Parse(t, strings.Replace(deployment("api", "", probe, ""), "$IMAGE", image, 1))
	apply(t, p.editor, set)
	for _, unchanged := range [][]object.Ref{nil, set.Refs()} {
		err := Wait(t.Context(), p.editor, set, Options{Timeout: patience, Unchanged: unchanged})
		var sick *NotHealthyError
		if !errors.As(err, &sick) || sick.Timeout || sick.Failures[0].Cause != "the image "+image+
			" is not in the registry" {
			t.Fatalf("a missing image: %v", err)
		}
	}
	imagetest.Push(sandboxtest.Shared(t).Registry+"/"+strings.TrimPrefix(image, "ghcr.io/"),
		imagetest.Image(256, runtime.GOARCH, nil))
	if err := Wait(t.Context(), p.editor, set, Options{Timeout: patience,
		Unchanged: set.Refs()}); err != nil {
		t.Errorf("pushed since: %v", err)
	}
}

// A StatefulSet whose new pods crash comes back when the old template does.
func TestWaitStatefulSetBack(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	text := func(behavior string) string {
		return strings.NewReplacer("kind: Deployment", "kind: StatefulSet", "  replicas: 1",
			"  replicas: 2\n  serviceName: api").Replace(deployment("api", behavior, probe, ""))
	}
	good, bad := p.Parse(t, text("")), p.Parse(t, text("crash"))
	apply(t, p.editor, good)
	if err := Wait(t.Context(), p.editor, good, Options{Timeout: patience}); err != nil {
		t.Fatal(err)
	}
	apply(t, p.editor, bad)
	var sick *NotHealthyError
	if err := Wait(t.Context(), p.editor, bad, Options{Timeout: patience}); !errors.As(err, &sick) {
		t.Fatalf("a crashing update: %v", err)
	}
	apply(t, p.editor, good)
	if err := Wait(t.Context(), p.editor, good, Options{Timeout: patience}); err != nil {
		t.Errorf("going back: %v", err)
	}
}

// An API server that is away for some seconds is asked again.
func TestWaitSurvivesOutage(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	var requests, broken atomic.Int64
	c := through(t, "", func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			n := requests.Add(1)
			switch {
			case !strings.Contains(r.URL.Path, "/deployments") || broken.Load() >= 4:
				next.ServeHTTP(rw, r)
			case n%2 == 0:
				broken.Add(1)
				http.Error(rw, "no leader", http.StatusServiceUnavailable)
			default:
				broken.Add(1)
				panic(http.ErrAbortHandler)
			}
		})
	})
	set := p.Parse(t, deployment("api", "", probe, ""))
	apply(t, p.admin, set)
	if err := Wait(t.Context(), c, set, Options{Timeout: patience}); err != nil {
		t.Error(err)
	}
	if broken.Load() < 4 {
		t.Errorf("%d requests were broken", broken.Load())
	}
	broken.Store(-1000)
	var sick *NotHealthyError
	err := Wait(t.Context(), c, set, Options{Timeout: 2 * time.Second})
	if !errors.As(err, &sick) || !sick.Timeout || sick.Err == nil || !slices.Equal(sick.Waiting,
		[]object.Ref{set.Refs()[0]}) {
		t.Errorf("an API server that stays away: %v", err)
	}
}
