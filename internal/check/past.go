package check

import (
	"fmt"
	"slices"
	"strings"

	"slipway/internal/check/finding"
	"slipway/internal/object"
	"slipway/internal/render/tree"
)

// Past is an earlier state of the project's files.
type Past struct {
	// Name is what people call it: "HEAD".
	Name string
	// Changed are the files that say something else now.
	Changed []string
	// Text is what one of them said. An error means that it was not there.
	Text func(name string) ([]byte, error)
	// Missing is why there is no earlier state to be had; the other fields are then empty.
	Missing string
}

var ruleImmutable = finding.Rule{
	ID: "immutable-changed", Group: "crossing", Severity: finding.Error,
	Title: "A field that cannot be changed is not what it was in the last commit",
	Why: "The API server takes some fields when an object is created and never again: the selector of a " +
		"Deployment, the " +
		"volumes that a StatefulSet claims, the role of a RoleBinding. Where the object is there already, the " +
		"deploy is refused.",
	Fix: "Give the field its value back. If the change is meant, give the object another name, so that the " +
		"old one is replaced " +
		"as a whole, and plan for the time in which neither serves.",
}

var past = group{rules: []finding.Rule{ruleImmutable}, each: immutable}

// fixed are the fields that an object keeps from when it was created.
var fixed = map[string][]string{
	"apps/Deployment": {"spec.selector"}, "apps/ReplicaSet": {"spec.selector"},
	"apps/DaemonSet": {"spec.selector"},
	"apps/StatefulSet": {"spec.selector", "spec.serviceName",
		"spec.podManagementPolicy", "spec.volumeClaimTemplates"},
	"/PersistentVolumeClaim": {"spec.storageClassName", "spec.accessModes",
		"spec.volumeMode", "spec.selector"},
	"rbac.authorization.k8s.io/RoleBinding":        {"roleRef"},
	"rbac.authorization.k8s.io/ClusterRoleBinding": {"roleRef"},
	"storage.k8s.io/StorageClass": {"provisioner", "parameters", "reclaimPolicy",
		"volumeBindingMode"},
	"/Service":                        {"spec.clusterIP"},
	"scheduling.k8s.io/PriorityClass": {"value"},
	"networking.k8s.io/IngressClass":  {"spec.controller"},
}

// immutable renders an environment as the last commit had it, where something that it is made of has
// changed since, and looks at the fields that the API server would not take.
func immutable(r *run, e environment) {
	if r.Past == nil {
		return
	}
	if r.Past.Missing != "" {
		r.unchecked(finding.Unchecked{What: "changes to fields that cannot be changed", Why: r.Past.Missing})
		return
	}
	edits := map[string][]byte{}
	for _, s := range e.reads.List() {
		if s.Kind == tree.File && slices.Contains(r.Past.Changed, s.Path) {
			if text, err := r.Past.Text(s.Path); err == nil {
				edits[s.Path] = text
			}
		}
	}
	if len(edits) == 0 {
		return
	}
	was, err := r.Renderer.Edited(r.ctx, e.Environment, edits)
	if err != nil {
		r.unchecked(finding.Unchecked{
			What: "changes to fields that cannot be changed",
			Why:  fmt.Sprintf("%s does not render with the files of today beside it: %s", r.Past.Name, err),
		})
		return
	}
	for _, o := range e.set.Objects() {
		ref := o.Ref()
		before, ok := was.Set.Get(ref)
		if !ok {
			continue
		}
		fields := fixed[ref.Group+"/"+ref.Kind]
		if locked, _ := before.At("immutable").(bool); locked {
			fields = []string{"data", "binaryData", "stringData"}
		}
		for _, d := range object.Differences(before.Body, o.Body, object.Shown{}, false) {
			if i := slices.IndexFunc(fields, func(f string) bool {
				return d.Path == f || strings.HasPrefix(d.Path, f+".") || strings.HasPrefix(d.Path, f+"[") ||
					strings.HasPrefix(f, d.Path+".")
			}); i >= 0 {
				f := ruleImmutable.New(o, fields[i], "%s is not what it was in %s: what is deployed cannot be changed",
					fields[i], r.Past.Name)
				f.Fix = "give it its value back, or the object another name"
				r.find(f)
				break
			}
		}
	}
}
