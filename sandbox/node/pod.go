package node

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const stopTime = 200 * time.Millisecond // what a container takes to stop when it is asked to

// pod is what a node remembers of a pod between two looks at it. The files pod.go, container.go
// and probe.go decide and do nothing else: the time is a parameter, events are returned.
type pod struct {
	obj        *corev1.Pod  // the newest version known, from the watch or from our own write
	containers []*container // init containers first
	ip         string
	mounted    bool
	mounts     int       // failed attempts
	mountWake  time.Time // of the next attempt
	stopAt     time.Time // set once it is to go
}

// adopt takes a pod over as it stands: a new one, or one that ran before the sandbox was restarted.
func adopt(obj *corev1.Pod, now time.Time) *pod {
	p := &pod{obj: obj}
	add := func(specs []corev1.Container, known []corev1.ContainerStatus, init bool) {
		for i := range specs {
			c := &container{spec: &specs[i]}
			switch {
			case init && c.spec.RestartPolicy != nil && *c.spec.RestartPolicy == corev1.ContainerRestartPolicyAlways:
				c.role = sidecar
			case init:
				c.role = initial
			}
			at := slices.IndexFunc(known, func(s corev1.ContainerStatus) bool { return s.Name == c.spec.Name })
			if at >= 0 {
				c.resume(known[at], now)
			} else {
				c.status = corev1.ContainerStatus{Name: c.spec.Name, Image: c.spec.Image}
				c.wait(waitingReason(obj), "", now)
			}
			p.mounted = p.mounted || c.begun()
			p.containers = append(p.containers, c)
		}
	}
	add(obj.Spec.InitContainers, obj.Status.InitContainerStatuses, true)
	add(obj.Spec.Containers, obj.Status.ContainerStatuses, false)
	return p
}

func waitingReason(obj *corev1.Pod) string {
	if len(obj.Spec.InitContainers) > 0 {
		return "PodInitializing"
	}
	return "ContainerCreating"
}

// resume goes on with a container from what its status says.
func (c *container) resume(s corev1.ContainerStatus, now time.Time) {
	c.status = *s.DeepCopy()
	c.crashes = int(s.RestartCount)
	if c.status.Started == nil {
		c.status.Started = new(bool)
	}
	c.wake = now
	if r := s.State.Running; r != nil {
		c.started = r.StartedAt.Time
	}
}

// rejoin gives a resumed run its script back, and its probes without their past.
func (c *container) rejoin(s script, img image, now time.Time) {
	c.script, c.image = s, img
	started, ready := c.isStarted(), c.status.Ready
	c.watch(now)
	if started && c.startup != nil {
		c.startup = nil
		c.live(now)
	}
	if c.readiness != nil {
		c.readiness.result, c.status.Ready = ready, ready
	}
}

// update takes a newer version of the object. Specs are looked up anew: an image may be changed in place.
func (p *pod) update(obj *corev1.Pod) {
	p.obj = obj
	for _, c := range p.containers {
		if spec := findSpec(obj, c.spec.Name); spec != nil {
			c.spec = spec
		}
	}
}

// advance moves all containers on to now and returns the events of that.
func (p *pod) advance(now time.Time) []notice {
	if p.obj.DeletionTimestamp != nil {
		return p.stop(now)
	}
	var notes []notice
	for _, c := range p.containers {
		if !p.done() {
			notes = append(notes, c.step(p.obj, now)...)
		}
	}
	if p.done() {
		notes = append(notes, p.stopSidecars(now)...)
	}
	return notes
}

// stop ends all containers when their time to stop has passed.
func (p *pod) stop(now time.Time) []notice {
	var notes []notice
	running := slices.DeleteFunc(slices.Clone(p.containers), func(c *container) bool {
		return c.status.State.Running == nil
	})
	if p.stopAt.IsZero() {
		p.stopAt = now
		for _, c := range running {
			p.stopAt = now.Add(p.stopping(c, p.stopAt.Sub(now)))
			notes = append(notes, normal(c, "Killing", "Stopping container %s", c.spec.Name))
		}
	}
	if now.Before(p.stopAt) {
		return notes
	}
	for _, c := range running {
		// A service that ends when asked is fine; the work of a job was cut off.
		if c.script.hangs {
			c.exit(p.obj, 137, "Error", now)
		} else if p.obj.Spec.RestartPolicy == corev1.RestartPolicyAlways || c.role == sidecar {
			c.exit(p.obj, 0, "Completed", now)
		} else {
			c.exit(p.obj, 143, "Error", now)
		}
	}
	return notes
}

