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

// takes reports whether a selector takes pods of a workload, perhaps only some of them.
func takes(selector labels.Selector, w workload) bool {
	requirements, selectable := selector.Requirements()
	return selectable && fulfils(w, requirements)
}

// fulfils is takes for the requirements of a selector, which the selector copies each time it is asked.
func fulfils(w workload, requirements labels.Requirements) bool {
	have := w.set
	for _, r := range requirements {
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
func isGiven(r labels.Requirement, w workload) bool {
	topology := r.Key() == "topology.kubernetes.io/zone" || r.Key() == "topology.kubernetes.io/region"
	if !topology && !slices.Contains(given[w.Ref().Kind], r.Key()) {
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
