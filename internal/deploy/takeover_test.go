package deploy_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"slipway/internal/cluster/sandboxtest"
	"slipway/internal/deploy"
	"slipway/internal/object"
	"slipway/internal/plan"
)

// tool is how a tool writes objects.
type tool struct {
	name, manager string
	apply         bool   // server-side
	annotates     bool   // with what it applied last, as kubectl does
	adds          string // the manager that adds what no source has; empty: the tool itself
}

var tools = []tool{
	{name: "kubectl apply", manager: "kubectl-client-side-apply", annotates: true},
	{name: "kubectl apply --server-side", manager: "kubectl", apply: true},
	{name: "kubectl create, kubectl edit", manager: "kubectl-create", adds: "kubectl-edit"},
	{name: "Helm 3", manager: "helm"},
	{name: "Argo CD", manager: "argocd-controller", annotates: true},
	{name: "Argo CD, server-side", manager: "argocd-controller", apply: true},
	{name: "Flux kustomize-controller", manager: "kustomize-controller", apply: true},
	{name: "Flux helm-controller", manager: "helm-controller"},
}

// takenOver are the manifests: lines with "added" are the tool's alone, the second release is without those
// with "old", and has other values in those with "changed".
const takenOver = `apiVersion: v1
kind: ConfigMap
metadata: {name: web}
data:
  value: "1" # changed
  dropped: "1" # old
  extra: "1" # added
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports:
    - {name: http, port: 80}
    - {name: admin, port: 81} # old
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: ghcr.io/acme/web:1
          env:
            - {name: KEEP, value: "1"}
            - {name: OLD, value: "1"} # old
            - {name: EXTRA, value: "1"} # added
--- # old
apiVersion: v1 # old
kind: ConfigMap # old
metadata: {name: gone} # old
`

