package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"slipway/internal/cluster"
	"slipway/internal/object"
)

// deployment is one Deployment; the arguments are lines of the pod's annotations, of the container
// and of the Deployment's spec.
func deployment(name, behavior, container, spec string) string {
	return `apiVersion: apps/v1
kind: Deployment
metadata:
  name: ` + name + `
spec:
  replicas: 1
  ` + spec + `
  selector: {matchLabels: {app: ` + name + `}}
  template:
    metadata:
      labels: {app: ` + name + `}
      annotations: {sandbox.slipway.dev/behavior: "` + behavior + `", sandbox.slipway.dev/log: "connecting with hunter2hunter2\ncannot open the database"}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: app
        image: $IMAGE
        ports: [{name: http, containerPort: 8080}]
        ` + container + `
`
}

const probe = `readinessProbe: {httpGet: {path: /readyz, port: http}, periodSeconds: 1}`

// Each way of not becoming healthy ends the wait soon, with a reason and a cause.
func TestWaitFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, manifest string
		ref            string
		reason, cause  string
		exit           int32 // -1: none
		logs, previous bool
		within         time.Duration
	}{
		{name: "missing image", manifest: strings.Replace(deployment("api", "", probe, ""), "$IMAGE",
			"ghcr.io/acme/nothing:v9", 1),
			ref: "Deployment", reason: "ImagePullBackOff",
			cause: "the image ghcr.io/acme/nothing:v9 is not in the registry", exit: -1, within: 6 * time.Second},
		{name: "invalid image", manifest: strings.Replace(deployment("api", "", probe, ""), "$IMAGE",
			"ghcr.io/Acme/Nothing:v9", 1),
			ref: "Deployment", reason: "InvalidImageName",
			cause: `"ghcr.io/Acme/Nothing:v9" is not a valid image name`, exit: -1, within: 5 * time.Second},
		{name: "crash", manifest: deployment("api", "exit=3", probe, ""),
			ref: "Deployment", reason: "CrashLoopBackOff",
			cause: "the container exits with code 3 right after it starts", exit: 3, logs: true,
			within: 15 * time.Second},
		{name: "crash without a probe", manifest: deployment("api", "crash-after=1s", "", ""),
			ref: "Deployment", reason: "CrashLoopBackOff",
			cause: "the container exits with code 1 right after it starts", exit: 1, logs: true,
			within: 20 * time.Second},
		{name: "out of memory", manifest: deployment("api", "oom", "resources: {limits: {memory: 64Mi}}", ""),
			ref: "Deployment", reason: "OOMKilled", cause: "the container needs more memory than its limit of 64Mi",
			exit: 137, logs: true, within: 15 * time.Second},
		{name: "probe never succeeds", manifest: deployment("api", "never-ready", probe,
			"progressDeadlineSeconds: 4"),
			ref: "Deployment", reason: "Unhealthy",
			cause: "the readiness probe GET :8080/readyz never succeeded: HTTP 503", exit: -1, logs: true,
			within: 15 * time.Second},
		{name: "init container", manifest: strings.Replace(deployment("api", "init-crash", probe, ""),
			"      containers:", "      initContainers:\n      - {name: migrate, image: $IMAGE}\n      containers:",
			1),
			ref: "Deployment", reason: "CrashLoopBackOff",
			cause: `the init container "migrate" exits with code 1 right after it starts`, exit: 1, logs: true,
			within: 15 * time.Second},
		{name: "no room", manifest: deployment("api", "", "resources: {requests: {cpu: 64}}", ""),
			ref: "Deployment", reason: "Unschedulable", cause: "no node has 64 of cpu free: 3 Insufficient cpu",
			exit: -1, within: 8 * time.Second},
		{name: "quota", manifest: "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: none}\nspec: {hard: " +
			"{pods: 0}}\n---\n" + deployment("api", "", probe, ""),
			ref: "Deployment", reason: "FailedCreate",
			cause: `the API server rejects the pod: exceeded quota: none, requested: pods=1, used: pods=0, limited: pods=0`, exit: -1, within: 10 * time.Second},
		{name: "quota of a stateful set",
			manifest: "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: none}\nspec: {hard: {pods: 0}}\n---\n" +
				strings.NewReplacer("kind: Deployment", "kind: StatefulSet", "  replicas: 1",
					"  replicas: 1\n  serviceName: api").Replace(deployment("api", "", probe, "")),
			ref: "StatefulSet", reason: "FailedCreate",
			cause: `the API server rejects the pod: exceeded quota: none, requested: pods=1, used: pods=0, limited: pods=0`, exit: -1, within: 12 * time.Second},
		{name: "pod security", manifest: "apiVersion: v1\nkind: Namespace\nmetadata: {name: $NAMESPACE, labels: " +
			"{pod-security.kubernetes.io/enforce: baseline}}\n---\n" +
			deployment("api", "", "securityContext: {privileged: true}", ""), ref: "Deployment",
			reason: "FailedCreate", exit: -1, within: 10 * time.Second,
			cause: `the API server rejects the pod: violates PodSecurity "baseline:latest": privileged (container "app" must not set securityContext.privileged=true)`},
		{name: "missing configuration", manifest: deployment("api", "",
			"envFrom: [{configMapRef: {name: settings}}]", ""),
			ref: "Deployment", reason: "CreateContainerConfigError",
			cause: `it needs the ConfigMap "settings", which does not exist`, exit: -1, within: 20 * time.Second},
		{name: "stateful set", manifest: strings.NewReplacer("kind: Deployment", "kind: StatefulSet",
			"  replicas: 1", "  replicas: 1\n  serviceName: api").Replace(deployment("api", "crash", probe, "")),
			ref: "StatefulSet", reason: "CrashLoopBackOff",
			cause: "the container exits with code 1 right after it starts", exit: 1, logs: true,
			within: 15 * time.Second},
		{name: "daemon set", manifest: strings.NewReplacer("kind: Deployment", "kind: DaemonSet", "  replicas: 1\n",
			"").Replace(deployment("api", "crash", probe, "")),
			ref: "DaemonSet", reason: "CrashLoopBackOff",
			cause: "the container exits with code 1 right after it starts", exit: 1, logs: true,
			within: 15 * time.Second},
		{name: "job", manifest: job("exit=4", "Never"),
			ref: "Job", reason: "BackoffLimitExceeded",
			cause: "every attempt failed: the container exits with code 4 right after it starts", exit: 4,
			logs: true, within: 15 * time.Second},
		{name: "job whose pod is deleted", manifest: job("exit=4", "OnFailure"),
			ref: "Job", reason: "BackoffLimitExceeded",
			cause: "every attempt failed: the container exits with code 4 right after it starts", exit: 4,
			logs: true, within: 15 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			set := p.Parse(t, secret+c.manifest)
			apply(t, p.admin, set)
			began := time.Now()
			err := Wait(t.Context(), p.editor, set, Options{Timeout: patience, Grace: 3 * time.Second})
			took := time.Since(began)
			var sick *NotHealthyError
			if !errors.As(err, &sick) || len(sick.Failures) == 0 {
				t.Fatalf("Wait: %v", err)
			}
			e := sick.Failures[0]
			text, _ := json.MarshalIndent(sick.Failures, "", "  ")
			if e.Ref.Kind != c.ref || e.Reason != c.reason || e.Cause != c.cause {
				t.Errorf("want %s %s: %s", c.ref, c.reason, c.cause)
			}
			if c.exit == -1 && e.ExitCode != nil || c.exit != -1 && (e.ExitCode == nil || *e.ExitCode != c.exit) {
				t.Errorf("want exit code %d", c.exit)
			}
			if c.logs != strings.Contains(strings.Join(e.LogLines, "\n"), "cannot open the database") {
				t.Errorf("want the log: %v", c.logs)
			}
			if strings.Contains(string(text), "hunter2hunter2") {
				t.Error("a secret value is in the evidence")
			}
			if sick.Timeout || e.Origin.File != "k8s/app.yaml" || e.Origin.Line == 0 {
				t.Errorf("timeout %v, origin %s", sick.Timeout, e.Origin)
			}
			if took > c.within {
				t.Errorf("took %s, want less than %s", took, c.within)
			}
			t.Logf("after %s: %v", took.Round(100*time.Millisecond), err)
			if t.Failed() || testing.Verbose() {
				t.Logf("evidence: %s", text)
			}
		})
	}
}

