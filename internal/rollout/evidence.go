package rollout

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"slipway/internal/lazyregexp"
	"slipway/internal/object"
)

// Evidence says why one object is not healthy: the cluster's own words, and one sentence that explains them.
// It is stored in the record, and contains no value of the set's Secrets.
type Evidence struct {
	Ref       object.Ref `json:"ref"`
	Pod       string     `json:"pod,omitempty"`
	Container string     `json:"container,omitempty"`
	// Reason is the word of Kubernetes: ImagePullBackOff, CrashLoopBackOff, OOMKilled, Unschedulable.
	Reason   string `json:"reason"`
	Message  string `json:"message,omitempty"`
	ExitCode *int32 `json:"exitCode,omitempty"`
	Restarts int32  `json:"restarts,omitempty"`
	// LogLines are the last lines of the container; with Previous, of the run that crashed before.
	LogLines []string `json:"logLines,omitempty"`
	Previous bool     `json:"previous,omitempty"`
	// Events are the last warnings, "Reason: message", oldest first.
	Events []string `json:"events,omitempty"`
	// Cause is the probable cause: one sentence without a full stop.
	Cause string `json:"cause"`
	// Field is the path of the field that is probably to blame, "" where none is.
	Field string `json:"field,omitempty"`
	// Origin is the file and line of the field, where the caller of Wait found them, or of the object.
	Origin object.Origin `json:"origin,omitzero"`
	// Notes say what could not be read.
	Notes []string `json:"notes,omitempty"`
}

const (
	maxEvidence = 3
	maxEvents   = 5
	maxLogLines = 15
	// maxRead lines and bytes of a log are searched for the line with which a crash begins: a stack can be long.
	maxReadLines = 5000
	maxReadBytes = 1 << 20
	maxMessage   = 1000
)

// evidence explains one object, with one piece for each container and reason.
func (w *waiter) evidence(ctx context.Context, it *item) []Evidence {
	reasons := it.final
	if len(reasons) == 0 {
		reasons = it.symptoms
	}
	if len(reasons) == 0 {
		reasons = []symptom{{reason: string(it.health.Status), message: it.health.Message}}
	}
	var list []Evidence
	seen := map[string]bool{}
	for _, s := range reasons {
		if seen[s.key()] || len(list) == maxEvidence {
			continue
		}
		seen[s.key()] = true
		list = append(list, w.explain(ctx, it, s, detail(s, it.symptoms)))
	}
	if list[0].Cause == "" {
		list[0].Cause = clean(it.health.Message, w.secrets)
	}
	return withoutEcho(list)
}

// detail returns the pod's symptom behind that of a workload: a Deployment only says that it made no
// progress.
func detail(s symptom, all []symptom) symptom {
	if s.pod != nil || s.reason == "FailedCreate" {
		return s
	}
	for _, d := range all {
		if d.pod != nil || d.reason == "FailedCreate" {
			return d
		}
	}
	return s
}

// withoutEcho drops containers that only wait when another piece names a cause.
func withoutEcho(list []Evidence) []Evidence {
	kept := slices.DeleteFunc(slices.Clone(list), func(e Evidence) bool {
		return e.Reason == "Unhealthy" || isWaitingReason(e.Reason)
	})
	if len(kept) == 0 {
		return list[:1]
	}
	return kept
}

// explain turns a symptom into evidence; d is the symptom of a pod behind it, often the same.
func (w *waiter) explain(ctx context.Context, it *item, s, d symptom) Evidence {
	if d.pod == nil && it.gonePod != nil {
		e := *it.gonePod
		e.Reason, e.Message = s.reason, clean(s.message, w.secrets)
		e.Cause = clean(jobCause(s, e.Cause), w.secrets)
		return e
	}
	e := Evidence{Ref: it.ref, Container: d.container, Reason: s.reason,
		Message:  clean(cmp.Or(s.message, d.message), w.secrets),
		ExitCode: d.exit, Restarts: d.restarts, Origin: it.desired.Origin}
	if it.note != "" {
		e.Notes = append(e.Notes, it.note)
	}
	uids := []types.UID{uidOf(it.live)}
	if d.pod != nil {
		e.Pod = d.pod.Name
		uids = append(uids, d.pod.UID)
		if d.pod.OwnerReferences != nil && it.ref.Kind == "Deployment" {
			uids = append(uids, d.pod.OwnerReferences[0].UID)
		}
	}
	events, err := events(ctx, w.c.Typed(), it.ref.Namespace, uids...)
	if err != nil {
		e.Notes = append(e.Notes, unseen("events", err))
	}
	e.Events = warnings(events, w.secrets)
	w.addLogs(ctx, &e, d)
	e.Cause = clean(cause(s, d, events), w.secrets)
	e.Field = blame(it.desired, s, d, events)
	return e
}

