package peer_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/deploy/peer"
	"slipway/internal/object"
	"slipway/internal/project"
)

func read(t *testing.T, text string) []peer.App {
	t.Helper()
	set, err := object.Read(strings.NewReader(text), "objects.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return peer.Read(set)
}

const flux = `
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: shop, namespace: flux-system}
spec: {url: "ssh://git@github.com/Acme/shop.git", interval: 1m}
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: shop, namespace: flux-system, generation: 3}
spec:
  interval: 1m
  targetNamespace: prod
  chart:
    spec:
      chart: ./deploy/chart
      sourceRef: {kind: GitRepository, name: shop}
      valuesFiles: [deploy/chart/values.yaml, deploy/prod.yaml]
status:
  observedGeneration: 2
  lastAttemptedRevision: 1.3.0
  history: [{chartVersion: 1.2.0, lastDeployed: "2026-11-30T10:00:00Z"}]
  conditions: [{type: Ready, status: "True", reason: UpgradeSucceeded,
    lastTransitionTime: "2026-11-01T10:00:00Z"}]
  inventory:
    entries: [{id: prod_shop_apps_Deployment, v: v1}, {id: _prod__Namespace, v: v1},
      {id: "_system__shop_rbac.authorization.k8s.io_ClusterRole", v: v1}]
`

// A HelmRelease deploys its chart with its values files, and nothing else; a report of an older spec is not
// healthy.
func TestHelmRelease(t *testing.T) {
	app := read(t, flux)[0]
	want := []object.Ref{
		{Group: "apps", Kind: "Deployment", Namespace: "prod", Name: "shop"}, {Kind: "Namespace", Name: "prod"},
		{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: "system:shop"},
	}
	if d := cmp.Diff(want, app.Keeps); d != "" {
		t.Error(d)
	}
	if r := app.Report; r.Healthy || r.Synced || r.String() != "Ready at 1.2.0" || r.Since.Day() != 30 {
		t.Errorf("report: %+v", r)
	}
	chart := project.Chart{Path: "chart", Values: []string{"prod.yaml"}}
	at := peer.Place{Repository: "acme/shop", Path: "deploy", Namespace: "prod",
		Environment: project.Environment{Charts: []project.Chart{chart}}}
	if !app.Deploys(at) {
		t.Error("the release is not the environment's")
	}
	for name, change := range map[string]func(*peer.Place){
		"namespace":  func(p *peer.Place) { p.Namespace = "staging" },
		"repository": func(p *peer.Place) { p.Repository = "bob/shop" },
		"directory":  func(p *peer.Place) { p.Path = "" },
		"values": func(p *peer.Place) {
			p.Environment.Charts = []project.Chart{{Path: "chart", Values: []string{"staging.yaml"}}}
		},
		"no repository": func(p *peer.Place) { p.Repository = "" },
	} {
		other := at
		if change(&other); app.Deploys(other) {
			t.Errorf("%s: the release is not the environment's", name)
		}
	}
}

const argo = `
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: shop, namespace: argocd}
spec:
  destination: {name: in-cluster, namespace: prod}
  sources:
    - {repoURL: "https://charts.example.com", chart: redis, targetRevision: 1.0.0}
    - repoURL: https://github.com/acme/shop
      path: chart
      helm: {valueFiles: [values.yaml, ../prod.yaml, $values/more.yaml, /last.yaml]}
  syncPolicy: {automated: {enabled: false}}
status:
  sync: {status: OutOfSync, revision: "2222222222222222222222222222222222222222"}
  health: {status: Degraded, message: "Deployment is broken\nsecond line",
    lastTransitionTime: "2026-11-01T10:00:00Z"}
  history: [{revision: "1111111111111111111111111111111111111111", deployedAt: "2026-11-02T10:00:00Z"}]
  conditions: [{type: ComparisonError, message: "cannot read"}]
`

// An Application with several sources deploys the one from Git. What runs is the revision of the last sync,
// and not the one that was compared.
func TestApplication(t *testing.T) {
	app := read(t, argo)[0]
	at := peer.Place{Repository: "acme/shop", Namespace: "prod", Environment: project.Environment{
		Charts: []project.Chart{{Path: "chart", Values: []string{"prod.yaml", "more.yaml", "last.yaml"}}},
	}}
	if !app.Deploys(at) {
		t.Error("the application is not the environment's")
	}
	want := "OutOfSync, Degraded at 1111111, suspended: ComparisonError: cannot read"
	if got := app.Report.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	away := strings.Replace(argo, "in-cluster", "other", 1)
	if read(t, away)[0].Deploys(at) {
		t.Error("another cluster's application is the environment's")
	}
	broken := "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: x}\nspec: 3\nstatus: [1]\n"
	if app := read(t, broken)[0]; app.Report.Healthy || app.Deploys(at) {
		t.Errorf("of nonsense: %+v", app)
	}
}
