package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var dawn = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// stage plays a pod without a cluster: time jumps from one thing to do to the next.
type stage struct {
	*testing.T
	pod   *pod
	now   time.Time
	lines []string
}

func newStage(t *testing.T, obj *corev1.Pod) *stage {
	p := adopt(obj, dawn)
	p.mounted, p.ip = true, "10.244.0.2"
	return &stage{T: t, pod: p, now: dawn}
}

func (s *stage) note(notes []notice) {
	for _, n := range notes {
		s.lines = append(s.lines, fmt.Sprintf("%v %s %s", s.now.Sub(dawn), n.reason, n.message))
	}
}

// until plays up to a time after dawn.
func (s *stage) until(d time.Duration) {
	s.Helper()
	for {
		s.note(s.pod.advance(s.now))
		for c := s.pod.next(s.now); c != nil; c = s.pod.next(s.now) {
			sc, err := scriptFor(s.pod.obj, c, nil)
			if err != nil {
				s.Fatal(err)
			}
			c.ip = s.pod.ip
			s.note(c.start(s.pod.obj, sc, image{}, s.now))
			s.note(s.pod.advance(s.now))
		}
		wake := s.pod.wake()
		if wake.IsZero() || wake.After(dawn.Add(d)) {
			s.now = dawn.Add(d)
			return
		}
		if !wake.After(s.now) {
			s.Fatalf("at %v the pod wants to be looked at again at %v", s.now.Sub(dawn), wake.Sub(dawn))
		}
		s.now = wake
	}
}

// heard are the events but those of a plain start.
func (s *stage) heard() (lines []string) {
	for _, l := range s.lines {
		if !strings.Contains(l, " Created ") {
			lines = append(lines, strings.Replace(l, " Container started", "", 1))
		}
	}
	return lines
}

func (s *stage) condition(kind corev1.PodConditionType) string {
	for _, c := range s.pod.report(s.now).Conditions {
		if c.Type == kind {
			return strings.TrimSpace(fmt.Sprintf("%s %s %s", c.Status, c.Reason, c.Message))
		}
	}
	return "none"
}

func single(annotations ...string) *corev1.Pod {
	p := testPod(annotations...)
	p.Spec.InitContainers, p.Spec.Containers = nil, p.Spec.Containers[:1]
	return p
}

func httpProbe(period, failures int32) *corev1.Probe {
	return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz",
		Port: intstr.FromInt32(8080)}},
		PeriodSeconds: period, FailureThreshold: failures, SuccessThreshold: 1}
}

func expect(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got)\n%s", what, d)
	}
}

func TestCrashLoop(t *testing.T) {
	s := newStage(t, single("behavior", "crash exit=3"))
	s.until(700 * time.Millisecond)
	expect(t, "not shown as a back-off yet", int32(3), s.pod.report(s.now).ContainerStatuses[0].State.Terminated.ExitCode)
	s.until(5 * time.Second)
	const back = "BackOff Back-off restarting failed container app in pod web_ns(u1)"
	expect(t, "events", []string{
		"0s Started", "200ms Started", "400ms " + back, "1.4s Started", "1.6s " + back, "3.4s Started",
		"3.6s " + back,
	}, s.heard())
	got := s.pod.report(s.now)
	c := got.ContainerStatuses[0]
	expect(t, "waiting", &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff",
		Message: "back-off 4s restarting failed container=app pod=web_ns(u1)"}, c.State.Waiting)
	expect(t, "restarts", int32(3), c.RestartCount)
	expect(t, "phase", corev1.PodRunning, got.Phase)
	last := c.LastTerminationState.Terminated
	if last == nil || last.ExitCode != 3 || last.Reason != "Error" || last.ContainerID == "" {
		t.Errorf("last state: %+v", last)
	}
	expect(t, "Ready", "False ContainersNotReady containers with unready status: [app]",
		s.condition(corev1.PodReady))
}

func TestBackoffEndsAfterALongRun(t *testing.T) {
	s := newStage(t, single("behavior", "crash-after=61s"))
	s.until(124 * time.Second)
	expect(t, "events", []string{"0s Started", "1m1.2s Started", "2m2.4s Started"}, s.heard())
}

func TestCrashIsNeverSeenReady(t *testing.T) {
	s := newStage(t, single("behavior", "crash"))
	s.until(0)
	expect(t, "Ready", "False ContainersNotReady containers with unready status: [app]",
		s.condition(corev1.PodReady))
}

