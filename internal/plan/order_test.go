package plan

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/object"
)

// thing is an object with annotations; the name tells them apart.
func thing(t *testing.T, kind, name, annotations string) object.Object {
	t.Helper()
	groups := map[string]string{"Deployment": "apps/v1", "Job": "batch/v1", "Tide": "sea.example.com/v1"}
	version := groups[kind]
	if version == "" {
		version = "v1"
	}
	return parse(t, fmt.Sprintf("{apiVersion: %s, kind: %s, metadata: {name: %s, namespace: prod, annotations: {%s}}}",
		version, kind, name, annotations))
}

const (
	argo    = "argocd.argoproj.io/hook"
	wave    = "argocd.argoproj.io/sync-wave"
	helm    = "helm.sh/hook"
	depends = "config.kubernetes.io/depends-on"
)

// stagesOf prints the stages of a first deploy, or of the operation.
func stagesOf(t *testing.T, op Operation, objects ...object.Object) string {
	t.Helper()
	in := Input{Desired: set(t, objects...)}
	for _, o := range objects {
		in.Observed = append(in.Observed, Observed{Ref: o.Ref(), Merged: o})
	}
	var err error
	if in.Order, err = Arrange(in.Desired, op); err != nil {
		return err.Error()
	}
	p := Make(in)
	var b strings.Builder
	for i, s := range p.Stages {
		fmt.Fprintf(&b, "%s:", s.Name)
		for _, c := range p.In(i + 1) {
			b.WriteString(" " + c.Ref.Name)
		}
		b.WriteString("\n")
	}
	for _, c := range p.In(0) {
		fmt.Fprintf(&b, "%s: %s\n", c.Ref.Name, c.Reason)
	}
	return b.String()
}