// stopping is how long a container takes to stop, at least d, at most the pod's grace.
func (p *pod) stopping(c *container, d time.Duration) time.Duration {
	need := stopTime
	if l := c.spec.Lifecycle; l != nil && l.PreStop != nil && l.PreStop.Sleep != nil {
		need += time.Duration(l.PreStop.Sleep.Seconds) * time.Second
	}
	if g := p.obj.DeletionGracePeriodSeconds; g != nil && c.script.hangs {
		need = time.Duration(*g) * time.Second
	} else if g != nil {
		need = min(need, time.Duration(*g)*time.Second)
	}
	return max(need, d)
}

func (p *pod) stopped(now time.Time) bool {
	return !p.stopAt.IsZero() && !now.Before(p.stopAt)
}

// done says that the work is over: each regular container ended for good, or the start failed for good.
func (p *pod) done() bool { return p.startFailed() || p.all(regular, (*container).finished) }

func (p *pod) all(r role, is func(*container, *corev1.Pod) bool) bool {
	for _, c := range p.containers {
		if c.role == r && !is(c, p.obj) {
			return false
		}
	}
	return true
}

func (p *pod) startFailed() bool {
	return slices.ContainsFunc(p.containers, func(c *container) bool {
		return c.role == initial && c.finished(p.obj) && !c.passed()
	})
}

func (p *pod) stopSidecars(now time.Time) (notes []notice) {
	for _, c := range p.containers {
		if c.role == sidecar && c.status.State.Running != nil {
			notes = append(notes, normal(c, "Killing", "Stopping container %s", c.spec.Name))
			c.exit(p.obj, 0, "Completed", now)
		}
	}
	return notes
}

// begun says that a regular container ran: from then on the pod counts as initialized.
func (p *pod) begun() bool {
	return slices.ContainsFunc(p.containers, func(c *container) bool { return c.role == regular && c.begun() })
}

// next is the container to be started now, if any: init containers one after the other, then all.
func (p *pod) next(now time.Time) *container {
	if p.obj.DeletionTimestamp != nil || !p.mounted || p.done() {
		return nil
	}
	for _, c := range p.containers {
		if c.due(now) {
			return c
		}
		if c.role != regular && !c.passed() && !p.begun() {
			return nil
		}
	}
	return nil
}

// wake is when there is something to do; zero is never.
func (p *pod) wake() time.Time {
	switch {
	case p.obj.DeletionTimestamp != nil:
		return p.stopAt
	case p.done():
		return time.Time{}
	case !p.mounted:
		return p.mountWake
	}
	var t time.Time
	for _, c := range p.containers {
		if !c.finished(p.obj) {
			t = sooner(t, c.wake)
		}
		if c.role != regular && !c.passed() && !p.begun() {
			break
		}
	}
	return t
}

func (p *pod) phase() corev1.PodPhase {
	begun := p.all(regular, func(c *container, _ *corev1.Pod) bool { return c.begun() })
	initialized := p.begun() || p.all(initial, func(c *container, _ *corev1.Pod) bool { return c.passed() })
	switch {
	case p.startFailed():
		return corev1.PodFailed
	case !begun || !initialized:
		return corev1.PodPending
	case !p.all(regular, (*container).finished):
		return corev1.PodRunning
	case p.all(regular, func(c *container, _ *corev1.Pod) bool {
		return c.status.State.Terminated.ExitCode == 0
	}):
		return corev1.PodSucceeded
	}
	return corev1.PodFailed
}

