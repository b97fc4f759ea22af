package rollout

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"slipway/internal/object"
)

func podOf(t *testing.T, text string) *corev1.Pod {
	t.Helper()
	var pod corev1.Pod
	if err := yaml.UnmarshalStrict([]byte(text), &pod); err != nil {
		t.Fatal(err)
	}
	return &pod
}

func warning(reason, message string) corev1.Event {
	return corev1.Event{Type: corev1.EventTypeWarning, Reason: reason, Message: message}
}

// Kubelets' and registries' own words, and what follows from them. "never" is for states that may
// well pass.
func TestSymptoms(t *testing.T) {
	const never = hopeful
	const spec = `spec: {nodeName: a, initContainers: [{name: init, image: i}], containers: [{name: app, image: ghcr.io/acme/app:v1,
		ports: [{name: http, containerPort: 8080}], readinessProbe: {tcpSocket: {port: http}}, livenessProbe: {exec: {command: [check, -q]}},
		startupProbe: {grpc: {port: 9090}}, resources: {requests: {memory: 2Gi, example.com/gpu: 4}}}]}
`
	status := func(text string) string {
		return spec + "status: {containerStatuses: [{name: app, restartCount: 0, " + text + "}]}"
	}
	for _, c := range []struct {
		name, pod string
		events    []corev1.Event
		reason    string
		after     time.Duration
		cause     string
	}{
		{"registry is away", status(
			`state: {waiting: {reason: ErrImagePull, message: 'dial tcp 10.0.0.1:443: i/o timeout'}}`), nil,
			"ImagePullBackOff", never, "the image ghcr.io/acme/app:v1 cannot be pulled: dial tcp 10.0.0.1:443: i/o " +
				"timeout"},
		{"registry is busy", status(
			`state: {waiting: {reason: ErrImagePull, message: 'unexpected status: 429 Too Many Requests'}}`), nil,
			"ImagePullBackOff", never, "the image ghcr.io/acme/app:v1 cannot be pulled: unexpected status: 429 Too " +
				"Many Requests"},
		{"registry refuses", status(
			`state: {waiting: {reason: ImagePullBackOff, message: 'Back-off pulling image "ghcr.io/acme/app:v1": ErrImagePull: failed to authorize: 401 Unauthorized'}}`), nil,
			"ImagePullBackOff", standImage, "the registry denies the image ghcr.io/acme/app:v1: the pull " +
				"secret is missing or wrong, or the repository does not exist"},
		{"wrong platform", status(
			`state: {waiting: {reason: ErrImagePull, message: 'no match for platform in manifest: not found'}}`), nil,
			"ImagePullBackOff", standImage, "the image ghcr.io/acme/app:v1 has no variant for the node's platform"},
		{"certificate", status(
			`state: {waiting: {reason: ErrImagePull, message: 'tls: failed to verify certificate: x509: certificate signed by unknown authority'}}`), nil,
			"ImagePullBackOff", standImage, "the node does not trust the registry of the image ghcr.io/acme/app:v1"},
		{"older kubelet", status(`state: {waiting: {reason: ImagePullBackOff, message: Back-off pulling image}}`),
			[]corev1.Event{warning("Failed", `Failed to pull image "ghcr.io/acme/app:v1": manifest unknown`)},
			"ImagePullBackOff", never, "the image ghcr.io/acme/app:v1 is not in the registry"},
		{"starting", status(`state: {waiting: {reason: ContainerCreating}}`), nil, "ContainerCreating", never, ""},
		{"missing key", status(
			`state: {waiting: {reason: CreateContainerConfigError, message: "couldn't find key url in Secret prod/db"}}`), nil,
			"CreateContainerConfigError", standConfig, `it needs the key "url", which the Secret "db" does not have`},
		{"root not allowed", status(
			`state: {waiting: {reason: CreateContainerConfigError, message: container has runAsNonRoot and image will run as root}}`), nil,
			"CreateContainerConfigError", standConfig,
			"the container's configuration is wrong: container has runAsNonRoot and image will run as root"},
		{"command missing", status(
			`state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 128, reason: StartError, message: 'exec: "srv": executable file not found in $PATH'}}`), nil,
			"StartError", 0, `the container's command cannot be started: exec: "srv": executable file not found in $PATH`},
		{"command missing under containerd", status(
			`state: {waiting: {reason: RunContainerError, message: 'failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/bin/serve": stat /bin/serve: no such file or directory: unknown'}}`), nil,
			"RunContainerError", standConfig,
			`the container's command cannot be started: exec: "/bin/serve": stat /bin/serve: no such file or directory`},
		{"no command", status(
			`state: {waiting: {reason: CreateContainerError, message: 'failed to generate container "6bc8" spec: failed to generate spec: no command specified'}}`), nil,
			"CreateContainerError", standConfig,
			"the image ghcr.io/acme/app:v1 has no command, and the manifest gives none"},
		{"ends by itself", status(
			`state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 0, reason: Completed}}`),
			nil,
			"CrashLoopBackOff", 0, "the container ends by itself with exit code 0 right after it starts, but should " +
				"keep running"},
		{"has ended by itself",
			`spec: {nodeName: a, restartPolicy: Always, containers: [{name: app}]}
status: {containerStatuses: [{name: app, restartCount: 2, state: {terminated: {exitCode: 0, reason: Completed}}}]}`, nil,
			"CrashLoopBackOff", 0, "the container ends by itself with exit code 0 right after it starts, but should " +
				"keep running"},
		{"crashes after a while",
			status(`state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 2, reason: Error,
			startedAt: "2026-11-01T10:00:00Z", finishedAt: "2026-11-01T10:00:42Z"}}`), nil,
			"CrashLoopBackOff", 0, "the container exits with code 2 after 42s"},
		{"killed by its liveness probe",
			status(`state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 137, reason: Error}}`),
			[]corev1.Event{warning("Unhealthy", "Liveness probe failed: no such table: users")},
			"CrashLoopBackOff", 0, `the container is restarted because its liveness probe "check -q" fails: no such table: users`},
		{"first crash", status(`state: {terminated: {exitCode: 1, reason: Error}}`), nil,
			"Error", never, "the container exits with code 1 right after it starts"},
		{"not ready", status(`state: {running: {}}, ready: false`),
			[]corev1.Event{warning("Unhealthy",
				"Readiness probe failed: dial tcp 10.244.0.7:8080: connect: connection refused")},
			"Unhealthy", never, "the readiness probe on TCP port 8080 never succeeded: connection refused"},
		{"not started", status(`state: {running: {}}, ready: false`),
			[]corev1.Event{warning("Unhealthy",
				`Startup probe failed: timeout: failed to connect service ":9090" within 1s: context deadline exceeded`)},
			"Unhealthy", never, "the startup probe on gRPC port 9090 fails: timeout"},
		{"init container runs", spec +
			`status: {initContainerStatuses: [{name: init, restartCount: 0, state: {running: {}}}],
			containerStatuses: [{name: app, restartCount: 0, state: {waiting: {reason: PodInitializing}}}]}`, nil,
			"PodInitializing", never, "the init container has not finished yet"},
		{"init container keeps others waiting",
			spec + `status: {initContainerStatuses: [{name: init, restartCount: 3, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 9}}}],
			containerStatuses: [{name: app, restartCount: 0, state: {waiting: {reason: PodInitializing}}}]}`, nil,
			"CrashLoopBackOff", 0, `the init container "init" exits with code 9 right after it starts`},
		{"a second container is at fault",
			spec + `status: {containerStatuses: [{name: app, restartCount: 0, ready: false, state: {running: {}}},
			{name: side, restartCount: 0, state: {waiting: {reason: InvalidImageName, message: bad}}}]}`, nil,
			"InvalidImageName", 0, `"" is not a valid image name`},
		{"no memory", `{spec: {containers: [{name: app, resources: {requests: {memory: 2Gi}}}]}, status: {conditions: [{type: PodScheduled, status: "False", reason: Unschedulable,
			message: '0/2 nodes are available: 1 Insufficient memory, 1 node(s) had untolerated taint(s). preemption: 0/2 nodes are available: 2 No preemption victims found.'}]}}`, nil,
			"Unschedulable", time.Minute,
			"no node has 2Gi of memory free: 1 Insufficient memory, 1 node(s) had untolerated taint(s)"},
		{"no claim", `{status: {conditions: [{type: PodScheduled, status: "False", reason: Unschedulable, message: 'persistentvolumeclaim "data" not found'}]}}`, nil,
			"Unschedulable", time.Minute, `no node fits the pod: persistentvolumeclaim "data" not found`},
		{"pushes others out", `{status: {nominatedNodeName: a, conditions: [{type: PodScheduled, status: "False", reason: Unschedulable, message: m}]}}`, nil,
			"Unschedulable", never, "no node fits the pod: m"},
		{"gated", `{status: {conditions: [{type: PodScheduled, status: "False", reason: SchedulingGated, message: waits for quota}]}}`, nil,
			"SchedulingGated", never, "waits for quota"},
	} {
		t.Run(c.name, func(t *testing.T) {
			list := podSymptoms(podOf(t, c.pod), time.Minute, func(_ string, restarts int32, waiting bool) bool {
				return waiting || restarts >= 2
			})
			if len(list) == 0 {
				t.Fatal("no symptom")
			}
			s := list[0]
			if s.reason != c.reason || s.after != c.after {
				t.Errorf("%s after %s, want %s after %s", s.reason, s.after, c.reason, c.after)
			}
			if diff := cmp.Diff(c.cause, cause(s, s, c.events)); diff != "" {
				t.Errorf("cause (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHealthyPodHasNoSymptom(t *testing.T) {
	pod := podOf(
		t, `{spec: {nodeName: a}, status: {initContainerStatuses: [{name: i, restartCount: 0, ready: true, state: {terminated: {exitCode: 0}}}],
		containerStatuses: [{name: app, ready: true, restartCount: 4, state: {running: {}}, lastState: {terminated: {exitCode: 1}}}]}}`)
	if list := podSymptoms(pod, 0, func(string, int32, bool) bool { return true }); len(list) > 0 {
		t.Errorf("symptoms: %+v", list)
	}
}

func TestMountSymptoms(t *testing.T) {
	for message, want := range map[string]string{
		`MountVolume.SetUp failed for volume "tls" : secret "api-tls" not found`:                      `it needs the Secret "api-tls", which does not exist`,
		`MountVolume.SetUp failed for volume "etc" : configmap "api" not found`:                       `it needs the ConfigMap "api", which does not exist`,
		`MountVolume.SetUp failed for volume "etc" : configmap references non-existent config key: a`: `the container's configuration is wrong: MountVolume.SetUp failed for volume "etc" : configmap references non-existent config key: a`,
		`MountVolume.SetUp failed for volume "etc" : failed to sync configmap cache: timed out`:       "",
	} {
		got := ""
		for _, s := range mountSymptoms(&corev1.Pod{}, []corev1.Event{warning("FailedMount", message)}) {
			got = cause(s, s, nil)
		}
		if got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", message, got, want)
		}
	}
}

// A verdict needs a symptom that stands, and a crash that is new.
func TestJudge(t *testing.T) {
	it := newItem(sample(t))
	now := time.Now()
	s := symptom{reason: "CreateContainerConfigError", after: 8 * time.Second}
	for _, step := range []struct {
		at    time.Duration
		seen  bool
		final bool
	}{{0, true, false}, {4 * time.Second, true, false}, {9 * time.Second, true, true}, {10 * time.Second, false,
		false}, {19 * time.Second, true, false}} {
		it.symptoms = nil
		if step.seen {
			it.add(s)
		}
		if it.judge(now.Add(step.at)); (len(it.final) > 0) != step.final {
			t.Errorf("after %s: final %v, want %v", step.at, it.final, step.final)
		}
	}
	for _, c := range []struct {
		name  string
		first int32
		next  []int32
		want  string
	}{
		{"new pod", 0, []int32{1, 2}, "no no yes"},
		{"had crashed once before we looked", 1, []int32{2}, "no yes"},
		{"has been crashing for long", 7, []int32{7, 8}, "no no yes"},
	} {
		it := newItem(sample(t))
		got := word(it.crashes("a", c.first, false))
		for _, n := range c.next {
			got += " " + word(it.crashes("a", n, false))
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// A pull that failed before we looked counts once it has been tried again.
func TestOldPulls(t *testing.T) {
	for _, c := range []struct {
		name      string
		unchanged bool
		reasons   []string // at each look
		want      string
	}{
		{"of an object that this deploy changed", false, []string{"ImagePullBackOff", "ImagePullBackOff"}, "no no"},
		{"fails again", true, []string{"ImagePullBackOff", "ImagePullBackOff", "ErrImagePull", "ImagePullBackOff"},
			"yes yes no no"},
		{"had just failed", true, []string{"ErrImagePull", "ErrImagePull", "ImagePullBackOff", "ErrImagePull"},
			"yes yes yes no"},
		{"succeeds", true, []string{"ImagePullBackOff", "", ""}, "yes no no"},
		{"was on its way", true, []string{"ContainerCreating", "ErrImagePull"}, "no no"},
	} {
		it := newItem(sample(t))
		it.unchanged = c.unchanged
		var got []string
		for _, reason := range c.reasons {
			pod := podOf(t, `{status: {containerStatuses: [{name: app, state: {waiting: {reason: "`+reason+`"}}}]}}`)
			got = append(got, word(it.hasOldPulls([]corev1.Pod{*pod})))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %s, want %s", c.name, strings.Join(got, " "), c.want)
		}
	}
	it := newItem(sample(t))
	it.unchanged = true
	it.hasOldPulls(nil)
	if it.hasOldPulls(
		[]corev1.Pod{*podOf(
			t, `{status: {containerStatuses: [{name: app, state: {waiting: {reason: ErrImagePull}}}]}}`)}) {
		t.Error("a later pod: its first failure is new")
	}
}

func word(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func TestLines(t *testing.T) {
	got := lines([]byte("first\r\n\n\x1b[31mred\x1b[0m\x07 \x1b]0;title\x07secret\nbad \xff utf8\n"+
		strings.Repeat("x", 2000)), []string{"secret"})
	want := []string{"first", "red (hidden)", "bad \uFFFD utf8", strings.Repeat("x", maxMessage) + "…"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func sample(t *testing.T) object.Object {
	t.Helper()
	list, err := object.Read(strings.NewReader("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n"),
		"a.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return list[0]
}

// The line with which a crash begins is kept, however long its stack is.
func TestLinesOfACrash(t *testing.T) {
	stack := "listening\npanic: nil map\n\n" + strings.Repeat("goroutine 1 [running]:\n", 100) + "exit status 2\n"
	got := lines([]byte(stack), nil)
	if len(got) != maxLogLines || got[0] != "panic: nil map" || got[1] != "… 88 lines" || got[14] != "exit status 2" {
		t.Errorf("%d lines: %q", len(got), got)
	}
	if short := lines([]byte("a\npanic: b\nc\n"), nil); !slices.Equal(short, []string{"a", "panic: b", "c"}) {
		t.Errorf("a short log: %q", short)
	}
}
