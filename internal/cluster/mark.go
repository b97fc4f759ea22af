package cluster

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// mark identifies a state of an object by its metadata. Edits change it, and a new status does not.
type mark struct {
	sum [sha256.Size]byte
	// own is when we applied the object last, in seconds since 1970.
	own int64
	// version is the resourceVersion.
	version string
}

func markOf(m *metav1.PartialObjectMetadata) mark {
	is := mark{version: m.ResourceVersion}
	kept := metav1.ObjectMeta{UID: m.UID, Generation: m.Generation, Labels: m.Labels, Finalizers: m.Finalizers,
		Annotations: map[string]string{}, OwnerReferences: m.OwnerReferences,
		DeletionTimestamp: m.DeletionTimestamp}
	if m.Generation == 0 { // such as a ConfigMap: each write of it is an edit
		kept.ResourceVersion = m.ResourceVersion
	}
	for k, v := range m.Annotations {
		if !slices.Contains(controllers, k) {
			kept.Annotations[k] = v
		}
	}
	for _, e := range m.ManagedFields {
		if e.Manager == Manager && e.Operation == metav1.ManagedFieldsOperationApply && e.Time != nil {
			is.own = e.Time.Unix()
		}
		if !isControllers(e) {
			kept.ManagedFields = append(kept.ManagedFields, e)
		}
	}
	sum := sha256.New()
	if err := json.NewEncoder(sum).Encode(kept); err != nil {
		panic(err) // metadata came as JSON
	}
	sum.Sum(is.sum[:0])
	return is
}

// isOfControllers reports whether only the controllers of Kubernetes have written an object, or another
// object owns it.
func isOfControllers(m *metav1.PartialObjectMetadata) bool {
	return len(m.OwnerReferences) > 0 || len(m.ManagedFields) > 0 &&
		!slices.ContainsFunc(m.ManagedFields, func(e metav1.ManagedFieldsEntry) bool { return !isControllers(e) })
}

// controllerManager is the field manager of the controllers of Kubernetes.
const controllerManager = "kube-controller-manager"

// isControllers says that a change of these fields is not an edit: of the status, and by Kubernetes itself.
func isControllers(e metav1.ManagedFieldsEntry) bool {
	return strings.HasPrefix(e.Subresource, "status") || e.Manager == controllerManager
}