// report is the whole status as the node sees it; what others wrote into the status stays.
func (p *pod) report(now time.Time) *corev1.PodStatus {
	s := p.obj.Status.DeepCopy()
	s.ObservedGeneration = p.obj.Generation
	if s.StartTime == nil {
		t := whole(now)
		s.StartTime = &t
	}
	s.HostIP, s.HostIPs = nodeAddress, []corev1.HostIP{{IP: nodeAddress}}
	if p.ip != "" {
		s.PodIP, s.PodIPs = p.ip, []corev1.PodIP{{IP: p.ip}}
	}
	s.InitContainerStatuses, s.ContainerStatuses = nil, nil
	for _, c := range p.containers {
		if c.role == regular {
			s.ContainerStatuses = append(s.ContainerStatuses, *c.status.DeepCopy())
		} else {
			s.InitContainerStatuses = append(s.InitContainerStatuses, *c.status.DeepCopy())
		}
	}
	s.Phase = p.phase()
	for _, c := range p.conditions(s, now) {
		setCondition(s, c, now)
	}
	return s
}

func (p *pod) conditions(s *corev1.PodStatus, now time.Time) []corev1.PodCondition {
	started := corev1.PodCondition{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue}
	if !p.mounted || p.stopped(now) {
		started.Status = corev1.ConditionFalse
	}
	initialized := p.judge(corev1.PodInitialized, s.Phase, "ContainersNotInitialized", "incomplete",
		func(c *container) bool {
			return c.role == regular || p.begun() || c.passed()
		})
	if s.Phase == corev1.PodSucceeded {
		initialized = corev1.PodCondition{Type: corev1.PodInitialized, Status: corev1.ConditionTrue,
			Reason: "PodCompleted"}
	}
	containers := p.judge(corev1.ContainersReady, s.Phase, "ContainersNotReady", "unready",
		func(c *container) bool {
			return c.role == initial || c.status.Ready
		})
	ready := containers
	ready.Type = corev1.PodReady
	if message := p.closedGates(s); ready.Status == corev1.ConditionTrue && message != "" {
		ready.Status, ready.Reason, ready.Message = corev1.ConditionFalse, "ReadinessGatesNotReady", message
	}
	return []corev1.PodCondition{started, initialized, ready, containers}
}

// judge makes a condition out of a question that is asked of each container.
func (p *pod) judge(kind corev1.PodConditionType, phase corev1.PodPhase, reason, word string,
	fine func(*container) bool) corev1.PodCondition {
	c := corev1.PodCondition{Type: kind, Status: corev1.ConditionFalse}
	switch {
	case kind != corev1.PodInitialized && phase == corev1.PodSucceeded:
		c.Reason = "PodCompleted"
		return c
	case kind != corev1.PodInitialized && phase == corev1.PodFailed:
		c.Reason = "PodFailed"
		return c
	}
	var names []string
	for _, c := range p.containers {
		if !fine(c) {
			names = append(names, c.spec.Name)
		}
	}
	if len(names) == 0 {
		c.Status = corev1.ConditionTrue
		return c
	}
	c.Reason, c.Message = reason, fmt.Sprintf("containers with %s status: %s", word, names)
	return c
}

// closedGates says which readiness gates, set by other controllers, still hold the pod back.
func (p *pod) closedGates(s *corev1.PodStatus) string {
	var closed []string
	for _, g := range p.obj.Spec.ReadinessGates {
		i := slices.IndexFunc(s.Conditions, func(c corev1.PodCondition) bool { return c.Type == g.ConditionType })
		switch {
		case i < 0:
			closed = append(closed, fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.",
				g.ConditionType))
		case s.Conditions[i].Status != corev1.ConditionTrue:
			closed = append(closed, fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but %v",
				g.ConditionType, s.Conditions[i].Status))
		}
	}
	return strings.Join(closed, ", ")
}

func setCondition(s *corev1.PodStatus, c corev1.PodCondition, now time.Time) {
	c.LastTransitionTime, c.ObservedGeneration = whole(now), s.ObservedGeneration
	i := slices.IndexFunc(s.Conditions, func(o corev1.PodCondition) bool { return o.Type == c.Type })
	if i < 0 {
		s.Conditions = append(s.Conditions, c)
		return
	}
	if s.Conditions[i].Status == c.Status {
		c.LastTransitionTime = s.Conditions[i].LastTransitionTime
	}
	s.Conditions[i] = c
}
