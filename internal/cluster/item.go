package cluster

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
	live    object.Object
	health  object.Health
	told    object.Health
	err     error
	done    bool

	// symptoms are what the last look found, final those that will not go away by themselves.
	symptoms   []symptom
	final      []symptom
	since      map[string]span
	stale      map[types.UID]time.Time // since when pods of earlier templates are broken
	starts     map[string]int32
	unchanged  bool
	pulls      map[string]pull
	pardoned   bool
	current    time.Time // since when it is healthy, as far as we saw
	events     time.Time // when its events were read last
	fromEvents []symptom // what they said
	note       string    // what could not be looked at
	kept       *Evidence // of pods that are gone by now
}

// span is for how long a symptom has been seen.
type span struct{ first, last time.Time }

// flicker is how long a symptom may be out of sight and still be the same one: between two tries
// the kubelet shows other states, and an API server may be away for a while.
const flicker = 8 * time.Second

func newItem(o object.Object) *item {
	return &item{ref: o.Ref(), desired: o, since: map[string]span{}, starts: map[string]int32{}, stale: map[types.UID]time.Time{},
		health: object.Health{Status: object.Unknown}}
}

func (it *item) add(s symptom) { it.symptoms = append(it.symptoms, s) }

// judge decides which symptoms have stood long enough.
func (it *item) judge(now time.Time) {
	for key, s := range it.since {
		if now.Sub(s.last) > flicker {
			delete(it.since, key)
		}
	}
	it.final = nil
	for _, s := range it.symptoms {
		key := s.key()
		seen, ok := it.since[key]
		if !ok {
			seen.first = now
		}
		seen.last = now
		it.since[key] = seen
		if s.after >= 0 && now.Sub(seen.first) >= s.after {
			it.final = append(it.final, s)
		}
	}
}

// isHard says that a final symptom is of a kind that no other object's health can cure.
func (it *item) isHard() bool {
	return slices.ContainsFunc(it.final, func(s symptom) bool { return !s.crash })
}

// pardon counts crashes afresh.
func (it *item) pardon() {
	if !slices.ContainsFunc(it.symptoms, func(s symptom) bool { return s.crash }) {
		return
	}
	it.pardoned = true
	clear(it.starts)
	it.final = nil
}

// crashes is how often a container was restarted since we look. Pods that had been crashing for
// long when we came must crash once more: this deploy may have brought the configuration that
// heals them.
func (it *item) crashes(container string, restarts int32, waiting bool) (terminal bool) {
	base, known := it.starts[container]
	if !known {
		base = restarts
		if !it.pardoned && restarts < 3 {
			base = 0
		}
		it.starts[container] = base
	}
	switch {
	case base > 0 || it.pardoned:
		return restarts > base
	case waiting:
		return true
	}
	return restarts >= 2
}

// pull is how a container waits for its image.
type pull struct {
	reason string // at the last look
	old    bool   // it failed before we looked, and has not been tried since
}

func pullKey(pod *corev1.Pod, container string) string { return string(pod.UID) + "/" + container }

// oldPulls looks at how pods pull, and says whether some failure is from before. The next try may
// come minutes later, and shows for a moment as ErrImagePull.
func (it *item) oldPulls(pods []corev1.Pod) (any bool) {
	first := it.pulls == nil
	if first {
		it.pulls = map[string]pull{}
	}
	for i := range pods {
		for _, st := range statuses(&pods[i]) {
			key := pullKey(&pods[i], st.Name)
			p, known := it.pulls[key]
			reason := ""
			if st.State.Waiting != nil {
				reason = st.State.Waiting.Reason
			}
			failing := reason == "ErrImagePull" || reason == "ImagePullBackOff"
			switch {
			case !known:
				p.old = failing && first && it.unchanged
			case !failing || reason == "ErrImagePull" && p.reason != reason:
				p.old = false
			}
			p.reason = reason
			it.pulls[key] = p
			any = any || p.old
		}
	}
	return any
}

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
