package object

import (
	"fmt"
	"strings"
)

// IsProgressive says that a controller moves traffic to the new pods step by step, and goes back by itself: a
// Rollout of Argo Rollouts, or a Canary of Flagger.
func (r Ref) IsProgressive() bool {
	return r.Group == "argoproj.io" && r.Kind == "Rollout" || r.Group == "flagger.app" && r.Kind == "Canary"
}

// rolloutHealth is that of Argo Rollouts. An aborted one runs its old pods, whatever its phase.
func rolloutHealth(o Object) Health {
	message := o.str("status", "message")
	phase := o.str("status", "phase")
	switch {
	case o.At("status", "abort") == true:
		return Health{Failed, joinReason("", message, "aborted")}
	case phase == "Healthy":
		return Health{Current, "healthy"}
	case phase == "Degraded":
		return Health{Failed, joinReason("", message, "degraded")}
	case phase == "Paused":
		return Health{InProgress, pausedText(o, message)}
	case phase == "Progressing":
		return Health{InProgress, joinReason("", message, "progressing")}
	}
	return noController
}

// pausedText is "paused at step 2 of 5 (CanaryPauseStep): `kubectl argo rollouts promote web -n prod` goes
// on".
func pausedText(o Object, message string) string {
	text := "paused"
	steps := Mappings(o.At("spec", "strategy", "canary", "steps"))
	index := o.intOr(-1, "status", "currentStepIndex")
	if index >= 0 && int(index) < len(steps) {
		text += fmt.Sprintf(" at step %d of %d", index+1, len(steps))
	}
	if message != "" {
		text += " (" + message + ")"
	}
	if index >= 0 && int(index) < len(steps) && Mapping(steps[index]["pause"])["duration"] != nil {
		return text + ", for " + fmt.Sprint(Mapping(steps[index]["pause"])["duration"])
	}
	return text + fmt.Sprintf(": `kubectl argo rollouts promote %s -n %s` goes on", o.Ref().Name,
		o.Ref().Namespace)
}

// canaryHealth is that of Flagger.
func canaryHealth(o Object) Health {
	message := ""
	if c, ok := o.condition("Promoted"); ok {
		message = c.message
	}
	switch phase := o.str("status", "phase"); phase {
	case "Initialized", "Succeeded":
		return Health{Current, strings.ToLower(phase)}
	case "Failed":
		return Health{Failed, joinReason("", message, "the analysis failed")}
	case "Waiting", "WaitingPromotion":
		return Health{InProgress, "paused: " + joinReason("", message, "it waits for an approval")}
	case "Initializing", "Progressing", "Promoting", "Finalising", "Terminating":
		return Health{InProgress, strings.ToLower(phase) + weightText(o)}
	}
	return noController
}

// weightText says how much traffic a canary gets.
func weightText(o Object) string {
	if weight := o.intOr(0, "status", "canaryWeight"); weight > 0 {
		return fmt.Sprintf(", %d %% of the traffic", weight)
	}
	return ""
}
