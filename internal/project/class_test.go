package project

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestClassOf(t *testing.T) {
	for class, names := range map[Class]string{
		Local: "dev dev2 dev-alice devel development devenv local laptop minikube kind my-kind k3d k3d-laptop k3d-local docker-desktop tilt k3s codespace",
		Staging: "preview pr-12 pr12 pr test tests test-eu qa qa1 int int-2 integration acc acceptance perf " +
			"load demo " +
			"sandbox nonprod non-prod internal alpha beta canary uat preprod pre-prod preproduction stage stage2 " +
			"staging staging-eu stg uat2 pr-7-web preview-12 nonprod-eu homologacao nightly dev-test " +
			"mr-7 hotfix smoke rehearsal showcase prelive pre-live nonlive non-live-eu drtest",
		Production: "prod prod1 prodeu production eu-prod prod-eu production-blue blue-production live live2 prd prod-test prod-canary internal-prod",
		"": "moon default eu-west kind-config load-balancer devices devops developers products product-api " +
			"alpha-mail my-pr my-mr " +
			"internal-api stages 12",
	} {
		for _, name := range strings.Fields(names) {
			if got, _, known := classOf(name); got != class || known != (class != "") {
				t.Errorf("%s: %q %v, want %q", name, got, known, class)
			}
		}
	}
}

func TestClassify(t *testing.T) {
	for names, want := range map[string]struct{ order, note string }{
		"prod moon dev": {"dev moon prod",
			"environment moon is treated as staging: its name does not say its class, and prod is production"},
		"moon": {"moon", "environment moon is treated as production: its name does not say its class"},
		"mars moon kind": {"kind mars moon",
			"environments mars and moon are treated as production: their names do not say their class"},
		"prod-eu preprod stage uat acc qa int test pr-12 dev local prod": {
			"local dev pr-12 test int qa acc uat stage preprod prod prod-eu", ""},
	} {
		var envs []Environment
		for _, n := range strings.Fields(names) {
			envs = append(envs, Environment{Name: n})
		}
		note := strings.Join(NoteTexts(classify(envs)), "; ")
		sortByPromotion(envs)
		var order []string
		for _, e := range envs {
			order = append(order, e.Name)
		}
		if diff := cmp.Diff([]string{want.order, want.note}, []string{strings.Join(order, " "), note}); diff != "" {
			t.Errorf("%s: %s", names, diff)
		}
	}
}
