package plan

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"slipway/internal/object"
)

// Risk is what a deploy may do to users or to data although everything in its plan succeeds.
type Risk struct {
	// Kind is "downtime", "data", "traffic", "quota" or "rollback".
	Kind string     `json:"kind"`
	Ref  object.Ref `json:"ref"`
	Text string     `json:"text"`
}

// Quota is a ResourceQuota of the namespace, with what is used of it.
type Quota struct {
	Ref        object.Ref
	Hard, Used map[string]resource.Quantity
}

// Risks returns the risks of a plan, in the order of its changes.
func Risks(p Plan, observed []Observed, quotas []Quota, classes Classes) []Risk {
	var risks []Risk
	for _, c := range p.Changes {
		i := slices.IndexFunc(observed, func(o Observed) bool { return o.Ref == c.Ref })
		if i < 0 {
			continue
		}
		if kind, text := riskOf(c, observed[i]); text != "" {
			risks = append(risks, Risk{Kind: kind, Ref: c.Ref, Text: text})
		}
		risks = append(risks, storageRisks(c, observed[i], classes)...)
		if c.Irreversible != "" {
			risks = append(risks, Risk{Kind: "rollback", Ref: c.Ref,
				Text: "keeps this change after a rollback: " + c.Irreversible})
		}
	}
	risks = append(risks, renamedRisks(p, observed)...)
	return append(risks, quotaRisks(p, observed, quotas)...)
}

func riskOf(c Change, o Observed) (kind, text string) {
	isUpdate := c.Action == Update
	switch {
	case c.Action == Delete:
		return deleteRisk(o.Live)
	case c.Action == Replace && !isJob(c.Ref):
		return "downtime", "is deleted and created again"
	case isUpdate && c.Ref.Kind == "Service" && c.Ref.Group == "" && changes(c, "spec.selector"):
		return "traffic", "its selector changes: traffic goes to the pods with the new labels at once"
	case isUpdate && c.Ref.Group == "apps" && changes(c, "spec.template"):
		return rolloutRisk(c.Ref.Kind, o.Merged)
	case isUpdate && c.Ref.Group == "apps" && changes(c, "spec.replicas") &&
		number(o.Merged, "spec", "replicas") == 0:
		return "downtime", "is scaled to 0"
	}
	return "", ""
}

// changes says that a change touches a field.
func changes(c Change, field string) bool {
	return slices.ContainsFunc(c.Fields, func(f Field) bool {
		rest, ok := strings.CutPrefix(f.Path, field)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// deleteRisk is about objects that hold data, or that others depend on.
func deleteRisk(live object.Object) (kind, text string) {
	r := live.Ref()
	switch {
	case r.Group == "apps" && r.Kind == "StatefulSet":
		if claimsGo(live) {
			return "data", "is deleted, and its claims with their data (persistentVolumeClaimRetentionPolicy)"
		}
		return "data", "is deleted; the claims of its pods stay"
	case r.Kind == "Secret" && r.Group == "":
		return "data", "is deleted; afterwards only the records of earlier releases have its values"
	case r.Kind == "Service" && r.Group == "", r.Kind == "Ingress", strings.HasSuffix(r.Kind, "Route"):
		return "traffic", "is deleted: clients that use it lose the connection"
	case strings.Contains(r.Group, ".") && !strings.HasSuffix(r.Group, ".k8s.io"):
		return "data", "is deleted: its controller may delete the objects and data that belong to it"
	}
	return "", ""
}

// rolloutRisk is about replacing the pods of a workload.
func rolloutRisk(kind string, o object.Object) (string, string) {
	replicas := number(o, "spec", "replicas")
	if replicas < 0 {
		replicas = 1
	}
	strategy, _ := o.At("spec", "strategy", "type").(string)
	unavailable := share(o.At("spec", "strategy", "rollingUpdate", "maxUnavailable"), replicas, false)
	switch {
	case replicas == 0:
		return "", ""
	case kind == "Deployment" && strategy == "Recreate":
		return "downtime", "all pods stop before the new ones start (strategy Recreate)"
	case kind == "Deployment" && unavailable >= replicas:
		return "downtime", fmt.Sprintf("all %d pods may stop at once (maxUnavailable %v)", replicas,
			o.At("spec", "strategy", "rollingUpdate", "maxUnavailable"))
	case kind == "StatefulSet" && replicas == 1:
		return "downtime", "its only pod stops before the new one starts"
	case kind == "Deployment" && replicas == 1:
		return "downtime", "has 1 replica: no other pod serves if the new one fails after it was ready"
	}
	return "", ""
}

// number returns a whole number at a path; -1 where there is none.
func number(o object.Object, path ...string) int64 {
	switch v := o.At(path...).(type) {
	case int64:
		return v
	case int:
		return int64(v)
	case float64:
		return int64(v)
	}
	return -1
}

// share is a number, or a percentage of n. It is 0 where nothing is set.
func share(v any, n int64, up bool) int64 {
	switch v := v.(type) {
	case int64:
		return v
	case float64:
		return int64(v)
	case string:
		percent, err := strconv.ParseFloat(strings.TrimSuffix(v, "%"), 64)
		if err != nil {
			return 0
		}
		exact := percent * float64(n) / 100
		if up {
			return int64(math.Ceil(exact))
		}
		return int64(math.Floor(exact))
	}
	return 0
}
