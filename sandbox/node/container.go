package node

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The kubelet's times, most of them a tenth: a back-off of five minutes teaches no more than one
// of thirty seconds.
const (
	backoffBase  = time.Second            // kubelet: 10 s
	backoffLimit = 30 * time.Second       // kubelet: 5 min
	backoffReset = time.Minute            // a run this long wipes the back-off; kubelet: 10 min
	noticeDelay  = 200 * time.Millisecond // until an end, or a failed pull, is acted upon
	retryDelay   = 2 * time.Second        // until a configuration error is looked at again
	resyncDelay  = time.Second            // until a back-off shows as such; kubelet: 10 s
	pullDelay    = 2 * time.Second        // that a pull which failed again shows as such; kubelet: 10 to 15 s
)

type role int

const (
	regular role = iota
	initial      // runs to its end before the next is started
	sidecar      // an init container that stays
)

// container is one container as the simulated runtime sees it. What it does next follows from
// status.State alone: waiting, running or terminated.
type container struct {
	role   role
	spec   *corev1.Container
	status corev1.ContainerStatus

	ip      string // of the pod, as in what probes say
	script  script
	image   image
	wake    time.Time // when there is something to do; zero: nothing
	started time.Time // the status knows whole seconds only
	crashes int       // ends since the back-off was wiped
	restart time.Time // the end of the back-off, until the status shows it
	delay   time.Duration
	pulls   int    // failed pulls in a row
	pullErr string // of the last failed pull, while it is backed off

	startup, liveness, readiness *probe
}

// notice is an event to be recorded about a pod, or about one of its containers.
type notice struct {
	kind, reason, message string
	container             *container
}

func normal(c *container, reason, format string, args ...any) notice {
	return notice{corev1.EventTypeNormal, reason, fmt.Sprintf(format, args...), c}
}

func warning(c *container, reason, format string, args ...any) notice {
	return notice{corev1.EventTypeWarning, reason, fmt.Sprintf(format, args...), c}
}

func backoff(failures int) time.Duration {
	if failures <= 0 {
		return 0
	}
	return min(backoffBase<<min(failures-1, 16), backoffLimit)
}

func (c *container) restartPolicy(pod *corev1.Pod) corev1.RestartPolicy {
	switch {
	case c.spec.RestartPolicy != nil:
		return corev1.RestartPolicy(*c.spec.RestartPolicy)
	case c.role == initial && pod.Spec.RestartPolicy == corev1.RestartPolicyAlways:
		return corev1.RestartPolicyOnFailure // always would never end
	}
	return pod.Spec.RestartPolicy
}

func (c *container) isStarted() bool { return c.status.Started != nil && *c.status.Started }

// begun says that it ran at least once.
func (c *container) begun() bool {
	return c.status.State.Running != nil || c.status.State.Terminated != nil ||
		c.status.LastTerminationState.Terminated != nil
}

// finished says that it ended and will not be started again.
func (c *container) finished(pod *corev1.Pod) bool {
	t := c.status.State.Terminated
	if t == nil {
		return false
	}
	if pod.DeletionTimestamp != nil {
		return true
	}
	policy := c.restartPolicy(pod)
	return policy == corev1.RestartPolicyNever || policy == corev1.RestartPolicyOnFailure && t.ExitCode == 0
}

// passed says that those after it in the order of init containers may be started.
func (c *container) passed() bool {
	if c.role == sidecar {
		return c.isStarted()
	}
	return c.status.State.Terminated != nil && c.status.State.Terminated.ExitCode == 0
}

func (c *container) due(now time.Time) bool {
	return c.status.State.Waiting != nil && !c.wake.After(now)
}

// wait says why it is not running, and when to look again.
func (c *container) wait(reason, message string, until time.Time) {
	if t := c.status.State.Terminated; t != nil {
		c.status.LastTerminationState = c.status.State
	}
	c.status.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason,
		Message: message}}
	c.status.Ready, c.status.Started = false, new(bool)
	c.wake = until
}

// start begins a run.
func (c *container) start(pod *corev1.Pod, s script, img image, now time.Time) []notice {
	if c.status.LastTerminationState.Terminated != nil {
		c.status.RestartCount++
	}
	c.script, c.image, c.started = s, img, now
	c.pulls, c.pullErr = 0, ""
	c.status.ContainerID = containerID(pod, c.spec.Name, c.status.RestartCount)
	c.status.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: whole(now)}}
	c.status.Started, c.status.Ready = new(bool), false
	c.watch(now)
	return []notice{normal(c, "Created", "Container created"), normal(c, "Started", "Container started")}
}

// watch sets the probes of a run up.
func (c *container) watch(from time.Time) {
	c.startup = newProbe("Startup", c.spec.StartupProbe, from, false)
	c.liveness, c.readiness = nil, nil
	if c.startup == nil {
		c.live(from)
	}
}

// live begins what waits for the startup probe: the other two probes.
func (c *container) live(from time.Time) {
	if c.role == initial {
		return
	}
	*c.status.Started = true
	c.liveness = newProbe("Liveness", c.spec.LivenessProbe, c.started, true)
	c.readiness = newProbe("Readiness", readinessProbe(c.spec, c.script), c.started, false)
	c.status.Ready = c.readiness == nil
	for _, p := range []*probe{c.liveness, c.readiness} {
		if p != nil && p.next.Before(from) {
			p.next = from
		}
	}
}

func containerID(pod *corev1.Pod, name string, run int32) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", pod.UID, name, run))
	return "sandbox://" + hex.EncodeToString(sum[:])
}

func whole(t time.Time) metav1.Time { return metav1.NewTime(t.Truncate(time.Second)) }

