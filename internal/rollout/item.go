package rollout

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"slipway/internal/object"
)

// item is one object that a Wait waits for.
type item struct {
	ref     object.Ref
	desired object.Object
	// unchanged: the deploy did not change it.
	unchanged bool
	// settles: it must stay ready for the settling time.
	settles bool

	look
	memory
}

// look is the result of one look at an object.
type look struct {
	live   object.Object
	health object.Health
	err    error
	done   bool
	// settling: it is ready, and must stay so for a while.
	settling bool
	// symptoms are what it found, final those that will not go away by themselves.
	symptoms, final []symptom
	note            string // what could not be looked at
	waitsFor        string // "waiting for the Secret db, which Job migrate makes"
}

// memory is what earlier looks have found.
type memory struct {
	told       object.Health // what the listener heard last
	wasDone    bool
	healthyAt  time.Time            // since when it is healthy, as far as we saw
	marks      map[types.UID]mark   // its pods at that time
	stable     bool                 // it was healthy for the settling time
	disturbed  bool                 // a pod restarted in the settling time
	since      map[string]time.Time // since when each symptom stands
	crashBase  map[string]int32     // from which of its restarts on a container's crashes count
	recounting bool                 // crashes count afresh, see recount
	// oldPulls are the containers whose pull failed before the wait, with the reason at the last look.
	oldPulls   map[string]string
	brokenAt   map[types.UID]time.Time // since when pods of earlier templates are broken
	eventsAt   time.Time               // when its events were read, and what they said
	fromEvents []symptom
	nodes      map[string]nodeLook
	gonePod    *Evidence // of a Job's pod, which the Job controller may delete
	knownSpec  *string   // that Flagger had seen of a Canary's workload at the first look; nil: no look yet
}

func newItem(o object.Object) *item {
	return &item{
		ref: o.Ref(), desired: o, look: look{health: object.Health{Status: object.Unknown}},
	}
}

func (it *item) add(s symptom) { it.symptoms = append(it.symptoms, s) }

// judge decides which symptoms have lasted long enough.
func (it *item) judge(now time.Time) {
	before := it.since
	it.since, it.final = nil, nil
	for _, s := range it.symptoms {
		if it.since == nil { // most of thousands of objects have no symptom
			it.since = map[string]time.Time{}
		}
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

// recount starts to count crashes again, and the time that a missing object has to come.
func (it *item) recount() {
	for _, s := range it.symptoms {
		if s.crash {
			it.recounting = true
			clear(it.crashBase)
		}
		if s.missing {
			delete(it.since, s.key())
		}
		if s.waits() {
			it.final = nil
		}
	}
}

// crashes says whether the restarts of a container are final. A container that was crashing before the wait
// must crash once more: this deploy may have brought the configuration that fixes it.
func (it *item) crashes(container string, restarts int32, waiting bool) bool {
	base, known := it.crashBase[container]
	if !known {
		if it.recounting || restarts >= 3 {
			base = restarts
		}
		if it.crashBase == nil {
			it.crashBase = map[string]int32{}
		}
		it.crashBase[container] = base
	}
	if base > 0 || it.recounting {
		return restarts > base
	}
	return waiting || restarts >= 2
}

// hasOldPulls says whether a pull that failed before the wait has not been retried since. The next attempt
// may come minutes later, and shows for a moment as ErrImagePull.
func (it *item) hasOldPulls(pods []corev1.Pod) bool {
	first, before := it.oldPulls == nil, it.oldPulls
	it.oldPulls = map[string]string{}
	for i := range pods {
		for _, st := range statuses(&pods[i]) {
			key, reason := containerKey(&pods[i], st.Name), ""
			if st.State.Waiting != nil {
				reason = st.State.Waiting.Reason
			}
			was, old := before[key]
			retried := reason == "ErrImagePull" && was != reason
			failing := reason == "ErrImagePull" || reason == "ImagePullBackOff"
			if failing && (first && it.unchanged || old && !retried) {
				it.oldPulls[key] = reason
			}
		}
	}
	return len(it.oldPulls) > 0
}

func containerKey(pod *corev1.Pod, container string) string { return string(pod.UID) + "/" + container }

// deadline returns how long the workload allows for its own rollout.
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
	// The API server stores "never" as the largest 32-bit number.
	return time.Duration(min(seconds, 3600)) * time.Second
}
