package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/object"
	"slipway/internal/render"
	"slipway/internal/render/tree"
)

const immutableChanged = rule.ID("immutable-changed")

// Past is an earlier state of the project's files.
type Past struct {
	// Name is what people call it: "HEAD".
	Name string
	// Changed are the files whose text differs now.
	Changed []string
	// Text is the earlier text of one of them. It fails where the file did not exist.
	Text func(name string) ([]byte, error)
	// Missing is why the earlier state is unavailable; the other fields are then empty.
	Missing string
}

// past compares immutable fields with those of the last commit.
func past(ctx context.Context, s *subject) found {
	const what = "changes of immutable fields"
	var all found
	for _, e := range s.envs {
		switch before, changed, err := renderPast(ctx, s, e); {
		case s.Past != nil && s.Past.Missing != "":
			all.add(found{unchecked: []finding.Unchecked{{What: what, Why: s.Past.Missing}}}.in(e.Name))
		case err != nil:
			why := fmt.Sprintf("the files of %s do not render together with the unchanged ones: %s", s.Past.Name, err)
			all.add(found{unchecked: []finding.Unchecked{{What: what, Why: why}}}.in(e.Name))
		case changed:
			all.add(found{findings: checkImmutable(before.Set, e.objects, s.Past.Name)}.in(e.Name))
		}
	}
	return all
}

// renderPast renders an environment with the earlier texts of its files; not where none has changed.
func renderPast(ctx context.Context, s *subject, e *environment) (_ render.Result, changed bool, _ error) {
	if s.Past == nil || s.Past.Missing != "" {
		return render.Result{}, false, nil
	}
	edits := map[string][]byte{}
	for _, r := range e.Reads.List() {
		if r.Kind == tree.File && slices.Contains(s.Past.Changed, r.Path) {
			if text, err := s.Past.Text(r.Path); err == nil {
				edits[r.Path] = text
			}
		}
	}
	if len(edits) == 0 {
		return render.Result{}, false, nil
	}
	before, err := s.Renderer.Edited(ctx, e.Environment, edits)
	return before, true, err
}

// immutableFields are the fields that an object keeps from when it was created.
func immutableFields(before object.Object) []string {
	if locked, _ := before.At("immutable").(bool); locked {
		return []string{"data", "binaryData", "stringData"}
	}
	ref := before.Ref()
	switch ref.Group + "/" + ref.Kind {
	case "apps/Deployment", "apps/ReplicaSet", "apps/DaemonSet":
		return []string{"spec.selector"}
	case "apps/StatefulSet":
		return []string{"spec.selector", "spec.serviceName", "spec.podManagementPolicy",
			"spec.volumeClaimTemplates"}
	case "/PersistentVolumeClaim":
		return []string{"spec.storageClassName", "spec.accessModes", "spec.volumeMode", "spec.selector"}
	case "rbac.authorization.k8s.io/RoleBinding", "rbac.authorization.k8s.io/ClusterRoleBinding":
		return []string{"roleRef"}
	case "storage.k8s.io/StorageClass":
		return []string{"provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"}
	case "/Service":
		return []string{"spec.clusterIP"}
	case "scheduling.k8s.io/PriorityClass":
		return []string{"value"}
	case "networking.k8s.io/IngressClass":
		return []string{"spec.controller"}
	}
	return nil
}

// checkImmutable reports the first immutable field of each object that differs from the earlier set.
func checkImmutable(before object.Set, now []object.Object, name string) []finding.Finding {
	var all []finding.Finding
	for _, o := range now {
		was, ok := before.Get(o.Ref())
		if !ok {
			continue
		}
		fields := immutableFields(was)
		for _, d := range object.Differences(was.Body, o.Body, object.Shown{}, false) {
			i := slices.IndexFunc(fields, func(f string) bool {
				return object.IsWithin(d.Path, f) || strings.HasPrefix(f, d.Path+".")
			})
			if i < 0 {
				continue
			}
			f := immutableChanged.New(o, fields[i],
				"%s is immutable and differs from %s: the API server refuses the deploy", fields[i], name)
			f.Fix = "Restore the value, or rename the object."
			all = append(all, f)
			break
		}
	}
	return all
}
