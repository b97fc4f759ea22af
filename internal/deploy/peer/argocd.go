package peer

import (
	"path"
	"strings"
	"time"

	"slipway/internal/object"
)

func application(o object.Object) App {
	a := App{
		Ref: o.Ref(), Tool: ArgoCD, namespace: text(o, "spec", "destination", "namespace"), Report: argoReport(o),
	}
	server, name := text(o, "spec", "destination", "server"), text(o, "spec", "destination", "name")
	a.away = server != "" && server != "https://kubernetes.default.svc" || name != "" && name != "in-cluster"
	sources := object.Mappings(o.At("spec", "sources"))
	if s := object.Mapping(o.At("spec", "source")); s != nil {
		sources = append(sources, s)
	}
	for _, s := range sources {
		if field(s, "chart") == "" && field(s, "path") != "" {
			a.sources = append(a.sources, argoSource(s))
		}
	}
	for _, r := range object.Mappings(o.At("status", "resources")) {
		a.Keeps = append(a.Keeps, object.Ref{Group: field(r, "group"), Kind: field(r, "kind"),
			Namespace: field(r, "namespace"), Name: field(r, "name")})
	}
	return a
}

func argoSource(s map[string]any) origin {
	from := origin{repository: repositoryOf(field(s, "repoURL")), path: path.Clean(field(s, "path"))}
	helm := object.Mapping(s["helm"])
	files, _ := helm["valueFiles"].([]any)
	for _, f := range files {
		name, _ := f.(string)
		switch ref, rest, ok := strings.Cut(name, "/"); {
		case ok && strings.HasPrefix(ref, "$"), ok && ref == "":
			name = path.Clean(rest)
		default:
			name = path.Join(from.path, name)
		}
		if name != path.Join(from.path, "values.yaml") {
			from.values = append(from.values, name)
		}
	}
	return from
}

func argoReport(o object.Object) Report {
	sync, health := text(o, "status", "sync", "status"), text(o, "status", "health", "status")
	r := Report{
		State: sync + ", " + health, Synced: sync == "Synced", Healthy: health == "Healthy",
		Revision: text(o, "status", "sync", "revision"), Suspended: !syncsItself(o),
		Since: moment(text(o, "status", "health", "lastTransitionTime")),
	}
	if sync == "" && health == "" {
		r.State = "not reported yet"
	}
	// The revision is that of the comparison: what runs is that of the last operation that succeeded.
	history := object.Mappings(o.At("status", "history"))
	if n := len(history); n > 0 {
		if ran := field(history[n-1], "revision"); ran != "" {
			r.Revision = ran
		}
		r.Since = later(r.Since, moment(field(history[n-1], "deployedAt")))
	}
	switch phase := text(o, "status", "operationState", "phase"); phase {
	case "Failed", "Error":
		r.Error = "sync " + strings.ToLower(phase) + ": " + oneLine(text(o, "status", "operationState", "message"))
	case "Running":
		r.State += ", syncing"
	}
	for _, c := range object.Mappings(o.At("status", "conditions")) {
		if kind := field(c, "type"); strings.HasSuffix(kind, "Error") {
			r.Error = kind + ": " + oneLine(field(c, "message"))
		}
	}
	if message := text(o, "status", "health", "message"); r.Error == "" && !r.Healthy {
		r.Error = oneLine(message)
	}
	if r.Since.After(time.Now()) {
		r.Since = time.Time{} // a clock that is ahead proves nothing
	}
	return r
}

// syncsItself says that an Application is synced without a person.
func syncsItself(o object.Object) bool {
	automated, ok := o.At("spec", "syncPolicy", "automated").(map[string]any)
	return ok && automated["enabled"] != false &&
		o.Annotations()["argocd.argoproj.io/skip-reconcile"] != "true"
}
