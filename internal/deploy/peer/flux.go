package peer

import (
	"path"
	"strings"

	"slipway/internal/object"
)

// sourceOf is the repository that an object of Flux refers to, if it is among those that were read.
func sourceOf(o object.Object, repositories map[object.Ref]object.Object, at ...string) object.Object {
	ref := object.Mapping(o.At(at...))
	namespace := field(ref, "namespace")
	if namespace == "" {
		namespace = o.Ref().Namespace
	}
	return repositories[object.Ref{Kind: field(ref, "kind"), Namespace: namespace, Name: field(ref, "name")}]
}

func kustomization(o object.Object, repositories map[object.Ref]object.Object) App {
	source := sourceOf(o, repositories, "spec", "sourceRef")
	a := App{
		Ref: o.Ref(), Tool: Flux, Keeps: inventory(o), Report: fluxReport(o, source),
		namespace: text(o, "spec", "targetNamespace"), away: o.At("spec", "kubeConfig") != nil,
		sources: []origin{{
			repository: repositoryOf(text(source, "spec", "url")), path: path.Clean(text(o, "spec", "path")),
		}},
	}
	a.Report.Revision = text(o, "status", "lastAppliedRevision")
	newest := text(source, "status", "artifact", "revision")
	a.Report.Synced = a.Report.Revision != "" && (newest == "" || newest == a.Report.Revision)
	// The newest entry is first, and begins when its objects were first applied.
	if history := object.Mappings(o.At("status", "history")); len(history) > 0 {
		a.Report.Since = later(a.Report.Since, moment(field(history[0], "firstReconciled")))
	}
	return a
}

func helmRelease(o object.Object, repositories map[object.Ref]object.Object) App {
	source := sourceOf(o, repositories, "spec", "chart", "spec", "sourceRef")
	a := App{
		Ref: o.Ref(), Tool: Flux, Keeps: inventory(o), Report: fluxReport(o, source),
		namespace: text(o, "spec", "targetNamespace"), away: o.At("spec", "kubeConfig") != nil,
	}
	if a.namespace == "" {
		a.namespace = a.Ref.Namespace
	}
	from := origin{
		repository: repositoryOf(text(source, "spec", "url")),
		path:       path.Clean(text(o, "spec", "chart", "spec", "chart")),
	}
	files, _ := o.At("spec", "chart", "spec", "valuesFiles").([]any)
	for _, f := range files {
		name, _ := f.(string)
		if name = path.Clean(name); name != path.Join(from.path, "values.yaml") {
			from.values = append(from.values, name)
		}
	}
	a.sources = []origin{from}
	if history := object.Mappings(o.At("status", "history")); len(history) > 0 {
		a.Report.Revision = field(history[0], "chartVersion")
		a.Report.Since = later(a.Report.Since, moment(field(history[0], "lastDeployed")))
	}
	attempted := text(o, "status", "lastAttemptedRevision")
	a.Report.Synced = a.Report.Revision != "" && (attempted == "" || attempted == a.Report.Revision)
	return a
}

// fluxReport reads the conditions that Kustomizations and HelmReleases share, and why their source is not
// read.
func fluxReport(o, source object.Object) Report {
	r := Report{State: "not reported yet", Suspended: o.At("spec", "suspend") == true}
	generation, _ := o.At("metadata", "generation").(int64)
	observed, states := o.At("status", "observedGeneration").(int64)
	isCurrent := !states || generation == 0 || observed >= generation
	for _, c := range object.Mappings(o.At("status", "conditions")) {
		if field(c, "type") != "Ready" {
			continue
		}
		r.Since = moment(field(c, "lastTransitionTime"))
		switch field(c, "status") {
		case "True":
			r.State, r.Healthy = "Ready", isCurrent
		case "False":
			r.State, r.Error = "not Ready", field(c, "reason")+": "+oneLine(field(c, "message"))
		default:
			r.State = "reconciling"
		}
	}
	for _, c := range object.Mappings(source.At("status", "conditions")) {
		failed := field(c, "type") == "Ready" && field(c, "status") == "False"
		if failed && r.Error == "" {
			r.Error = source.Ref().Kind + ": " + field(c, "reason") + ": " + oneLine(field(c, "message"))
		}
	}
	return r
}

// inventory is what an object of Flux has applied. An entry is NAMESPACE_NAME_GROUP_KIND, and two underscores
// in the name of an RBAC object stand for a colon.
func inventory(o object.Object) []object.Ref {
	var refs []object.Ref
	for _, e := range object.Mappings(o.At("status", "inventory", "entries")) {
		namespace, rest, _ := strings.Cut(field(e, "id"), "_")
		rest, kind, ok := cutLast(rest)
		if name, group, found := cutLast(rest); ok && found {
			refs = append(refs, object.Ref{Group: group, Kind: kind, Namespace: namespace,
				Name: strings.ReplaceAll(name, "__", ":")})
		}
	}
	return refs
}

func cutLast(s string) (before, after string, found bool) {
	i := strings.LastIndexByte(s, '_')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
