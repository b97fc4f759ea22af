package rollout

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
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
	// Response has the first lines of the answer of a check.
	Response []string `json:"response,omitempty"`
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

// FurtherEvents are the events that say more than Reason and Message do.
func (e Evidence) FurtherEvents() []string {
	return slices.DeleteFunc(slices.Clone(e.Events), func(event string) bool {
		reason, text, _ := strings.Cut(event, ": ")
		known := strings.Contains(e.Message, strings.TrimPrefix(text, "Error: ")) || text == "Error: "+e.Reason
		return known && (e.Message != "" || reason == e.Reason)
	})
}

const (
	maxEvidence = 3
	maxEvents   = 5
	maxMessage  = 1000
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

// noProgress is the reason of a Deployment whose deadline has passed. It does not say why.
const noProgress = "ProgressDeadlineExceeded"

// explains says whether a symptom is more than that something has not happened yet.
func explains(d symptom) bool {
	return (d.pod != nil || d.reason == "FailedCreate") && d.reason != "Pending" && !isWaitingReason(d.reason)
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
	known := s
	if s.reason == noProgress && explains(d) {
		known = d
	}
	e := Evidence{Ref: it.ref, Container: d.container, Reason: known.reason,
		Message:  clean(cmp.Or(known.message, d.message), w.secrets),
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
	if why, part := logCause(d, e.LogLines); why != "" {
		e.Cause = clean(jobCause(s, why), w.secrets)
		e.Field = containerField(it.desired, d, part)
	}
	if why := w.taintCause(ctx, d); why != "" {
		_, path, _ := it.desired.PodSpec()
		e.Cause, e.Field = why, object.Join(path, "tolerations")
	}
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
