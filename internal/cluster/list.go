package cluster

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/kubernetes/scheme"

	"slipway/internal/object"
)

// collection is all objects of one kind, in a namespace where the kind has one.
type collection struct {
	c    *Cluster
	kind schema.GroupVersionKind
	path string
}

// collection returns the collection that a ref is of.
func (c *Cluster) collection(ctx context.Context, ref object.Ref, version string) (collection, error) {
	m, err := c.mapping(ctx, ref, version)
	if err != nil {
		return collection{}, err
	}
	path := "/apis/" + m.Resource.Group + "/" + m.Resource.Version
	if m.Resource.Group == "" {
		path = "/api/" + m.Resource.Version
	}
	if m.Scope.Name() == meta.RESTScopeNameNamespace {
		path += "/namespaces/" + ref.Namespace
	}
	return collection{c, m.GroupVersionKind, path + "/" + m.Resource.Resource}, nil
}

// page lists one page, and calls take for each object until it returns false. It decodes one object at a
// time: a page of them takes many times their text, and they are not needed together.
func (l collection) page(
	ctx context.Context, opt metav1.ListOptions, take func(*unstructured.Unstructured) bool,
) (metav1.ListMeta, error) {
	var about metav1.ListMeta
	body, err := l.c.typed.CoreV1().RESTClient().Get().AbsPath(l.path).SetHeader("Accept", "application/json").
		VersionedParams(&opt, scheme.ParameterCodec).Stream(ctx)
	if err != nil {
		return about, err
	}
	defer body.Close()
	d, wanted := json.NewDecoder(body), true
	err = object.EachField(d, func(key string) error {
		switch key {
		case "metadata":
			return d.Decode(&about)
		case "items":
			return object.EachItem(d, func(text []byte) error {
				o, err := l.decode(text, wanted)
				wanted = wanted && err == nil && take(o)
				return err
			})
		}
		return d.Decode(new(json.RawMessage))
	})
	if err != nil {
		return about, fmt.Errorf("list %s: %w", l.path, err)
	}
	return about, nil
}

// decode reads one object, unless it is not wanted.
func (l collection) decode(text []byte, wanted bool) (*unstructured.Unstructured, error) {
	o := &unstructured.Unstructured{}
	if !wanted {
		return o, nil
	}
	err := utiljson.Unmarshal(text, &o.Object) // whole numbers as objects have them
	if err == nil && o.GetKind() == "" {       // lists of built-in kinds leave it out
		o.SetGroupVersionKind(l.kind)
	}
	return o, err
}