func TestOOMAndTerminationMessage(t *testing.T) {
	obj := single("behavior", "oom", "log", "filling\nmemory")
	obj.Spec.Containers[0].TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
	s := newStage(t, obj)
	s.until(0)
	got := s.pod.report(s.now).ContainerStatuses[0].State.Terminated
	if got == nil || got.Reason != "OOMKilled" || got.ExitCode != 137 || got.Message != "filling\nmemory\n" {
		t.Errorf("terminated: %+v", got)
	}
}

func TestReadiness(t *testing.T) {
	const refused = `Unhealthy Readiness probe failed: Get "http://10.244.0.2:8080/healthz": dial tcp 10.244.0.2:8080: connect: connection refused`
	const bad = "Unhealthy Readiness probe failed: HTTP probe failed with statuscode: 503"
	const ready, unready = "True", "False ContainersNotReady containers with unready status: [app]"
	delayed := httpProbe(2, 3)
	delayed.InitialDelaySeconds, delayed.SuccessThreshold = 3, 2
	for _, tc := range []struct {
		name, behavior string
		probe          *corev1.Probe
		at             time.Duration
		want           []string
		ready          string
	}{
		{"no probe", "", nil, 0, nil, ready},
		{"probe", "", httpProbe(10, 3), 0, nil, ready},
		{"before the second success", "", delayed, 4 * time.Second, nil, unready},
		{"at the second success", "", delayed, 5 * time.Second, nil, ready},
		{"slow", "slow=2s", httpProbe(1, 3), time.Second, []string{"0s " + refused, "1s " + refused}, unready},
		{"slow, later", "slow=2s", httpProbe(1, 3), 2 * time.Second, []string{"0s " + refused,
			"1s " + refused}, ready},
		{"never", "never-ready", httpProbe(2, 3), 3 * time.Second, []string{"0s " + bad, "2s " + bad}, unready},
		{"never, without a probe", "never-ready", nil, 0, []string{"0s " + bad}, unready},
		{"slow, without a probe", "slow=1s", nil, time.Second, []string{"0s " + strings.NewReplacer(":8080", ":80",
			"/healthz", "/").Replace(refused)}, ready},
		{"unhealthy, below the threshold", "unhealthy-after=3s", httpProbe(2, 2), 5 * time.Second,
			[]string{"4s " + bad}, ready},
		{"unhealthy, at the threshold", "unhealthy-after=3s", httpProbe(2, 2), 6 * time.Second,
			[]string{"4s " + bad, "6s " + bad}, unready},
	} {
		t.Run(tc.name, func(t *testing.T) {
			obj := single("behavior", tc.behavior)
			obj.Spec.Containers[0].ReadinessProbe = tc.probe
			s := newStage(t, obj)
			s.until(tc.at)
			expect(t, "events", append([]string{"0s Started"}, tc.want...), s.heard())
			expect(t, "Ready", tc.ready, s.condition(corev1.PodReady))
		})
	}
}

func TestLivenessKills(t *testing.T) {
	for behavior, code := range map[string]int32{"unhealthy-after=3s": 0, "unhealthy-after=3s hang": 137} {
		t.Run(behavior, func(t *testing.T) { testLivenessKills(t, behavior, code) })
	}
}

func testLivenessKills(t *testing.T, behavior string, code int32) {
	obj := single("behavior", behavior)
	obj.Spec.Containers[0].LivenessProbe = httpProbe(1, 2)
	obj.Spec.Containers[0].ReadinessProbe = httpProbe(1, 2)
	s := newStage(t, obj)
	s.until(5 * time.Second)
	const bad = "Unhealthy Liveness probe failed: HTTP probe failed with statuscode: 503"
	expect(t, "events", []string{"0s Started", "3s " + bad, "4s " + bad,
		"4s Killing Container app failed liveness probe, will be restarted", "4.2s Started"}, s.heard())
	c := s.pod.report(s.now).ContainerStatuses[0]
	if last := c.LastTerminationState.Terminated; last == nil || last.ExitCode != code ||
		c.RestartCount != 1 || !c.Ready {
		t.Errorf("status: %+v", c)
	}
}

func TestStartupProbeHoldsTheOthersBack(t *testing.T) {
	obj := single("behavior", "slow=2s")
	obj.Spec.Containers[0].StartupProbe = httpProbe(1, 30)
	obj.Spec.Containers[0].LivenessProbe = httpProbe(1, 1)
	s := newStage(t, obj)
	s.until(1 * time.Second)
	expect(t, "started", false, *s.pod.report(s.now).ContainerStatuses[0].Started)
	s.until(10 * time.Second)
	refused := `Unhealthy Startup probe failed: Get "http://10.244.0.2:8080/healthz": dial tcp 10.244.0.2:8080: connect: connection refused`
	expect(t, "events", []string{"0s Started", "0s " + refused, "1s " + refused}, s.heard())
	expect(t, "Ready", "True", s.condition(corev1.PodReady))
}

