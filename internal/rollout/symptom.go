package rollout

import (
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"slipway/internal/lazyregexp"
)

// symptom is one thing that keeps an object from being healthy.
type symptom struct {
	pod       *corev1.Pod // nil: the workload itself says so
	container string
	reason    string // the word that Kubernetes uses for it
	message   string
	exit      *int32
	restarts  int32
	ran       time.Duration // of the run that ended
	// downSince is since when the node does not answer.
	downSince time.Time
	// after is how long it must last to be final; hopeful ones never are.
	after time.Duration
	// crash marks a symptom that may end when another object becomes healthy.
	crash bool
	// missing marks one that ends when another object makes what is missing.
	missing bool
}

// waits says whether progress of another object may end the symptom.
func (s symptom) waits() bool { return s.crash || s.missing }

// hopeful marks a symptom that explains but never ends the wait: it may go away.
const hopeful time.Duration = -1

const (
	standImage  = time.Second     // once more, in case that a push is just ending
	standConfig = 8 * time.Second // operators write Secrets some seconds later
	standStatus = 2 * time.Second // a controller's old verdict, right after a change
	standDenied = 5 * time.Second
	standCreate = 3 * time.Second
	standGone   = 5 * time.Second
)

func (s symptom) key() string { return s.container + "/" + s.reason }

func isWaitingReason(reason string) bool {
	return reason == "ContainerCreating" || reason == "PodInitializing"
}

// podSymptoms reads the status of a pod. crashed says whether a container's restarts are final.
func podSymptoms(pod *corev1.Pod, grace time.Duration, crashed func(container string, restarts int32,
	waiting bool) bool) []symptom {
	if s, ok := unscheduled(pod, grace); ok {
		return []symptom{s}
	}
	var list []symptom
	for i, st := range statuses(pod) {
		init := i < len(pod.Status.InitContainerStatuses)
		s, ok := containerSymptom(st, init, !init && pod.Spec.RestartPolicy == corev1.RestartPolicyAlways, crashed)
		if !ok {
			continue
		}
		s.pod, s.container, s.restarts = pod, st.Name, st.RestartCount
		list = append(list, s)
	}
	// A failing init container keeps all others waiting: the cause comes first.
	slices.SortStableFunc(list, func(a, b symptom) int { return weight(a) - weight(b) })
	return list
}

func weight(s symptom) int {
	switch {
	case s.after >= 0 && !s.crash:
		return 0
	case s.crash:
		return 1
	case s.reason == "Unhealthy" || isWaitingReason(s.reason):
		return 3
	}
	return 2
}

func unscheduled(pod *corev1.Pod, grace time.Duration) (symptom, bool) {
	if pod.Spec.NodeName != "" {
		return symptom{}, false
	}
	for _, c := range pod.Status.Conditions {
		if c.Type != corev1.PodScheduled || c.Status != corev1.ConditionFalse {
			continue
		}
		s := symptom{pod: pod, reason: c.Reason, message: c.Message, after: grace}
		// A gated pod waits on purpose, a nominated one for the pods that it preempts.
		if c.Reason != corev1.PodReasonUnschedulable || pod.Status.NominatedNodeName != "" {
			s.after = hopeful
		}
		return s, true
	}
	return symptom{pod: pod, reason: "Pending", message: "not scheduled yet",
		after: hopeful}, true
}

// containerSymptom reads the status of a container. One that stays must not end, with whatever exit code: for
// the first ten seconds of each back-off the kubelet shows only that it has ended.
func containerSymptom(st corev1.ContainerStatus, init, stays bool, crashed func(string, int32, bool) bool) (
	symptom, bool) {
	waiting, ended := st.State.Waiting, st.State.Terminated
	if waiting != nil {
		if s, ok := waitingSymptom(waiting); ok {
			return s, true
		}
	}
	last := ended
	if last == nil {
		last = st.LastTerminationState.Terminated
	}
	backoff := waiting != nil && waiting.Reason == "CrashLoopBackOff"
	switch {
	case last != nil && (backoff || ended != nil && (ended.ExitCode != 0 || stays) || st.State.Running != nil &&
		!st.Ready && last.ExitCode != 0):
		s := crashSymptom(st, last, backoff)
		if crashed(st.Name, st.RestartCount, backoff) {
			s.after, s.crash = 0, true
		}
		return s, true
	case st.State.Running != nil && !st.Ready && init:
		return symptom{reason: "PodInitializing", message: "the init container has not finished yet",
			after: hopeful}, true
	case st.State.Running != nil && !st.Ready:
		return symptom{reason: "Unhealthy", message: "running, not ready", after: hopeful}, true
	}
	return symptom{}, false
}

