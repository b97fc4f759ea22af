package rollout

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"slipway/internal/cluster"
	"slipway/internal/object"
)

// missingOf returns the ConfigMap, Secret or claim that a kubelet's or scheduler's message calls missing.
func missingOf(namespace, message string) (object.Ref, bool) {
	if m := missingObject().FindStringSubmatch(message); m != nil {
		return object.Ref{Kind: missingKinds[strings.ToLower(m[1])], Namespace: namespace, Name: m[2]}, true
	}
	return object.Ref{}, false
}

// storeKinds make Secrets and ConfigMaps in the cluster, from what is kept elsewhere.
var storeKinds = []schema.GroupVersionKind{
	{Group: "cert-manager.io", Version: "v1", Kind: "Certificate"},
	{Group: "external-secrets.io", Version: "v1", Kind: "ExternalSecret"},
	{Group: "external-secrets.io", Version: "v1beta1", Kind: "ExternalSecret"},
	{Group: "bitnami.com", Version: "v1alpha1", Kind: "SealedSecret"},
	{Group: "secrets.hashicorp.com", Version: "v1beta1", Kind: "VaultStaticSecret"},
	{Group: "secrets.hashicorp.com", Version: "v1beta1", Kind: "VaultDynamicSecret"},
	{Group: "postgresql.cnpg.io", Version: "v1", Kind: "Cluster"},
	{Group: "onepassword.com", Version: "v1", Kind: "OnePasswordItem"},
	{Group: "isindir.github.com", Version: "v1alpha3", Kind: "SopsSecret"},
}

// readerGroups have custom resources that name Secrets without making them.
var readerGroups = []string{
	"argoproj.io", "gateway.networking.k8s.io", "monitoring.coreos.com", "networking.istio.io", "traefik.io",
	"traefik.containo.us", "projectcontour.io", "keda.sh", "serving.knative.dev",
}

// awaitMaker withdraws the verdict on a missing object where a custom resource makes it, and says what the
// wait is for.
func (w *waiter) awaitMaker(ctx context.Context, it *item) {
	for i := range it.symptoms {
		s := &it.symptoms[i]
		ref, missing := missingOf(it.ref.Namespace, s.message)
		if !missing || !s.missing {
			continue
		}
		it.waitsFor = fmt.Sprintf("waiting for the %s %s", ref.Kind, ref.Name)
		maker, found := w.maker(ctx, ref)
		if !found {
			continue
		}
		it.waitsFor += fmt.Sprintf(", which %s %s makes", maker.Kind, maker.Name)
		it.final = slices.DeleteFunc(it.final, func(f symptom) bool { return f.key() == s.key() })
	}
}

// maker finds the custom resource that makes an object: one of the set that names it, or one in the cluster
// of a kind that is known to make such objects.
func (w *waiter) maker(ctx context.Context, ref object.Ref) (object.Ref, bool) {
	w.mu.Lock() // objects are examined side by side
	defer w.mu.Unlock()
	if found, known := w.makers[ref]; known {
		return found, found.Kind != ""
	}
	var found object.Ref
	for _, o := range w.custom {
		r := o.Ref()
		if r.Namespace == ref.Namespace && !slices.Contains(readerGroups, r.Group) && makes(o, ref.Name) {
			found = r
		}
	}
	for _, kind := range storeKinds {
		if found.Kind != "" {
			break
		}
		found = w.liveMaker(ctx, kind, ref)
	}
	if ctx.Err() == nil {
		w.makers[ref] = found
	}
	return found, found.Kind != ""
}

// liveMaker ignores errors: who may not list a kind waits as if there were none.
func (w *waiter) liveMaker(ctx context.Context, kind schema.GroupVersionKind, ref object.Ref) object.Ref {
	if w.c.Serves(ctx, kind.GroupKind()) != nil {
		return object.Ref{}
	}
	list, err := cluster.Lookup(ctx, w.c, kind.GroupVersion().String(), kind.Kind, ref.Namespace, "")
	if err != nil {
		return object.Ref{}
	}
	for _, body := range object.Mappings(list["items"]) {
		if o := (object.Object{Body: body}); makes(o, ref.Name) {
			return o.Ref()
		}
	}
	return object.Ref{}
}

// makes says whether a custom resource makes an object of that name: it has the name itself, or a prefix of
// it as operators do for credentials ("db-app" of the cluster "db"), or its spec names it.
func makes(o object.Object, name string) bool {
	own := o.Ref().Name
	return own == name || strings.HasPrefix(name, own+"-") || hasText(o.At("spec"), name)
}

func hasText(v any, text string) bool {
	switch v := v.(type) {
	case string:
		return v == text
	case []any:
		return slices.ContainsFunc(v, func(e any) bool { return hasText(e, text) })
	case map[string]any:
		for _, e := range v {
			if hasText(e, text) {
				return true
			}
		}
	}
	return false
}
