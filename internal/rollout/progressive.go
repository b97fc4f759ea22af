package rollout

import (
	"time"

	"slipway/internal/object"
)

const (
	// guidedTime is how long a progressive delivery may take beyond the timeout, pauses included: its
	// controller has deadlines of its own, and a person may have to promote it.
	guidedTime = 24 * time.Hour
	// detectTime is how long Flagger may take, beyond two intervals of its analysis, to see a new template.
	detectTime = 10 * time.Second
	// analysisInterval is Flagger's, where the Canary does not say.
	analysisInterval = time.Minute
)

// isGuided says that a controller is at work on an object, or waits for a person, and reports it.
func (w *waiter) isGuided(it *item) bool {
	return w.patience > 0 && it.err == nil && it.ref.IsProgressive() &&
		it.health.Status == object.InProgress && it.health.Message != object.Unseen
}

// awaitAnalysis does not believe what a Canary said before the deploy, while Flagger may not have seen the
// new template of its workload yet. Flagger looks once in each interval.
func (w *waiter) awaitAnalysis(it *item) {
	isOver := it.health.Status == object.Current || it.health.Status == object.Failed
	if it.ref.Kind != "Canary" || !it.ref.IsProgressive() || !isOver {
		return
	}
	spec, _ := it.live.At("status", "lastAppliedSpec").(string)
	if it.knownSpec == nil {
		it.knownSpec = &spec
	}
	if spec != *it.knownSpec || !w.hasChanged(targetOf(it.live)) {
		return
	}
	interval := analysisInterval
	for _, key := range []string{"analysis", "canaryAnalysis"} { // the second is its old name
		text, _ := it.live.At("spec", key, "interval").(string)
		if d, err := time.ParseDuration(text); err == nil && d > 0 {
			interval = d
		}
	}
	if time.Since(w.began) < 2*interval+detectTime {
		it.health = object.Health{Status: object.InProgress, Message: "Flagger has not seen the change yet"}
	}
}

// targetOf is the workload that a Canary guides.
func targetOf(canary object.Object) object.Ref {
	text := func(key string) string {
		s, _ := canary.At("spec", "targetRef", key).(string)
		return s
	}
	group := ""
	if kind := text("kind"); kind == "Deployment" || kind == "DaemonSet" {
		group = "apps"
	}
	return object.Ref{Group: group, Kind: text("kind"), Namespace: canary.Ref().Namespace, Name: text("name")}
}

// hasChanged says that the deploy has changed an object that is waited for.
func (w *waiter) hasChanged(ref object.Ref) bool {
	for _, it := range w.items {
		if it.ref == ref {
			return !it.unchanged
		}
	}
	return false
}
