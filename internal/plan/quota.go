package plan

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"

	"slipway/internal/object"
)

// need is what pods count against a quota, by the quota's names of resources.
type need map[string]resource.Quantity

func (n need) add(other need, times int64) {
	for name, q := range other {
		total := n[name]
		for range max(times, -times) {
			if times > 0 {
				total.Add(q)
			} else {
				total.Sub(q)
			}
		}
		n[name] = total
	}
}

// quotaRisks compares what the namespace uses, after the deploy and while it replaces pods, with its quotas.
func quotaRisks(p Plan, observed []Observed, quotas []Quota) []Risk {
	if len(quotas) == 0 {
		return nil
	}
	after, surge := need{}, need{}
	for _, o := range observed {
		if o.Desired.Body == nil {
			continue // it is deleted when the new pods run
		}
		i := slices.IndexFunc(p.Changes, func(c Change) bool { return c.Ref == o.Ref })
		if i < 0 || p.Changes[i].Action == Keep || p.Changes[i].Action == Blocked {
			continue
		}
		pods := replicasOf(o.Merged)
		after.add(needOf(o.Merged), pods)
		if o.Live.Body != nil {
			after.add(needOf(o.Live), -replicasOf(o.Live))
		}
		if o.Ref.Kind == "Deployment" && o.Live.Body != nil && changes(p.Changes[i], "spec.template") {
			extra := o.Merged.At("spec", "strategy", "rollingUpdate", "maxSurge")
			surge.add(needOf(o.Merged), share(extra, pods, true))
		}
	}
	var risks []Risk
	for _, q := range quotas {
		for _, name := range slices.Sorted(maps.Keys(q.Hard)) {
			if text := exceeds(q, name, after, surge); text != "" {
				risks = append(risks, Risk{Kind: "quota", Ref: q.Ref, Text: text})
			}
		}
	}
	return risks
}

// exceeds says how a resource goes beyond a quota; empty where it fits, or is not about pods.
func exceeds(q Quota, name string, after, surge need) string {
	more, counted := after[name]
	if !counted {
		return ""
	}
	hard, then := q.Hard[name], q.Used[name]
	then.Add(more)
	if more.Sign() > 0 && then.Cmp(hard) > 0 {
		return fmt.Sprintf("%s does not fit: %s after the deploy, and %s is allowed", name, then.String(),
			hard.String())
	}
	peak := then.DeepCopy()
	peak.Add(surge[name])
	if extra := surge[name]; extra.Sign() > 0 && peak.Cmp(hard) > 0 {
		return fmt.Sprintf("%s does not fit while pods are replaced: %s with the surge, and %s is allowed", name,
			peak.String(), hard.String())
	}
	return ""
}

// replicasOf is how many pods a workload runs.
func replicasOf(o object.Object) int64 {
	field := "replicas"
	if isJob(o.Ref()) {
		field = "parallelism"
	}
	if n := number(o, "spec", field); n >= 0 {
		return n
	}
	return 1
}

// needOf is what one pod of a workload counts; nothing for other objects, and for those that run a pod for
// each node or at some time.
func needOf(o object.Object) need {
	switch o.Ref().Kind {
	case "Deployment", "StatefulSet", "ReplicaSet", "Job", "Pod":
	default:
		return nil
	}
	spec, path, ok := o.PodSpec()
	if !ok {
		return nil
	}
	n := need{"pods": resource.MustParse("1")}
	for _, c := range object.Containers(spec, path) {
		if c.List != "containers" && c.Body["restartPolicy"] != "Always" {
			continue
		}
		resources, _ := c.Body["resources"].(map[string]any)
		limits, _ := resources["limits"].(map[string]any)
		requests, _ := resources["requests"].(map[string]any)
		for _, name := range []string{"cpu", "memory", "ephemeral-storage"} {
			request := requests[name]
			if request == nil {
				request = limits[name] // the server's default
			}
			n.addText("requests."+name, request)
			n.addText(name, request)
			n.addText("limits."+name, limits[name])
		}
	}
	return n
}

func (n need) addText(name string, v any) {
	if v == nil {
		return
	}
	if q, err := resource.ParseQuantity(fmt.Sprint(v)); err == nil {
		total := n[name]
		total.Add(q)
		n[name] = total
	}
}
