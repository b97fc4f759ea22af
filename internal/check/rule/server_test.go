package rule

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"slipway/internal/cluster/sandboxtest"
	"slipway/internal/object"
	"slipway/internal/project"
)

const routes = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: httproutes.gateway.networking.k8s.io
  annotations: {api-approved.kubernetes.io: "unapproved, for a test"}
spec:
  group: gateway.networking.k8s.io
  names: {kind: HTTPRoute, listKind: HTTPRouteList, plural: httproutes, singular: httproute}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

// server is an API server that enforces the rules in a namespace.
type server struct {
	client    dynamic.Interface
	namespace string
	warned    *warnings
}

// warnings are what the API server said beside its answers.
type warnings struct {
	sync.Mutex
	texts []string
}

func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.Lock()
	defer w.Unlock()
	w.texts = append(w.texts, text)
}

func (w *warnings) take() string {
	w.Lock()
	defer w.Unlock()
	all := strings.Join(w.texts, "\n")
	w.texts = nil
	return all
}

func newServer(t *testing.T) server {
	t.Helper()
	box, err := sandboxtest.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(box.Stop)
	cfg, err := box.Admin()
	if err != nil {
		t.Fatal(err)
	}
	s := server{namespace: sandboxtest.Name("rule"), warned: &warnings{}}
	cfg.WarningHandler, cfg.QPS = s.warned, -1
	if s.client, err = dynamic.NewForConfig(rest.CopyConfig(cfg)); err != nil {
		t.Fatal(err)
	}
	list, err := object.Read(strings.NewReader("apiVersion: v1\nkind: Namespace\nmetadata: {name: "+s.namespace+
		"}\n---"+routes), "")
	if err != nil {
		t.Fatal(err)
	}
	set, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range append(list, set.Policies(s.namespace, project.Production)...) {
		if err := s.create(t.Context(), o, false); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(o.Ref().Kind, "ValidatingAdmissionPolicy") {
			t.Cleanup(func() {
				_ = s.resource(o).Delete(context.Background(), o.Ref().Name, metav1.DeleteOptions{})
			})
		}
	}
	return s
}

func (s server) resource(o object.Object) dynamic.ResourceInterface {
	gv, _ := schema.ParseGroupVersion(o.APIVersion())
	plural, _ := meta.UnsafeGuessKindToResource(gv.WithKind(o.Ref().Kind))
	r := s.client.Resource(plural)
	if o.Ref().Namespace != "" {
		return r.Namespace(o.Ref().Namespace)
	}
	return r
}

func (s server) create(ctx context.Context, o object.Object, dry bool) error {
	var options metav1.CreateOptions
	if dry {
		options.DryRun = []string{metav1.DryRunAll}
	}
	_, err := s.resource(o).Create(ctx, &unstructured.Unstructured{Object: o.Clone().Body}, options)
	return err
}

var policy = regexp.MustCompile(`ValidatingAdmissionPolicy '(\S+)'`)

// ask gives the rules that the API server says are broken, and whether it refused for one of them: then
// it names that one alone.
func (s server) ask(t *testing.T, o object.Object) (ids []string, refused bool, said string) {
	t.Helper()
	o = o.Clone()
	o.Body["metadata"].(map[string]any)["namespace"] = s.namespace
	s.warned.take()
	err := s.create(t.Context(), o, true)
	said = s.warned.take()
	if err != nil {
		said += "\n" + err.Error()
	}
	for _, m := range policy.FindAllStringSubmatch(said, -1) {
		ids = append(ids, strings.TrimPrefix(m[1], "slipway-"+s.namespace+"-"))
	}
	slices.Sort(ids)
	return slices.Compact(ids), err != nil, said
}

// The API server refuses what check calls an error, warns of what it calls a warning, and lets pass what
// it finds nothing in.
func TestServerAgrees(t *testing.T) {
	s := newServer(t)
	set, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	// A policy is enforced some moments after it was made. What breaks a rule waits for it; what breaks
	// none comes later, when all are.
	ordered := slices.Clone(edits)
	slices.SortStableFunc(ordered, func(a, b edit) int { return min(len(b.want), 1) - min(len(a.want), 1) })
	deadline := time.After(time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for _, e := range ordered {
		o := e.object(t)
		var want, errors []string
		findings, _ := set.Check(o, project.Production)
		for _, f := range findings {
			want = append(want, f.Rule)
			if f.Severity == "error" {
				errors = append(errors, f.Rule)
			}
		}
		slices.Sort(want)
		want = slices.Compact(want)
		agree := func(ids []string, refused bool) bool {
			if len(errors) > 0 {
				return refused && slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(errors, id) })
			}
			return !refused && slices.Equal(ids, want)
		}
		ids, refused, said := s.ask(t, o)
		for waiting := len(want) > 0; waiting && !agree(ids, refused); {
			select {
			case <-deadline:
				waiting = false
			case <-tick.C:
				ids, refused, said = s.ask(t, o)
			}
		}
		if !agree(ids, refused) {
			t.Errorf("%s %q → %q: check says %q, the API server %q\n%s", e.kind, e.old, e.new, want, ids, said)
		}
		for _, f := range findings {
			if !strings.Contains(said, f.Message) && !refused {
				t.Errorf("%s: the API server does not say %q, but\n%s", f.Rule, f.Message, said)
			}
		}
	}
}