func TestStartupProbeGivesUp(t *testing.T) {
	obj := single("behavior", "slow=10s")
	obj.Spec.Containers[0].StartupProbe = httpProbe(1, 2)
	s := newStage(t, obj)
	s.until(1 * time.Second)
	expect(t, "last event", "1s Killing Container app failed startup probe, will be restarted",
		s.lines[len(s.lines)-1])
}

// A healthy pod must cost nothing: no look at it at each period of a probe.
func TestHealthyPodSleeps(t *testing.T) {
	obj := single()
	obj.Spec.Containers[0].LivenessProbe, obj.Spec.Containers[0].ReadinessProbe = httpProbe(1, 3),
		httpProbe(1, 3)
	s := newStage(t, obj)
	s.until(0)
	if wake := s.pod.wake(); !wake.IsZero() {
		t.Errorf("wakes %v after its start", wake.Sub(dawn))
	}
}

func TestRestartPolicies(t *testing.T) {
	for _, tc := range []struct {
		policy   corev1.RestartPolicy
		behavior string
		phase    corev1.PodPhase
		restarts int32
		ready    string
	}{
		{corev1.RestartPolicyNever, "", corev1.PodSucceeded, 0, "False PodCompleted"},
		{corev1.RestartPolicyNever, "run=2s exit=5", corev1.PodFailed, 0, "False PodFailed"},
		{corev1.RestartPolicyOnFailure, "run=2s", corev1.PodSucceeded, 0, "False PodCompleted"},
		{corev1.RestartPolicyOnFailure, "run=2s exit=5", corev1.PodRunning, 1, "True"},
		{corev1.RestartPolicyAlways, "run=2s", corev1.PodRunning, 1, "True"},
	} {
		t.Run(fmt.Sprintf("%s %s", tc.policy, tc.behavior), func(t *testing.T) {
			obj := single("behavior", tc.behavior)
			obj.Spec.RestartPolicy = tc.policy
			s := newStage(t, obj)
			s.until(3 * time.Second)
			got := s.pod.report(s.now)
			expect(t, "phase", tc.phase, got.Phase)
			expect(t, "restarts", tc.restarts, got.ContainerStatuses[0].RestartCount)
			expect(t, "Ready", tc.ready, s.condition(corev1.PodReady))
		})
	}
}

func TestInitContainersRunInOrder(t *testing.T) {
	obj := testPod()
	always := corev1.ContainerRestartPolicyAlways
	obj.Spec.InitContainers = []corev1.Container{{Name: "prepare"}, {Name: "mesh", RestartPolicy: &always},
		{Name: "migrate"}}
	s := newStage(t, obj)
	s.until(50 * time.Millisecond)
	expect(t, "phase", corev1.PodPending, s.pod.report(s.now).Phase)
	expect(t, "Initialized", "False ContainersNotInitialized containers with incomplete status: [prepare mesh "+
		"migrate]", s.condition(corev1.PodInitialized))
	s.until(150 * time.Millisecond)
	expect(t, "Initialized", "False ContainersNotInitialized containers with incomplete status: [migrate]",
		s.condition(corev1.PodInitialized))
	s.until(time.Second)
	expect(t, "events", []string{"0s Started", "100ms Started", "100ms Started", "200ms Started",
		"200ms Started"}, s.heard())
	expect(t, "Initialized", "True", s.condition(corev1.PodInitialized))
	expect(t, "Ready", "True", s.condition(corev1.PodReady))
}

func TestInitCrash(t *testing.T) {
	s := newStage(t, testPod("behavior", "init-crash"))
	s.until(1300 * time.Millisecond)
	got := s.pod.report(s.now)
	expect(t, "phase", corev1.PodPending, got.Phase)
	expect(t, "init container", "CrashLoopBackOff", got.InitContainerStatuses[0].State.Waiting.Reason)
	expect(t, "container", "PodInitializing", got.ContainerStatuses[0].State.Waiting.Reason)
	never := testPod("behavior", "init-crash")
	never.Spec.RestartPolicy = corev1.RestartPolicyNever
	s = newStage(t, never)
	s.until(time.Second)
	expect(t, "phase with policy Never", corev1.PodFailed, s.pod.report(s.now).Phase)
}