const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: " +
	"hunter2hunter2}\n---\n"

func job(behavior, restart string) string {
	return `apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec:
  backoffLimit: 0
  template:
    metadata: {annotations: {sandbox.slipway.dev/behavior: "` + behavior + `", sandbox.slipway.dev/log: "cannot open the database"}}
    spec:
      restartPolicy: ` + restart + `
      containers: [{name: app, image: $IMAGE}]
`
}

// A set that becomes healthy is recognised, and at once when it was healthy before.
func TestWaitHealthy(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	set := p.Parse(t, deployment("api", "", probe, "")+"---\n"+deployment("bare", "", "", "")+"---\n"+
		deployment("slow", "slow=2s", probe, "progressDeadlineSeconds: 60")+"---\n"+job("", "Never")+`---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: unbound}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
`)
	apply(t, p.editor, set)
	last := map[object.Ref]Progress{}
	count := 0
	err := Wait(t.Context(), p.editor, set, Options{Timeout: patience, Notify: func(n Progress) {
		if last[n.Ref] == n {
			t.Errorf("told twice: %v", n)
		}
		last[n.Ref] = n
		count++
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range set.Refs() {
		if r.Kind == "Deployment" && last[r] != (Progress{Ref: r, Status: object.Current,
			Message: "1 of 1 ready"}) {
			t.Errorf("last news of %s: %v", r, last[r])
		}
	}
	standing, err := Health(t.Context(), p.editor, Judge{}, append(set.Refs(), object.Ref{Kind: "ConfigMap",
		Namespace: p.Namespace, Name: "none"}, object.Ref{Kind: "Node", Name: "a"}, object.Ref{Group: "acme.dev",
		Kind: "Toy", Name: "a"}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range standing {
		got = append(got, s.Ref.Kind+" "+string(s.Health.Status))
	}
	want := "Deployment Current, Deployment Current, Deployment Current, Job Current, PersistentVolumeClaim " +
		"InProgress, ConfigMap NotFound, Node Unknown, Toy NotFound"
	if strings.Join(got, ", ") != want {
		t.Errorf("health:\n%v\nwant\n%s", standing, want)
	}
	began := time.Now()
	if err := Wait(t.Context(), p.editor, set, Options{}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took >= startTime { // what a fresh container without a probe takes at least
		t.Errorf("a healthy set took %s", took)
	}
}

// Old pods neither fail a rollout nor make it succeed.
func TestWaitLooksAtNewPods(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	good := p.Parse(t, deployment("api", "", probe, ""))
	bad := p.Parse(t, deployment("api", "crash", probe, ""))
	apply(t, p.editor, good)
	if err := Wait(t.Context(), p.editor, good, Options{Timeout: patience}); err != nil {
		t.Fatal(err)
	}
	apply(t, p.editor, bad)
	var sick *NotHealthyError
	if err := Wait(t.Context(), p.editor, bad, Options{Timeout: patience}); !errors.As(err,
		&sick) || sick.Timeout {
		t.Fatalf("a crashing update: %v", err)
	}
	apply(t, p.editor, good)
	began := time.Now()
	if err := Wait(t.Context(), p.editor, good, Options{Timeout: patience}); err != nil {
		t.Errorf("going back: %v", err)
	}
	t.Logf("back after %s", time.Since(began))
}

// An application that crashes until its database is there is not at fault.
func TestWaitPardonsCrashes(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	set := p.Parse(t, deployment("api", "crash", probe, "")+"---\n"+deployment("db", "slow=1500ms", probe, ""))
	apply(t, p.editor, set)
	heal := func() {
		pods := p.editor.Typed().CoreV1().Pods(p.Namespace)
		list, err := pods.List(t.Context(), metav1.ListOptions{LabelSelector: "app=api"})
		if err != nil || len(list.Items) != 1 || list.Items[0].Status.ContainerStatuses[0].RestartCount == 0 {
			t.Errorf("the pod should have crashed by now: %v, %v", list.Items, err)
			return
		}
		patch := []byte(`{"metadata": {"annotations": {"sandbox.slipway.dev/behavior": null}}}`)
		if _, err := pods.Patch(t.Context(), list.Items[0].Name, types.MergePatchType, patch,
			metav1.PatchOptions{}); err != nil {
			t.Error(err)
		}
	}
	err := Wait(t.Context(), p.editor, set, Options{Timeout: patience, Notify: func(n Progress) {
		if n.Ref.Name == "db" && n.Status == object.Current {
			heal()
		}
	}})
	if err != nil {
		t.Error(err)
	}
}

func TestWaitTimeout(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	set := p.Parse(t, deployment("api", "never-ready", probe, ""))
	apply(t, p.editor, set)
	err := Wait(t.Context(), p.editor, set, Options{Timeout: 10 * time.Second})
	var sick *NotHealthyError
	if !errors.As(err, &sick) || !sick.Timeout || len(sick.Waiting) != 1 || len(sick.Failures) != 1 {
		t.Fatalf("Wait: %v", err)
	}
	if e := sick.Failures[0]; e.Reason != "Unhealthy" || !strings.HasPrefix(e.Cause,
		"the readiness probe GET :8080/readyz never succeeded") {
		t.Errorf("evidence: %+v", e)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Wait(ctx, p.editor, set, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled wait: %v", err)
	}
}

// A definition is waited for until its kind is served.
func TestWaitServed(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	group := p.Namespace + ".acme.dev"
	set := p.Parse(t, `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: toys.`+group+`}
spec:
  group: `+group+`
  scope: Namespaced
  names: {kind: Toy, plural: toys}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
---
apiVersion: v1
kind: Namespace
metadata: {name: `+p.Namespace+`-more}
`)
	toy := object.Ref{Group: group, Kind: "Toy", Namespace: p.Namespace, Name: "a"}
	if s, err := Health(t.Context(), p.admin, Judge{}, []object.Ref{toy}); err != nil ||
		s[0].Health.Status != object.NotFound {
		t.Errorf("before: %v, %v", s, err)
	}
	apply(t, p.admin, set)
	if err := WaitServed(t.Context(), p.admin, set.Objects()...); err != nil {
		t.Fatal(err)
	}
	apply(t, p.admin, p.Parse(t, "apiVersion: "+group+"/v1\nkind: Toy\nmetadata: {name: a}\n"))
	s, err := Health(t.Context(), p.admin, Judge{}, []object.Ref{toy})
	if err != nil || s[0].Health.Status != object.Unknown || s[0].Blocking {
		t.Errorf("after: %v, %v", s, err)
	}
}

func TestWaitWithoutPermission(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	set := p.Parse(t, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api, namespace: kube-system}\n")
	err := Wait(t.Context(), p.editor, set, Options{Timeout: patience})
	var denied *cluster.PermissionError
	if !errors.As(err, &denied) {
		t.Errorf("Wait: %v", err)
	}
}
