package rollout

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"slipway/internal/object"
)

// item is one object that a Wait waits for.
type item struct {
	ref     object.Ref
	desired object.Object
	// unchanged: it was so before the deploy.
	unchanged bool

	// What the last look gave: symptoms are what it found, final those that will not go away by
	// themselves.
	live     object.Object
	health   object.Health
	err      error
	done     bool
	symptoms []symptom
	final    []symptom
	note     string // what could not be looked at

	// What is remembered of earlier ones.
	told     object.Health
	wasDone  bool
	current  time.Time            // since when it is healthy, as far as we saw
	since    map[string]time.Time // since when each symptom stands
	starts   map[string]int32     // from which of its restarts on a container's crashes count
	pardoned bool
	// which of a container's pulls failed before we looked: the reason at the last look
	pulls  map[string]string
	stale  map[types.UID]time.Time // since when pods of earlier templates are broken
	events time.Time               // when its events were read, and what they said
	said   []symptom
	kept   *Evidence // of pods that are gone by now
}

func newItem(o object.Object) *item {
	return &item{ref: o.Ref(), desired: o, since: map[string]time.Time{}, starts: map[string]int32{},
		stale:  map[types.UID]time.Time{},
		health: object.Health{Status: object.Unknown}}
}

func (it *item) add(s symptom) { it.symptoms = append(it.symptoms, s) }

// judge decides which symptoms have stood long enough.
func (it *item) judge(now time.Time) {
	before := it.since
	it.since, it.final = map[string]time.Time{}, nil
	for _, s := range it.symptoms {
		first, ok := before[s.key()]
		if !ok {
			first = now
		}
		it.since[s.key()] = first
		if s.after >= 0 && now.Sub(first) >= s.after {
			it.final = append(it.final, s)
		}
	}
}

// pardon counts crashes afresh.
func (it *item) pardon() {
	if slices.ContainsFunc(it.symptoms, func(s symptom) bool { return s.crash }) {
		it.pardoned, it.final = true, nil
		clear(it.starts)
	}
}

// crashes says whether a container's restarts are enough. Pods that had been crashing for long when
// we came must crash once more: this deploy may have brought the configuration that heals them.
func (it *item) crashes(container string, restarts int32, waiting bool) bool {
	base, known := it.starts[container]
	if !known {
		if it.pardoned || restarts >= 3 {
			base = restarts
		}
		it.starts[container] = base
	}
	if base > 0 || it.pardoned {
		return restarts > base
	}
	return waiting || restarts >= 2
}

// oldPulls says whether a pull that failed before we looked has not been tried since. The next try
// may come minutes later, and shows for a moment as ErrImagePull.
func (it *item) oldPulls(pods []corev1.Pod) bool {
	first, before := it.pulls == nil, it.pulls
	it.pulls = map[string]string{}
	for i := range pods {
		for _, st := range statuses(&pods[i]) {
			key, reason := containerKey(&pods[i], st.Name), ""
			if st.State.Waiting != nil {
				reason = st.State.Waiting.Reason
			}
			was, old := before[key]
			again := reason == "ErrImagePull" && was != reason
			if (reason == "ErrImagePull" || reason == "ImagePullBackOff") && (first && it.unchanged || old && !again) {
				it.pulls[key] = reason
			}
		}
	}
	return len(it.pulls) > 0
}

func containerKey(pod *corev1.Pod, container string) string { return string(pod.UID) + "/" + container }

// deadline is how long the workload itself says that it may take.
func (it *item) deadline() time.Duration {
	var seconds int64
	switch it.ref.Kind {
	case "Deployment":
		seconds = 600 // what the API server sets where nothing is said
		if n, ok := it.desired.At("spec", "progressDeadlineSeconds").(int64); ok {
			seconds = n
		}
	case "Job":
		seconds, _ = it.desired.At("spec", "activeDeadlineSeconds").(int64)
	}
	// The API server takes "never" as the largest 32-bit number.
	return time.Duration(min(seconds, 3600)) * time.Second
}