// step moves a run on to now: its end, its probes, the wait before the next run.
func (c *container) step(pod *corev1.Pod, now time.Time) []notice {
	var notes []notice
	if c.status.State.Running != nil {
		notes = c.run(pod, now)
	}
	if t := c.status.State.Terminated; t != nil && !c.finished(pod) && !c.wake.After(now) {
		notes = append(notes, c.again(pod, now)...)
	}
	return notes
}

func (c *container) run(pod *corev1.Pod, now time.Time) []notice {
	if end := c.started.Add(c.script.after); c.script.exits && !end.After(now) {
		c.exit(pod, c.script.code, c.script.reason, now)
		return nil
	}
	notes, kill := c.probe(now)
	if kill != "" {
		notes = append(notes, normal(c, "Killing", "Container %s failed %s probe, will be restarted",
			c.spec.Name, kill))
		if c.script.hangs {
			c.exit(pod, 137, "Error", now)
		} else {
			c.exit(pod, 0, "Completed", now) // as a service ends that handles SIGTERM
		}
		return notes
	}
	c.wake = time.Time{}
	if c.script.exits {
		c.wake = c.started.Add(c.script.after)
	}
	for _, p := range []*probe{c.startup, c.liveness, c.readiness} {
		if p != nil {
			c.wake = sooner(c.wake, p.next)
		}
	}
	return notes
}

// exit ends a run.
func (c *container) exit(pod *corev1.Pod, code int32, reason string, now time.Time) {
	t := &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, ContainerID: c.status.ContainerID,
		StartedAt: whole(c.started), FinishedAt: whole(now)}
	if code != 0 && c.spec.TerminationMessagePolicy == corev1.TerminationMessageFallbackToLogsOnError {
		t.Message = strings.Join(logLines(pod, c.spec.Name, c.image), "\n") + "\n"
	}
	c.status.State = corev1.ContainerState{Terminated: t}
	c.status.Started, c.status.Ready = new(bool), c.role == initial && code == 0
	c.startup, c.liveness, c.readiness = nil, nil, nil
	if now.Sub(c.started) >= backoffReset {
		c.crashes = 0
	}
	c.wake = now.Add(noticeDelay)
}

// again decides when the next run begins: the first time at once, then ever later. As with a kubelet, the
// status first shows only that the run has ended, and the back-off when the pod is looked at again.
func (c *container) again(pod *corev1.Pod, now time.Time) []notice {
	if !c.restart.IsZero() {
		c.wait("CrashLoopBackOff", fmt.Sprintf("back-off %v restarting failed container=%s pod=%s", c.delay,
			c.spec.Name, fullName(pod)), c.restart)
		c.restart = time.Time{}
		return nil
	}
	ended := c.wake.Add(-noticeDelay)
	c.delay = backoff(c.crashes)
	c.crashes++
	if c.delay <= noticeDelay {
		c.wait("ContainerCreating", "", now)
		return nil
	}
	c.wake = ended.Add(resyncDelay)
	c.restart = ended.Add(max(c.delay, resyncDelay+noticeDelay))
	return []notice{warning(c, "BackOff", "Back-off restarting failed container %s in pod %s", c.spec.Name,
		fullName(pod))}
}

// fullName is how the kubelet writes a pod's name.
func fullName(pod *corev1.Pod) string {
	return fmt.Sprintf("%s_%s(%s)", pod.Name, pod.Namespace, pod.UID)
}

// probe runs the probes that are due. kill names the one that wants the container's end.
func (c *container) probe(now time.Time) (notes []notice, kill string) {
	if p := c.startup; p != nil && due(p, now) {
		ok := now.Sub(c.started) >= c.script.slow
		if !ok {
			notes = append(notes, warning(c, "Unhealthy", "%s", p.failure(c.ip, c.spec, false)))
		}
		switch decided := p.observe(ok, now); {
		case decided && !ok:
			return notes, "startup"
		case decided:
			c.startup = nil
			c.live(now)
		}
	}
	if p := c.liveness; p != nil && due(p, now) {
		ok, listening := c.healthy(now, true)
		if !ok {
			notes = append(notes, warning(c, "Unhealthy", "%s", p.failure(c.ip, c.spec, listening)))
		}
		if p.observe(ok, now) && !ok {
			return notes, "liveness"
		}
		if ok {
			p.rest(c.decline())
		}
	}
	if p := c.readiness; p != nil && due(p, now) {
		ok, listening := c.healthy(now, false)
		if !ok {
			notes = append(notes, warning(c, "Unhealthy", "%s", p.failure(c.ip, c.spec, listening)))
		}
		if p.observe(ok, now); ok && p.result {
			p.rest(c.decline())
		}
		c.status.Ready = p.result
	}
	return notes, ""
}

func due(p *probe, now time.Time) bool { return !p.next.IsZero() && !p.next.After(now) }

// decline is when a healthy run stops to be healthy; zero is never.
func (c *container) decline() time.Time {
	if c.script.unhealthy == 0 {
		return time.Time{}
	}
	return c.started.Add(c.script.unhealthy)
}

// healthy is the script's answer to a liveness or readiness probe. Where there is a liveness
// probe it is the one that notices a run gone bad; the readiness probe has its say otherwise.
func (c *container) healthy(now time.Time, liveness bool) (ok, listening bool) {
	age := now.Sub(c.started)
	switch {
	case age < c.script.slow:
		return false, false
	case !liveness && c.script.neverReady:
		return false, true
	case c.script.unhealthy > 0 && age >= c.script.unhealthy && (liveness || c.spec.LivenessProbe == nil):
		return false, true
	}
	return true, true
}

// sooner is the earlier of two times of which zero means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
