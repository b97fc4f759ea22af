package cluster

import (
	"context"
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
)

// SecretMarks returns the metadata of the Secrets of a type and with labels in all namespaces, without
// reading the Secrets. Where the user may not list those it looks into the cluster's namespace alone.
func SecretMarks(ctx context.Context, c *Cluster, kind corev1.SecretType, selector string) (
	[]metav1.PartialObjectMetadata, error) {
	const metadataOnly = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
	list := func(namespace string) ([]byte, error) {
		options := metav1.ListOptions{LabelSelector: selector, FieldSelector: "type=" + string(kind)}
		return c.typed.CoreV1().RESTClient().Get().NamespaceIfScoped(namespace, namespace != "").
			Resource("secrets").SetHeader("Accept", metadataOnly).
			VersionedParams(&options, scheme.ParameterCodec).Do(ctx).Raw()
	}
	data, err := list("")
	if apierrors.IsForbidden(err) {
		data, err = list(c.namespace)
	}
	if err != nil {
		return nil, c.Explain(ctx, "list", secretRef(c, ""), err)
	}
	var found metav1.PartialObjectMetadataList
	if err := json.Unmarshal(data, &found); err != nil {
		return nil, err
	}
	return found.Items, nil
}

// In returns the same access for another namespace.
func (c *Cluster) In(namespace string) *Cluster {
	other := *c
	other.namespace = namespace
	return &other
}