func TestSidecarEndsWithTheWork(t *testing.T) {
	obj := single()
	always := corev1.ContainerRestartPolicyAlways
	obj.Spec.InitContainers = []corev1.Container{{Name: "mesh", RestartPolicy: &always}}
	obj.Spec.RestartPolicy = corev1.RestartPolicyNever
	s := newStage(t, obj)
	s.until(5 * time.Second)
	got := s.pod.report(s.now)
	expect(t, "phase", corev1.PodSucceeded, got.Phase)
	if got.InitContainerStatuses[0].State.Terminated == nil {
		t.Errorf("sidecar: %+v", got.InitContainerStatuses[0].State)
	}
}

func TestReadinessGate(t *testing.T) {
	obj := single()
	obj.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.com/x"}}
	s := newStage(t, obj)
	s.until(0)
	expect(t, "Ready", `False ReadinessGatesNotReady corresponding condition of pod readiness gate "example.com/x" does not exist.`, s.condition(corev1.PodReady))
	obj.Status.Conditions = []corev1.PodCondition{{Type: "example.com/x", Status: corev1.ConditionTrue}}
	expect(t, "Ready", "True", s.condition(corev1.PodReady))
}

func TestTermination(t *testing.T) {
	for _, tc := range []struct {
		name   string
		policy corev1.RestartPolicy
		grace  int64
		sleep  int64
		stops  time.Duration
		code   int32
	}{
		{"service", corev1.RestartPolicyAlways, 30, 0, stopTime, 0},
		{"job", corev1.RestartPolicyNever, 30, 0, stopTime, 143},
		{"preStop sleep", corev1.RestartPolicyAlways, 30, 2, 2*time.Second + stopTime, 0},
		{"preStop sleep beyond the grace", corev1.RestartPolicyAlways, 1, 5, time.Second, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			obj := single("behavior", "run=1h")
			obj.Spec.RestartPolicy = tc.policy
			if tc.sleep > 0 {
				obj.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: tc.sleep}}}
			}
			s := newStage(t, obj)
			s.until(time.Second)
			gone := obj.DeepCopy()
			gone.DeletionTimestamp, gone.DeletionGracePeriodSeconds = &metav1.Time{Time: s.now}, &tc.grace
			s.pod.update(gone)
			s.note(s.pod.advance(s.now))
			expect(t, "last event", "1s Killing Stopping container app", s.lines[len(s.lines)-1])
			expect(t, "stops", tc.stops, s.pod.wake().Sub(s.now))
			if s.pod.stopped(s.now) {
				t.Error("stopped at once")
			}
			s.now = s.pod.wake()
			s.note(s.pod.advance(s.now))
			if end := s.pod.report(s.now).ContainerStatuses[0].State.Terminated; !s.pod.stopped(s.now) || end == nil ||
				end.ExitCode != tc.code {
				t.Errorf("stopped %v, terminated %+v", s.pod.stopped(s.now), end)
			}
			if c := s.pod.next(s.now); c != nil {
				t.Errorf("%s would be started again", c.spec.Name)
			}
		})
	}
}

// After a restart of the sandbox, and after the node lifecycle controller took Ready away.
func TestAdoptRunningPod(t *testing.T) {
	obj := single()
	obj.Spec.Containers[0].ReadinessProbe = httpProbe(10, 3)
	s := newStage(t, obj)
	s.until(0)
	obj.Status = *s.pod.report(s.now)
	before := obj.Status.DeepCopy()
	for i := range obj.Status.Conditions {
		obj.Status.Conditions[i].Status = corev1.ConditionFalse
	}
	later := dawn.Add(time.Hour)
	p := adopt(obj, later)
	p.ip = obj.Status.PodIP
	p.containers[0].rejoin(script{}, image{}, later)
	if notes := p.advance(later); len(notes) > 0 {
		t.Errorf("events: %v", notes)
	}
	after := p.report(later)
	expect(t, "containers", before.ContainerStatuses, after.ContainerStatuses)
	for _, c := range after.Conditions {
		expect(t, string(c.Type), corev1.ConditionTrue, c.Status)
	}
}

func TestReportKeepsForeignConditions(t *testing.T) {
	obj := single()
	foreign := corev1.PodCondition{Type: "example.com/x", Status: corev1.ConditionTrue, Reason: "Theirs"}
	obj.Status.Conditions = []corev1.PodCondition{foreign}
	s := newStage(t, obj)
	s.until(0)
	expect(t, "condition", foreign, s.pod.report(s.now).Conditions[0])
}

func TestTransitionTimeIsOfTheLastChange(t *testing.T) {
	obj := single()
	s := newStage(t, obj)
	s.until(0)
	obj.Status = *s.pod.report(dawn)
	for _, c := range s.pod.report(dawn.Add(time.Hour)).Conditions {
		expect(t, string(c.Type), dawn, c.LastTransitionTime.Time)
	}
}
