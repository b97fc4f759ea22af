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
// reading the Secrets. It returns nothing where the user may not list the Secrets of all namespaces.
func SecretMarks(ctx context.Context, c *Cluster, kind corev1.SecretType, selector string) (
	[]metav1.PartialObjectMetadata, error) {
	const metadataOnly = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
	data, err := c.typed.CoreV1().RESTClient().Get().Resource("secrets").SetHeader("Accept", metadataOnly).
		VersionedParams(&metav1.ListOptions{LabelSelector: selector, FieldSelector: "type=" + string(kind)},
			scheme.ParameterCodec).Do(ctx).Raw()
	if apierrors.IsForbidden(err) {
		return nil, nil
	}
	if err != nil {
		return nil, c.Explain(ctx, "list", secretRef(c, ""), err)
	}
	var list metav1.PartialObjectMetadataList
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	return list.Items, nil
}

// In returns the same access for another namespace.
func (c *Cluster) In(namespace string) *Cluster {
	other := *c
	other.namespace = namespace
	return &other
}