// events lists the events of some objects, oldest first.
func events(
	ctx context.Context, client kubernetes.Interface, namespace string, uids ...types.UID,
) ([]corev1.Event, error) {
	var all []corev1.Event
	for _, uid := range uids {
		if uid == "" {
			continue // an object that never was there
		}
		list, err := client.CoreV1().Events(namespace).List(ctx,
			metav1.ListOptions{FieldSelector: "involvedObject.uid=" + string(uid)})
		if err != nil {
			return all, err
		}
		all = append(all, list.Items...)
	}
	slices.SortStableFunc(all, func(a, b corev1.Event) int { return eventTime(a).Compare(eventTime(b)) })
	return all, nil
}

func eventTime(e corev1.Event) time.Time {
	switch {
	case e.Series != nil:
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}

// podSuffix is what the kubelet appends to its messages. The evidence names the pod already.
var podSuffix = lazyregexp.New(` in pod \S+\([0-9a-f-]{36}\)$`)

func warnings(events []corev1.Event, secrets []string) []string {
	var list []string
	for _, e := range slices.Backward(events) {
		message := podSuffix().ReplaceAllString(strings.Join(strings.Fields(e.Message), " "), "")
		text := clean(e.Reason+": "+message, secrets)
		if e.Type != corev1.EventTypeWarning || slices.Contains(list, text) {
			continue
		}
		if list = append(list, text); len(list) == maxEvents {
			break
		}
	}
	slices.Reverse(list)
	return list
}

// addLogs reads the last lines of a container that has run. A missing permission becomes a note, not an
// error.
func (w *waiter) addLogs(ctx context.Context, e *Evidence, s symptom) {
	if s.pod == nil || s.reason == "StartError" || s.reason == "ContainerCannotRun" {
		return
	}
	i := slices.IndexFunc(statuses(s.pod), func(st corev1.ContainerStatus) bool {
		return st.Name == s.container
	})
	if i < 0 {
		return
	}
	st := statuses(s.pod)[i]
	if st.State.Waiting != nil && st.LastTerminationState.Terminated == nil {
		return
	}
	previous := st.State.Terminated == nil && st.LastTerminationState.Terminated != nil && s.exit != nil
	text, err := logs(ctx, w.c.Typed(), s.pod, s.container, previous)
	if err != nil && previous && !apierrors.IsForbidden(err) {
		previous = false
		text, err = logs(ctx, w.c.Typed(), s.pod, s.container, previous)
	}
	switch {
	case apierrors.IsForbidden(err):
		e.Notes = append(e.Notes, "logs not permitted: get pods/log")
	case err != nil:
		e.Notes = append(e.Notes, fmt.Sprintf("logs not read: %v", err))
	default:
		e.LogLines, e.Previous = lines(text, w.secrets), previous
	}
}

func logs(ctx context.Context, client kubernetes.Interface, pod *corev1.Pod, container string,
	previous bool) ([]byte, error) {
	tail, limit := int64(maxReadLines), int64(maxReadBytes)
	return client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
		Container: container, Previous: previous, TailLines: &tail, LimitBytes: &limit}).DoRaw(ctx)
}

// panics matches the line with which a crash begins, in the words of Go, Rust, Python and the JVM.
var panics = lazyregexp.New(`^(panic: |fatal error: |thread '.*' panicked at |` +
	`Traceback \(most recent call last\)|Exception in thread )`)

// lines splits a log into lines that are safe for a terminal and for JSON, and returns the last ones. Of a
// crash whose stack is longer it keeps the first line too.
func lines(text []byte, secrets []string) []string {
	var list []string
	begin := -1
	for line := range strings.SplitSeq(object.Mask(strings.ToValidUTF8(string(text), "\uFFFD"), secrets), "\n") {
		line = strings.TrimRight(printable(line), " \t\r")
		if line == "" {
			continue
		}
		if begin < 0 && panics().MatchString(line) {
			begin = len(list)
		}
		list = append(list, shorten(line))
	}
	last := max(0, len(list)-maxLogLines)
	if begin < 0 || begin >= last {
		return list[last:]
	}
	return append([]string{list[begin], fmt.Sprintf("… %d lines", last+2-begin-1)}, list[last+2:]...)
}

var escapes = lazyregexp.New(`\x1b(\[[0-9;:?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-_])`)

// printable removes colours and control characters: a container must not control the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && (r < ' ' || r >= 0x7f && r < 0xa0) {
			return -1
		}
		return r
	}, escapes().ReplaceAllString(s, ""))
}

// clean masks Secret values in a message, and makes it safe for a terminal and for the record.
func clean(s string, secrets []string) string { return shorten(printable(object.Mask(s, secrets))) }

func shorten(s string) string {
	if len(s) <= maxMessage {
		return s
	}
	return strings.ToValidUTF8(s[:maxMessage], "") + "…"
}