func TestStages(t *testing.T) {
	web := thing(t, "Deployment", "web", "")
	settings := thing(t, "ConfigMap", "settings", "")
	for name, test := range map[string]struct {
		op      Operation
		objects []object.Object
		want    string
	}{
		"no order": {Install, []object.Object{web, settings}, "deploy: settings web\n"},
		"Helm's hooks by weight, its Jobs one by one": {Upgrade, []object.Object{
			web, thing(t, "Job", "b", helm+": pre-upgrade"), thing(t, "Job", "a", helm+": pre-upgrade"),
			thing(t, "ServiceAccount", "sa", helm+`: "pre-install, pre-upgrade", helm.sh/hook-weight: "-5"`),
			thing(t, "Job", "first", helm+": pre-install"), thing(t, "Job", "end", helm+": post-upgrade"),
		}, "pre-upgrade hooks: sa\npre-upgrade hooks: a\npre-upgrade hooks: b\ndeploy: web\n" +
			"post-upgrade hooks: end\nfirst: hook pre-install: this is an upgrade\n"},
		"Argo CD's hooks and waves": {Install, []object.Object{
			web, thing(t, "Job", "b", argo+": PreSync"), thing(t, "Job", "a", argo+": PreSync"),
			thing(t, "Job", "smoke", argo+": PostSync"), thing(t, "Job", "tell", argo+": SyncFail"),
			thing(t, "Job", "among", argo+": Sync, "+wave+`: "1"`), thing(t, "Job", "never", argo+": Skip"),
			thing(t, "ConfigMap", "db", wave+`: "-1"`),
		}, "pre-install hooks: a b\nwave -1: db\nwave 0: web\nwave 1: among\npost-install hooks: smoke\n" +
			"failure hooks, only if the deploy fails: tell\nnever: hook Skip\n"},
		"a rollback runs the hooks of a rollback": {GoBack, []object.Object{
			web, thing(t, "Job", "back", helm+": pre-rollback"), thing(t, "Job", "migrate", argo+": PreSync"),
		}, "pre-rollback hooks: back\ndeploy: web\nmigrate: hook PreSync: this is a rollback\n"},
		"what others wait for comes first, what nothing is said about last": {Install, []object.Object{
			thing(t, "Deployment", "api", depends+": batch/namespaces/prod/Job/migrate"),
			thing(t, "Job", "migrate", depends+": apps/namespaces/prod/Deployment/db"),
			thing(t, "Deployment", "db", ""), thing(t, "Deployment", "worker", ""), settings,
		}, "deploy, part 1 of 3: settings db\ndeploy, part 2 of 3: migrate\ndeploy, part 3 of 3: api worker\n"},
		"kapp's groups": {Install, []object.Object{
			thing(t, "Deployment", "api", `kapp.k14s.io/change-rule: "upsert after upserting apps/db"`),
			thing(t, "Deployment", "db", "kapp.k14s.io/change-group.x: apps/db"),
			thing(t, "Job", "seed", `kapp.k14s.io/change-rule.1: "upsert before upserting apps/db"`),
		}, "deploy, part 1 of 3: seed\ndeploy, part 2 of 3: db\ndeploy, part 3 of 3: api\n"},
		"a hook before satisfies a dependency": {GoBack, []object.Object{
			thing(t, "Deployment", "api", depends+": batch/namespaces/prod/Job/migrate"),
			thing(t, "Job", "migrate", argo+": PreSync"),
		}, "deploy: api\nmigrate: hook PreSync: this is a rollback\n"},
		"a cycle": {Install, []object.Object{
			thing(t, "Deployment", "a", depends+": apps/namespaces/prod/Deployment/b"),
			thing(t, "Deployment", "b", depends+": apps/namespaces/prod/Deployment/a"),
		}, "objects wait for each other: Deployment prod/a → Deployment prod/b → Deployment prod/a"},
		"a dependency on a missing object": {Install, []object.Object{
			thing(t, "Deployment", "a", depends+": /namespaces/prod/Pod/b"),
		}, `Deployment prod/a: config.kubernetes.io/depends-on: "/namespaces/prod/Pod/b" names Pod prod/b, ` +
			"which is not in the set"},
		"a dependency on a later wave": {Install, []object.Object{
			thing(t, "Deployment", "a", depends+": apps/namespaces/prod/Deployment/b"),
			thing(t, "Deployment", "b", wave+`: "2"`),
		}, `Deployment prod/a: config.kubernetes.io/depends-on: "apps/namespaces/prod/Deployment/b" names ` +
			"Deployment prod/b of wave 2, and the object itself is of wave 0"},
		"an unknown hook": {Install, []object.Object{thing(t, "Job", "a", argo+": BeforeSync")},
			`Job prod/a: argocd.argoproj.io/hook: "BeforeSync" is not a known hook`},
		"a wave that is not a number": {Install, []object.Object{thing(t, "Job", "a", wave+": soon")},
			`Job prod/a: argocd.argoproj.io/sync-wave: "soon" is not a number`},
		"drift is reverted": {Revert, []object.Object{web, thing(t, "Job", "back", helm+": pre-rollback")},
			"deploy: web\nback: hook pre-rollback: this is no new release\n"},
		"a deletion": {Uninstall, []object.Object{thing(t, "Job", "dump", helm+": pre-delete"),
			thing(t, "Job", "last", argo+": PostDelete")}, "pre-delete hooks: dump\npost-delete hooks: last\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, stagesOf(t, test.op, test.objects...)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Hooks belong to a deploy that changes something, and run again until one has become healthy.
func TestHooksRunWithChanges(t *testing.T) {
	job := thing(t, "Job", "migrate", argo+": PreSync")
	web := thing(t, "Deployment", "web", "")
	in := Input{Desired: set(t, job, web), Observed: []Observed{{Ref: job.Ref(), Merged: job},
		{Ref: web.Ref(), Live: web, Merged: web}}, Owned: []object.Ref{web.Ref(), job.Ref()}}
	in.Base = in.Desired.Digest()
	in.Order, _ = Arrange(in.Desired, Upgrade)
	if p := Make(in); !p.Empty() || p.Count(Skip) != 1 {
		t.Errorf("nothing has changed: %s", text(p))
	}
	again := in
	again.Unfinished = true
	if p := Make(again); p.Empty() || p.Count(Run) != 1 {
		t.Errorf("the last release failed: %s", text(p))
	}
	other := in
	other.Base = "sha256:another"
	if p := Make(other); p.Empty() || p.Count(Run) != 1 {
		t.Errorf("the source has changed: %s", text(p))
	}
	foreign := in
	foreign.Base, foreign.Owned = "", nil
	foreign.Observed[0].Live = job
	if p := Make(foreign); p.Count(Blocked) != 1 {
		t.Errorf("a Job of somebody else: %s", text(p))
	}
}

func TestOperators(t *testing.T) {
	objects := []object.Object{
		parse(t, `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: tides.sea.example.com},
			spec: {group: sea.example.com, names: {kind: Tide}}}`),
		thing(t, "Tide", "spring", ""), thing(t, "Deployment", "web", ""),
		parse(t, `{apiVersion: apps/v1, kind: Deployment, metadata: {name: operator, namespace: prod},
			spec: {template: {spec: {serviceAccountName: operator, containers: [{name: o}]}}}}`),
		parse(t, `{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: operator}, rules: [
			{apiGroups: [sea.example.com], resources: [tides], verbs: [get, list, watch]},
			{apiGroups: [sea.example.com], resources: [tides/status], verbs: [patch]}]}`),
		parse(t, `{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: operator},
			roleRef: {kind: ClusterRole, name: operator}, subjects: [{kind: ServiceAccount, name: operator, namespace: prod}]}`),
		parse(t, `{apiVersion: v1, kind: Service, metadata: {name: hooks, namespace: prod}}`),
		parse(t, `{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: theirs},
			webhooks: [{clientConfig: {service: {name: hooks, namespace: other}}}]}`),
		parse(t, `{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: ours},
			webhooks: [{clientConfig: {service: {name: hooks, namespace: prod}}}]}`),
	}
	want := "deploy, part 1 of 2: tides.sea.example.com operator operator hooks operator\n" +
		"deploy, part 2 of 2: web spring theirs\nwebhooks: ours\n"
	if diff := cmp.Diff(want, stagesOf(t, Install, objects...)); diff != "" {
		t.Error(diff)
	}
}
