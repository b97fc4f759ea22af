package deploy_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/cluster"
	"slipway/internal/cluster/sandboxtest"
	"slipway/internal/deploy"
	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/project"
	"slipway/internal/release"
)

func TestMain(m *testing.M) { sandboxtest.Main(m) }

// place is an environment of a test's own, and the administrator's way around Slipway.
type place struct {
	deploy.Target
	admin     *kubernetes.Clientset
	namespace string
}

// newPlace opens an environment as its editor; as the administrator and in a namespace that is not
// there yet when founding is what is tested.
func newPlace(t *testing.T, found bool) place {
	t.Helper()
	sandbox := sandboxtest.Shared(t)
	prefix, kubeconfig := sandboxtest.Name("deploy"), filepath.Join(t.TempDir(), "kubeconfig")
	if err := sandbox.Project(t.Context(), prefix, kubeconfig, "prod"); err != nil {
		t.Fatal(err)
	}
	o := cluster.Options{Kubeconfig: kubeconfig, Context: "prod"}
	if found {
		o.Context, o.Namespace = "admin", prefix+"-new"
	}
	c, err := cluster.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := sandbox.Admin()
	if err != nil {
		t.Fatal(err)
	}
	cs, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	env := project.Environment{Name: "prod", Class: project.Production}
	source := project.Source{Project: project.Project{Name: "shop", Environments: []project.Environment{env}}}
	return place{deploy.Target{Source: source, Environment: env, Cluster: c}, cs, c.Namespace()}
}