// crashSymptom reports a crash loop once the kubelet has restarted the container.
func crashSymptom(st corev1.ContainerStatus, last *corev1.ContainerStateTerminated, backoff bool) symptom {
	s := symptom{reason: "Error", message: last.Message, exit: &last.ExitCode, after: hopeful}
	if backoff || st.RestartCount > 0 {
		s.reason = "CrashLoopBackOff"
	}
	if !last.StartedAt.IsZero() && !last.FinishedAt.IsZero() {
		s.ran = last.FinishedAt.Sub(last.StartedAt.Time)
	}
	switch last.Reason {
	case "OOMKilled", "StartError", "ContainerCannotRun":
		s.reason = last.Reason
	}
	return s
}

// waitingSymptom reads why the kubelet does not start a container.
func waitingSymptom(w *corev1.ContainerStateWaiting) (symptom, bool) {
	s := symptom{reason: w.Reason, message: w.Message}
	switch w.Reason {
	case "", "PodInitializing", "CrashLoopBackOff":
		return symptom{}, false
	case "InvalidImageName", "ErrImageNeverPull":
		return s, true
	case "ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable",
		"SignatureValidationFailed":
		// The first two alternate; the second is better known.
		if w.Reason == "ErrImagePull" {
			s.reason = "ImagePullBackOff"
		}
		s.after = hopeful
		if permanentPull.MatchString(w.Message) || w.Reason == "SignatureValidationFailed" {
			s.after = standImage
		}
		return s, true
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreCreateHookError",
		"PreStartHookError", "PostStartHookError":
		s.after, s.missing = standConfig, missingObject().MatchString(w.Message)
		return s, true
	}
	s.after = hopeful // ContainerCreating, and whatever comes to be
	return s, true
}

// permanentPull matches errors of registries and container runtimes that a retry does not cure. A registry
// that does not answer, or answers 5xx or 429, is not among them.
var permanentPull = regexp.MustCompile(
	`(?i)not found|manifest unknown|manifest invalid|name unknown|name invalid|` +
		`repository does not exist|unauthorized|\bdenied\b|forbidden|authentication required|no basic auth|` +
		`no match for platform|no matching manifest|x509: |server gave HTTP response to HTTPS client|` +
		`invalid reference format`)

// missingVolume matches failed mounts of ConfigMaps and Secrets that do not exist.
var missingVolume = lazyregexp.New(
	`(?i)(configmap|secret) "[^"]*" not found|references non-existent (config|secret) key`)

// mountSymptoms finds missing volumes in the events of a pod: its status does not name them.
func mountSymptoms(pod *corev1.Pod, events []corev1.Event) []symptom {
	for _, e := range events {
		if e.Reason == "FailedMount" && missingVolume().MatchString(e.Message) {
			return []symptom{{pod: pod, reason: "FailedMount", message: e.Message, after: standConfig,
				missing: missingObject().MatchString(e.Message)}}
		}
	}
	return nil
}

// createSymptom is for pods that the API server rejects.
func createSymptom(message string, grace time.Duration) symptom {
	s := symptom{reason: "FailedCreate", message: message, after: standCreate}
	// Terminating pods free their share of a quota.
	if strings.Contains(message, "exceeded quota") {
		s.after = grace
	}
	return s
}

// refused finds FailedCreate events that are not left over from an earlier deploy.
func refused(events []corev1.Event, began time.Time, grace time.Duration) []symptom {
	for _, e := range slices.Backward(events) {
		if e.Reason == "FailedCreate" && eventTime(e).After(began.Add(-time.Minute)) {
			return []symptom{createSymptom(e.Message, grace)}
		}
	}
	return nil
}

func statuses(p *corev1.Pod) []corev1.ContainerStatus {
	return slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses)
}

func isReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func isStarting(p *corev1.Pod) bool {
	return slices.ContainsFunc(statuses(p), func(s corev1.ContainerStatus) bool {
		return s.State.Waiting != nil && isWaitingReason(s.State.Waiting.Reason)
	})
}

// isBroken excludes pods that wait for a node or for their containers to be created.
func isBroken(p *corev1.Pod) bool {
	list := podSymptoms(p, 0, func(string, int32, bool) bool { return true })
	return slices.ContainsFunc(list, func(s symptom) bool { return !isWaitingReason(s.reason) })
}
