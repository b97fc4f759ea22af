package check

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// given are the labels that controllers give to the pods of each kind, beside those of the template.
var given = map[string][]string{
	"Deployment":  {"pod-template-hash"},
	"ReplicaSet":  {"pod-template-hash"},
	"Rollout":     {"rollouts-pod-template-hash"},
	"StatefulSet": {podName, "apps.kubernetes.io/pod-index", "controller-revision-hash"},
	"DaemonSet":   {"controller-revision-hash", "pod-template-generation"},
	"Job":         ofJobs,
	"CronJob":     ofJobs,
}

const (
	podName  = "statefulset.kubernetes.io/pod-name"
	jobName  = "batch.kubernetes.io/job-name"
	shortJob = "job-name"
)

var ofJobs = []string{jobName, shortJob, "batch.kubernetes.io/controller-uid", "controller-uid",
	"batch.kubernetes.io/job-completion-index"}

// topology are the labels that pods have from their nodes.
var topology = []string{"topology.kubernetes.io/zone", "topology.kubernetes.io/region"}

// demanded is a label, "KEY=VALUE", that a template must have for its pods to be selected. It is empty where
// the requirements name none: then any template may do.
func demanded(requirements labels.Requirements) string {
	for i := range requirements {
		r := &requirements[i]
		switch r.Operator() {
		case selection.Equals, selection.DoubleEquals, selection.In:
		default:
			continue
		}
		isOfOthers := slices.Contains(topology, r.Key())
		for _, keys := range given {
			isOfOthers = isOfOthers || slices.Contains(keys, r.Key())
		}
		if values := r.ValuesUnsorted(); len(values) == 1 && !isOfOthers {
			return r.Key() + "=" + values[0]
		}
	}
	return ""
}

// takes reports whether a selector takes pods of a workload, perhaps only some of them.
func takes(selector labels.Selector, w workload) bool {
	requirements, selectable := selector.Requirements()
	return selectable && fulfils(w, requirements)
}

// fulfils is takes for the requirements of a selector, which the selector copies each time it is asked.
func fulfils(w workload, requirements labels.Requirements) bool {
	have := w.set
	for i := range requirements { // a copy of each would be on the heap
		r := &requirements[i]
		if !have.Has(r.Key()) && isGiven(r, w) {
			continue
		}
		if !r.Matches(have) {
			return false
		}
	}
	return true
}

// isGiven reports whether Kubernetes gives pods of the workload a label that the requirement accepts.
func isGiven(r *labels.Requirement, w workload) bool {
	if !slices.Contains(topology, r.Key()) && !slices.Contains(given[w.Ref().Kind], r.Key()) {
		return false
	}
	switch r.Operator() {
	case selection.DoesNotExist:
		return false
	case selection.Equals, selection.DoubleEquals, selection.In:
		isNamed := slices.Contains([]string{podName, jobName, shortJob}, r.Key())
		isOwn := func(value string) bool { return strings.HasPrefix(value+"-", w.Ref().Name+"-") }
		return !isNamed || slices.ContainsFunc(r.ValuesUnsorted(), isOwn)
	}
	return true
}