// without leaves out the lines that end in a mark.
func without(text string, marks ...string) string {
	var out []string
	for line := range strings.Lines(text) {
		_, mark, ok := strings.Cut(strings.TrimSpace(line), "# ")
		if !ok || !slices.Contains(marks, mark) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// takeoverCases are what happens to a field or an object in the second release: where it is, in the plan
// and in the cluster.
var takeoverCases = []struct{ name, kind, path string }{
	{"field changed", "ConfigMap/web", "data.value"},
	{"field dropped", "ConfigMap/web", "data.dropped"},
	{"field added by the tool", "ConfigMap/web", "data.extra"},
	{"list element removed", "Service/web", "spec.ports[name=admin]"},
	{"variable removed", "Deployment/web", "spec.template.spec.containers[name=web].env[name=OLD]"},
	{"variable added by the tool", "Deployment/web", "spec.template.spec.containers[name=web].env[name=EXTRA]"},
	{"object dropped", "ConfigMap/gone", ""},
}

// TestTakeover lets each tool make objects, and deploys them twice. UPDATE=1 writes docs/takeover.md.
func TestTakeover(t *testing.T) {
	t.Parallel()
	rows := make([]string, len(tools))
	var wg sync.WaitGroup
	for i, by := range tools {
		wg.Add(1)
		t.Run(by.name, func(t *testing.T) {
			defer wg.Done()
			t.Parallel()
			rows[i] = takeOver(t, by)
		})
	}
	t.Run("table", func(t *testing.T) {
		t.Parallel()
		wg.Wait()
		compareTakeover(t, rows)
	})
}

// takeOver returns the row of a tool: what the plans say, and what is live afterwards.
func takeOver(t *testing.T, by tool) string {
	files := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(files, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("slipway.yaml", "project: shop\nenvironments: {prod: {path: k8s.yaml, class: staging}}\n")
	write("k8s.yaml", without(takenOver, "added"))
	s := newStage(t, files, nil)
	live := tooled{t, s.target.Cluster.Namespace()}
	live.write(by)
	first := s.propose(t)
	settle := deploy.Options{Who: "ada", Settle: new(time.Duration)}
	if _, err := deploy.Apply(t.Context(), s.target, first, settle); err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(without(takenOver, "added", "old"), `value: "1" # changed`, `value: "2"`, 1)
	if err := os.WriteFile(filepath.Join(s.dir, "k8s.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	s.commit(t)
	second := s.propose(t)
	if _, err := deploy.Apply(t.Context(), s.target, second, settle); err != nil {
		t.Fatal(err)
	}
	if last := s.propose(t); !last.Plan.Empty() {
		t.Errorf("the plan after the second release: %+v", last.Plan.Changes)
	}
	row := fmt.Sprintf("| %s | %s |", by.name, reasonFor(first.Plan, "ConfigMap/web"))
	for _, c := range takeoverCases {
		row += fmt.Sprintf(" %s; live: %s |", planned(second.Plan, c.kind, c.path), live.value(c.kind, c.path))
	}
	return row
}

func changeOf(p plan.Plan, of string) plan.Change {
	for _, c := range p.Changes {
		if c.Ref.Kind+"/"+c.Ref.Name == of {
			return c
		}
	}
	return plan.Change{}
}

func reasonFor(p plan.Plan, of string) string { return changeOf(p, of).Reason }

// planned is what a plan says about a field, or about an object.
func planned(p plan.Plan, of, path string) string {
	c := changeOf(p, of)
	if path == "" {
		return string(c.Action)
	}
	for _, f := range c.Fields {
		if f.Path == path {
			return fmt.Sprintf("`%s → %s`", short(f.Before), short(f.After))
		}
	}
	return "nothing"
}

// short is a value, or the value of an element.
func short(v any) string {
	switch v := v.(type) {
	case nil:
		return "∅"
	case map[string]any:
		if port, ok := v["port"]; ok {
			return fmt.Sprint(port)
		}
		return short(v["value"])
	}
	return fmt.Sprint(v)
}

// tooled are the objects of a namespace as other tools see them.
type tooled struct {
	t         *testing.T
	namespace string
}

func (l tooled) of(kind string) dynamic.ResourceInterface {
	l.t.Helper()
	cfg, err := sandboxtest.Shared(l.t).Admin()
	if err != nil {
		l.t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		l.t.Fatal(err)
	}
	group := ""
	if kind == "Deployment" {
		group = "apps"
	}
	resource := schema.GroupVersionResource{Group: group, Version: "v1", Resource: strings.ToLower(kind) + "s"}
	return client.Resource(resource).Namespace(l.namespace)
}

// write makes the objects as a tool does.
func (l tooled) write(by tool) {
	l.t.Helper()
	text := takenOver
	if by.adds != "" {
		text = without(takenOver, "added")
	}
	list, err := object.Read(strings.NewReader(text), "k8s.yaml")
	if err != nil {
		l.t.Fatal(err)
	}
	for _, o := range list {
		at, u := l.of(o.Ref().Kind), &unstructured.Unstructured{Object: o.Body}
		if by.annotates {
			text, _ := json.Marshal(o.Body)
			u.SetAnnotations(map[string]string{"kubectl.kubernetes.io/last-applied-configuration": string(text)})
		}
		if by.apply {
			_, err = at.Apply(l.t.Context(), o.Ref().Name, u, metav1.ApplyOptions{FieldManager: by.manager})
		} else {
			_, err = at.Create(l.t.Context(), u, metav1.CreateOptions{FieldManager: by.manager})
		}
		if err != nil {
			l.t.Fatal(err)
		}
	}
	if by.adds == "" {
		return
	}
	for kind, patch := range map[string]string{
		"ConfigMap": `{"data": {"extra": "1"}}`,
		"Deployment": `{"spec": {"template": {"spec": {"containers": [
			{"name": "web", "env": [{"name": "EXTRA", "value": "1"}]}]}}}}`,
	} {
		if _, err := l.of(kind).Patch(l.t.Context(), "web", types.StrategicMergePatchType, []byte(patch),
			metav1.PatchOptions{FieldManager: by.adds}); err != nil {
			l.t.Fatal(err)
		}
	}
}

// value is what is live at a path of an object: "gone" where nothing is.
func (l tooled) value(of, path string) string {
	l.t.Helper()
	kind, name, _ := strings.Cut(of, "/")
	u, err := l.of(kind).Get(l.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return "gone"
	}
	if path == "" {
		return "there"
	}
	steps, err := object.Steps(path)
	if err != nil {
		l.t.Fatal(err)
	}
	v, ok := object.Value(u.Object, steps)
	if !ok {
		return "gone"
	}
	return "`" + short(v) + "`"
}

const takeoverHead = "# Taking over from other tools\n\n" +
	"`make takeover` writes this table with a test that lets each tool make objects on a real API server, as its field\n" +
	"manager does, and deploys them twice. The first release changes nothing but who keeps the objects: what only the tool\n" +
	"has set stays, and the plan names it, so that the way back is safe. The second release changes, drops and removes what\n" +
	"the columns say; the cells have what its plan says and what is live afterwards. The next plan is empty.\n\n"

// compareTakeover compares the table in the documentation with the one of the test.
func compareTakeover(t *testing.T, rows []string) {
	t.Helper()
	const file = "../../docs/takeover.md"
	head, line := "| tool | first release |", "|---|---|"
	for _, c := range takeoverCases {
		head, line = head+" "+c.name+" |", line+"---|"
	}
	page := takeoverHead + head + "\n" + line + "\n" + strings.Join(rows, "\n") + "\n"
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if diff := cmp.Diff(page, string(have)); diff != "" || err != nil {
		t.Errorf("stale: run `make takeover`: %s %v", diff, err)
	}
}