func prepared(t *testing.T, tag string, documents ...string) deploy.Prepared {
	t.Helper()
	objects, err := object.Read(strings.NewReader(strings.Join(documents, "\n---\n")), "k8s/app.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := deploy.Prepared{Tag: tag}
	for _, o := range objects {
		if err := p.Set.Add(o); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (p place) plan(t *testing.T, what deploy.Prepared) deploy.Proposal {
	t.Helper()
	proposal, err := deploy.ProposePrepared(t.Context(), p.Target, what)
	if err != nil {
		t.Fatal(err)
	}
	return proposal
}

func (p place) deploy(t *testing.T, what deploy.Prepared) release.Release {
	t.Helper()
	rel, err := deploy.Apply(t.Context(), p.Target, p.plan(t, what), deploy.Options{Who: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	return rel
}

// versions returns the objects and records with their resourceVersion; only the lock may change.
func (p place) versions(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	add := func(kind string, m metav1.ObjectMeta) { found[kind+"/"+m.Name] = m.ResourceVersion }
	configs, err := p.admin.CoreV1().ConfigMaps(p.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range configs.Items {
		add("ConfigMap", o.ObjectMeta)
	}
	services, err := p.admin.CoreV1().Services(p.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range services.Items {
		add("Service", o.ObjectMeta)
	}
	secrets, err := p.admin.CoreV1().Secrets(p.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range secrets.Items {
		add("Secret", o.ObjectMeta)
	}
	return found
}

const (
	service  = `{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}}`
	settings = `{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {level: info}}`
	louder   = `{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {level: debug}}`
	old      = `{apiVersion: v1, kind: ConfigMap, metadata: {name: old}, data: {a: b}}`
)

// Guarantee 2: what the plan did not show does not change. Whatever happens between the plan and the
// deploy, the plan is made again under the lock, and what differs is not done.
func TestStalePlan(t *testing.T) {
	t.Parallel()
	for name, meanwhile := range map[string]func(t *testing.T, p place) error{
		"a field that we set": func(t *testing.T, p place) error {
			_, err := p.admin.CoreV1().Services(p.namespace).Patch(t.Context(), "web", types.MergePatchType,
				[]byte(`{"spec":{"selector":{"app":"other"}}}`), metav1.PatchOptions{FieldManager: "kubectl-edit"})
			return err
		},
		"the field that is to change": func(t *testing.T, p place) error {
			_, err := p.admin.CoreV1().ConfigMaps(p.namespace).Patch(t.Context(), "settings", types.MergePatchType,
				[]byte(`{"data":{"level":"warn"}}`), metav1.PatchOptions{FieldManager: "slipway"})
			return err
		},
		"an object is gone": func(t *testing.T, p place) error {
			return p.admin.CoreV1().Services(p.namespace).Delete(t.Context(), "web", metav1.DeleteOptions{})
		},
		"what is to be deleted is another one by now": func(t *testing.T, p place) error {
			if err := p.admin.CoreV1().ConfigMaps(p.namespace).Delete(t.Context(), "old",
				metav1.DeleteOptions{}); err != nil {
				return err
			}
			_, err := p.admin.CoreV1().ConfigMaps(p.namespace).Create(t.Context(),
				&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "old"}}, metav1.CreateOptions{})
			return err
		},
		"a field that a person adds": func(t *testing.T, p place) error {
			_, err := p.admin.CoreV1().Services(p.namespace).Patch(t.Context(), "web", types.MergePatchType,
				[]byte(`{"metadata":{"labels":{"seen":"yes"}}}`), metav1.PatchOptions{FieldManager: "kubectl-label"})
			return err
		},
		"another release": func(t *testing.T, p place) error {
			p.deploy(t, prepared(t, "sha-3", service, settings, old,
				`{apiVersion: v1, kind: ConfigMap, metadata: {name: more}}`))
			return nil
		},
		"another release of the same": func(t *testing.T, p place) error {
			p.deploy(t, prepared(t, "sha-2", service, louder))
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, false)
			p.deploy(t, prepared(t, "sha-1", service, settings, old))
			proposal := p.plan(t, prepared(t, "sha-2", service, louder))
			if err := meanwhile(t, p); err != nil {
				t.Fatal(err)
			}
			before := p.versions(t)
			rel, err := deploy.Apply(t.Context(), p.Target, proposal, deploy.Options{Who: "ada"})
			if !errors.Is(err, plan.ErrStale) {
				t.Errorf("release %v, error %v, want a stale plan", rel, err)
			}
			if diff := cmp.Diff(before, p.versions(t)); diff != "" {
				t.Errorf("a stale plan changed something: %s", diff)
			}
		})
	}
}

// Fields that a controller adds leave the plan as it is.
func TestPlanThatIsNotStale(t *testing.T) {
	t.Parallel()
	p := newPlace(t, false)
	p.deploy(t, prepared(t, "sha-1", service, settings, old))
	proposal := p.plan(t, prepared(t, "sha-2", service, louder))
	if _, err := p.admin.CoreV1().Services(p.namespace).Patch(t.Context(), "web", types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"seen":"yes"}}}`),
		metav1.PatchOptions{FieldManager: "mesh-operator"}); err != nil {
		t.Fatal(err)
	}
	if rel, err := deploy.Apply(t.Context(), p.Target, proposal, deploy.Options{}); err != nil ||
		rel.Status != release.Healthy {
		t.Errorf("%v %v", rel, err)
	}
}

// The namespace that holds the record is made before the plan can be made again: what is then found
// in it must be what was shown all the same.
func TestStalePlanInANewNamespace(t *testing.T) {
	t.Parallel()
	p := newPlace(t, true)
	namespace := fmt.Sprintf(`{apiVersion: v1, kind: Namespace, metadata: {name: %s}}`, p.namespace)
	proposal := p.plan(t, prepared(t, "sha-1", namespace, settings))
	if _, err := p.admin.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.namespace}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	theirs := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"},
		Data: map[string]string{"level": "warn"}}
	if _, err := p.admin.CoreV1().ConfigMaps(p.namespace).Create(t.Context(), theirs,
		metav1.CreateOptions{FieldManager: "kubectl-create"}); err != nil {
		t.Fatal(err)
	}
	before := p.versions(t)
	if _, err := deploy.Apply(t.Context(), p.Target, proposal, deploy.Options{}); !errors.Is(err,
		plan.ErrStale) {
		t.Errorf("error %v, want a stale plan", err)
	}
	after := p.versions(t)
	delete(before, "ConfigMap/kube-root-ca.crt")
	delete(after, "ConfigMap/kube-root-ca.crt")
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("a stale plan changed something: %s", diff)
	}
}

// Once does not release objects again that another deploy was releasing when the plan was made.
func TestOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t, false)
	p.deploy(t, prepared(t, "sha-1", service, settings))
	records := p.Records()
	past, err := records.Past(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lock, err := records.Lock(t.Context(), release.Holder{Who: "grace"}, past.Latest)
	if err != nil {
		t.Fatal(err)
	}
	running, err := records.Begin(t.Context(), past, release.Release{Objects: past.Latest.Objects})
	if err != nil {
		t.Fatal(err)
	}
	proposal := p.plan(t, prepared(t, "sha-1", service, settings))
	running.Status = release.Healthy
	if _, err := records.Finish(t.Context(), running); err != nil {
		t.Fatal(err)
	}
	if err := lock.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	rel, err := deploy.Apply(t.Context(), p.Target, proposal, deploy.Options{Once: true})
	if !errors.Is(err, plan.ErrStale) {
		t.Errorf("release %v, error %v, want a stale plan", rel, err)
	}
	if rel, err := deploy.Apply(t.Context(), p.Target, proposal, deploy.Options{}); err != nil ||
		rel.Revision != running.Revision+1 {
		t.Errorf("without it: release %v, error %v", rel, err)
	}
}
