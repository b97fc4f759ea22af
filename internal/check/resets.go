package check

import (
	"path"
	"slices"
	"strings"

	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/object"
	"slipway/internal/render"
)

const (
	hpaReplicas    = rule.ID("hpa-replicas")
	unstableRender = rule.ID("unstable-render")
)

// resets checks which fields a deploy of an unchanged source changes.
func resets(s *subject, e *environment) found {
	var all []finding.Finding
	for _, w := range e.workloads {
		all = append(all, checkScaledReplicas(e, w)...)
	}
	for _, w := range e.Warnings {
		if _, what, ok := strings.Cut(w, "differs on each render: "); ok {
			all = append(all, checkUnstable(s.files, e, what)...)
		}
	}
	return found{findings: all}
}

// remarks are the warnings of an environment's render that are no findings, without those that are known.
func remarks(e *environment, known []string) []string {
	return slices.DeleteFunc(slices.Clone(e.Warnings), func(w string) bool {
		return strings.Contains(w, "differs on each render: ") || w == render.NoNamespace ||
			slices.Contains(known, w)
	})
}

func checkScaledReplicas(e *environment, w workload) []finding.Finding {
	scaler, ok := scalerOf(e, w.Object)
	n := w.At("spec", "replicas")
	if !ok || n == nil {
		return nil
	}
	what := "every deploy resets the autoscaler's value"
	if n == int64(0) {
		what = "every deploy switches the autoscaler off"
	}
	at := ""
	if place := scaler.Origin.String(); place != "" {
		at = " (" + place + ")"
	}
	f := hpaReplicas.New(w.Object, "spec.replicas", "replicas is %v although %s %s%s sets it: %s",
		n, scaler.Ref().Kind, scaler.Ref().Name, at, what)
	f.Fix = "Remove `replicas`."
	if w.Origin.Line == 0 { // in a template: without the value it would be the chart's default
		f.Fix = "Omit `replicas` in " + w.Origin.File + " when the autoscaler is enabled."
	}
	return []finding.Finding{f}
}

// checkUnstable reports a field that helm.Unstable names, such as
// "templates/db.yaml: Secret db data.password: randAlphaNum".
func checkUnstable(src files, e *environment, what string) []finding.Finding {
	const message = "%s renders differently each time: each deploy changes it"
	file, rest, _ := strings.Cut(what, ": ")
	words := strings.SplitN(rest, " ", 3)
	if len(words) != 3 || !src.isFile(file) {
		return []finding.Finding{unstableRender.In(finding.Place{}, message, what)}
	}
	inFile := func(o object.Object) bool { return o.Origin.File == file }
	if !slices.ContainsFunc(e.objects, inFile) {
		return nil // a test of the chart, which is not deployed
	}
	for _, o := range e.objects {
		if ref := o.Ref(); inFile(o) && ref.Kind == words[0] && ref.Name == path.Base(words[1]) {
			// Without a field: overrides of the field are not the cause.
			return []finding.Finding{unstableRender.New(o, "", message, words[2])}
		}
	}
	return []finding.Finding{unstableRender.In(finding.Place{File: file}, message, rest)}
}
