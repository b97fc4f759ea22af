package rule

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"testing"

	"slipway/internal/check/finding"
	"slipway/internal/object"
	"slipway/internal/project"
)

//go:embed testdata/good.yaml
var good string

// container is where the deployment's container stands.
const container = "spec.template.spec.containers[name=api]"

// edit is a change of one object of testdata/good.yaml, which breaks no rule, and the rules that are
// broken then, each with the field: "privileged spec.template…".
type edit struct {
	kind, old, new string
	want           []string
}

func command(line string, want ...string) edit {
	return edit{"Deployment", "command: [/app]", "command: " + line, want}
}

func variable(name, value string, want ...string) edit {
	for i := range want {
		want[i] += " " + container + ".env[name=" + name + "].value"
	}
	return edit{"Deployment", "- name: NODE_ENV\n              value: production",
		fmt.Sprintf("- name: %s\n              value: %q", name, value), want}
}

func setting(name, value string, want ...string) edit {
	for i := range want {
		want[i] += " " + object.Join("data", name)
	}
	return edit{"ConfigMap", "LOG_LEVEL: info", fmt.Sprintf("%s: %q", name, value), want}
}

var (
	reload   = "reload-flag " + container + ".command"
	debugger = "debugger " + container + ".command"
	asleep   = "sleep-forever " + container + ".command"
)

// edits are for each rule what breaks it and what looks alike and must not.
var edits = []edit{
	{kind: "Deployment"}, {kind: "Service"}, {kind: "ConfigMap"}, {kind: "Ingress"}, {kind: "HTTPRoute"},
	{kind: "CronJob"},

	command(`[uvicorn, "main:app", --reload]`, reload),
	command(`[sh, -c, "exec uvicorn main:app --reload --port 8000"]`, reload),
	command(`[python, -m, flask, --debug, run]`, reload),
	command(`[bin/rails, s, -e, development]`, reload),
	command(`[npx, nodemon, server.js]`, reload),
	command(`[air]`, reload),
	command(`[npm, run, dev]`, reload),
	command(`[uvicorn, "main:app", --reload-dir, /conf]`),
	command(`[nginx-reloader, --reload]`),
	command(`[/app, --mode, air]`),
	command(`[npm, run, develop-index]`),
	command(`[rails, s, -e, production]`),

	command(`[dlv, exec, /app]`, debugger),
	command(`[python, -m, debugpy, --listen, "5678", app.py]`, debugger),
	command(`[node, --inspect=0.0.0.0, server.js]`, debugger),
	command(`[java, "-agentlib:jdwp=transport=dt_socket", -jar, app.jar]`, debugger),
	variable("NODE_OPTIONS", "--max-old-space-size=64"),
	{"Deployment", "- name: NODE_ENV\n              value: production",
		"- name: NODE_OPTIONS\n              value: --inspect", []string{debugger}},
	command(`[node, server.js, --inspect-orders]`),
	command(`[/app, --exec, dlv-tool]`),

	{"Deployment", "- name: http\n              containerPort: 8080",
		"- name: http\n              containerPort: 9229",
		[]string{"debug-port " + container + ".ports[name=http].containerPort"}},
	{"Deployment", "- name: http\n              containerPort: 8080",
		"- name: http\n              containerPort: 5005", nil},

	variable("NODE_ENV", "development", "development-env"),
	variable("FLASK_DEBUG", "1", "development-env"),
	variable("ASPNETCORE_ENVIRONMENT", "Development", "development-env"),
	variable("NODE_ENV", "staging"),
	variable("DEVELOPMENT", "1"),
	setting("RAILS_ENV", "development", "development-setting"),
	setting("RAILS_ENV", "production"),
	variable("DEBUG", "true", "debug-env"),
	variable("LOG_LEVEL", "debug", "debug-env"),
	variable("DEBUG", "false"),
	variable("DIALOG_LEVEL", "debug"),
	setting("LOG_LEVEL", "debug", "debug-setting"),
	setting("CATALOG_LEVEL", "debug"),

	{"Deployment", "emptyDir: {}", "hostPath: {path: /src}",
		[]string{"host-path spec.template.spec.volumes[name=data].hostPath"}},
	{"Deployment", "emptyDir: {}", "configMap: {name: host-path}", nil},

	{"Deployment", `kept: "yes"`, `tilt.dev/source: api`,
		[]string{`laptop-tool metadata.annotations["tilt.dev/source"]`}},
	{"Deployment", `kept: "yes"`, `stilt.dev/source: api`, nil},

	command(`[sleep, infinity]`, asleep),
	command(`[sh, -c, "tail -f /dev/null"]`, asleep),
	command(`[sh, -c, "sleep 5 && exec /app"]`),
	command(`[sleep, "15"]`),

	{"Service", "selector:", "type: NodePort\n  selector:", []string{"service-nodeport spec.type"}},
	{"Service", "selector:", "type: LoadBalancer\n  selector:", nil},

	{"Deployment", "livenessProbe: {httpGet: {path: /healthz, port: http}}\n          securityContext: " +
		"{allowPrivilegeEscalation: false}",
		"livenessProbe: {httpGet: {path: /healthz, port: http}}\n          securityContext: {privileged: true}",
		[]string{"privileged " + container + ".securityContext.privileged"}},
	{"Deployment", "securityContext: {allowPrivilegeEscalation: false}",
		"securityContext: {allowPrivilegeEscalation: false, privileged: false}", nil},

	{"Deployment", "serviceAccountName: api", "serviceAccountName: api\n      hostPID: true",
		[]string{"host-namespace spec.template.spec"}},
	{"Deployment", "serviceAccountName: api", "serviceAccountName: api\n      hostPID: false", nil},

	variable("GREETING", "ghp_0123456789abcdefghijklmnopqrstuvwxyz", "plain-token"),
	variable("GREETING", "ghp_short"),
	setting("key.pem", "-----BEGIN RSA PRIVATE KEY-----\nMII", "config-token"),
	setting("cert.pem", "-----BEGIN CERTIFICATE-----\nMII"),
	variable("DB_PASSWORD", "hunter2", "plain-credential"),
	variable("DATABASE_URL", "postgres://app:hunter2@db/app", "plain-credential"),
	variable("DB_PASSWORD", "$(OTHER)"),
	variable("DB_PASSWORD", "<set in the cluster>"),
	variable("DB_PASSWORD", ""),
	variable("DB_PASSWORD_FILE", "/run/secrets/db"),
	variable("SECRET_NAME", "database"),
	variable("REQUIRE_TOKEN", "true"),
	variable("DATABASE_URL", "postgres://app@db/app"),
	setting("api-key", "s3cr3tvalue", "config-credential"),
	setting("token", "/var/run/token"),

	{"Ingress", "host: api.example.com", "host: api.localhost",
		[]string{"localhost-host spec.rules[host=api.localhost].host"}},
	{"Ingress", "host: api.example.com", "host: localhost.example.com", nil},
	{"HTTPRoute", "api.example.com", "a.example.com, api.localhost",
		[]string{"localhost-route spec.hostnames[1]"}},
	{"HTTPRoute", "api.example.com", "localhost.example.com", nil},

	{"Deployment", "requests: {cpu: 50m, memory: 64Mi}, ", "",
		[]string{"resource-requests " + container + ".resources.requests"}},
	{"Deployment", "limits: {memory: 64Mi}", "limits: {cpu: 1}",
		[]string{"memory-limit " + container + ".resources.limits.memory"}},
	{"CronJob", ", memory: 64Mi", "", []string{
		"resource-requests spec.jobTemplate.spec.template.spec.containers[name=nightly].resources.requests",
		"memory-limit spec.jobTemplate.spec.template.spec.containers[name=nightly].resources.limits.memory"}},

	{"Deployment", "readinessProbe:", "startupProbe:",
		[]string{"readiness-probe " + container + ".readinessProbe"}},
	{"Deployment", "livenessProbe:", "startupProbe:",
		[]string{"liveness-probe " + container + ".livenessProbe"}},
	{"Deployment", "ports:\n            - name: http\n              containerPort: 8080", "stdin: false", nil},

	{"Deployment", "maxUnavailable: 1", "maxUnavailable: 3", []string{"rolling-update spec.strategy"}},
	{"Deployment", "maxUnavailable: 1", `maxUnavailable: "100%"`, []string{"rolling-update spec.strategy"}},
	{"Deployment", "maxUnavailable: 1", `maxUnavailable: "50%"`, nil},
	{"Deployment", "strategy: {rollingUpdate: {maxUnavailable: 1}}", "strategy: {type: Recreate}",
		[]string{"rolling-update spec.strategy"}},
	{"Deployment", "replicas: 3\n", "replicas: null\n", nil},

	{"Deployment", "serviceAccountName: api", "serviceAccountName: default",
		[]string{"service-account spec.template.spec.serviceAccountName"}},
	{"Deployment", "serviceAccountName: api", "automountServiceAccountToken: false", nil},

	{"Deployment", "securityContext: {runAsNonRoot: true}", "securityContext: null", []string{
		"run-as-non-root " + container + ".securityContext.runAsNonRoot",
		"run-as-non-root spec.template.spec.initContainers[name=prepare].securityContext.runAsNonRoot"}},
	{"Deployment", "securityContext: {runAsNonRoot: true}", "securityContext: {runAsUser: 65534}", nil},
	{"CronJob", "allowPrivilegeEscalation: false", "readOnlyRootFilesystem: true", []string{
		"privilege-escalation " +
			"spec.jobTemplate.spec.template.spec.containers[name=nightly].securityContext.allowPrivilegeEscalation"}},

	{"Ingress", "tls: [{hosts: [api.example.com], secretName: api-tls}]", "tls: []",
		[]string{"ingress-tls spec.tls"}},
	{"Ingress", "spec:\n  tls: [{hosts: [api.example.com], secretName: api-tls}]",
		"  annotations: {alb.ingress.kubernetes.io/certificate-arn: x}\nspec:", nil},
}

// object is what is left of the good one.
func (e edit) object(t *testing.T) object.Object {
	t.Helper()
	for _, text := range strings.Split(good, "---\n") {
		if !strings.Contains(text, "kind: "+e.kind+"\n") {
			continue
		}
		if !strings.Contains(text, e.old) {
			t.Fatalf("%s has no %q", e.kind, e.old)
		}
		list, err := object.Read(strings.NewReader(strings.Replace(text, e.old, e.new, 1)), "k8s.yaml")
		if err != nil {
			t.Fatal(err)
		}
		return list[0]
	}
	t.Fatalf("no %s", e.kind)
	return object.Object{}
}

func TestRules(t *testing.T) {
	set, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	fired := map[string]bool{}
	for _, e := range edits {
		findings, unchecked := set.Check(e.object(t), project.Production)
		var got []string
		for _, f := range findings {
			got = append(got, f.Rule+" "+f.Field)
			fired[f.Rule] = true
			if f.Message == "" || f.Fix == "" {
				t.Errorf("%s: message %q, fix %q", f.Rule, f.Message, f.Fix)
			}
			if strings.Contains(f.Message, "hunter2") || strings.Contains(f.Message, "ghp_") {
				t.Errorf("%s shows a secret: %s", f.Rule, f.Message)
			}
		}
		want := slices.Clone(e.want)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) || len(unchecked) > 0 {
			t.Errorf("%s %q → %q:\n got %q %v\nwant %q", e.kind, e.old, e.new, got, unchecked, want)
		}
		if f, _ := set.Check(e.object(t), project.Local); len(f) > 0 {
			t.Errorf("a laptop may: %v", f)
		}
	}
	for _, r := range set.rules {
		if !fired[r.ID] && !r.described {
			t.Errorf("no case breaks %s", r.ID)
		}
		if r.Why == "" || r.Fix == "" || r.Group == "own" {
			t.Errorf("%s explains nothing", r.ID)
		}
	}
}

// What cannot be evaluated is never taken for good.
func TestUnchecked(t *testing.T) {
	set, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	o := edit{kind: "Deployment", old: "name: api\n          image", new: "image"}.object(t)
	o.Body["spec"].(map[string]any)["template"] = "oops"
	findings, unchecked := set.Check(o, project.Production)
	if len(findings) > 0 || !slices.ContainsFunc(unchecked, func(u finding.Unchecked) bool {
		return u.What == "rule privileged" && u.Why != ""
	}) {
		t.Errorf("%v %v", findings, unchecked)
	}
}

func TestOwnRules(t *testing.T) {
	text := `rules:
  - id: team-label
    severity: error
    title: no team is named
    kinds: [Deployment.apps]
    field: metadata.labels
    expression: |
      object.metadata.?labels.?team.hasValue()
`
	set, err := Load(File{"rules/team.yaml", []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	findings, _ := set.Check(edit{kind: "Deployment"}.object(t), project.Local)
	if len(findings) != 1 || findings[0].Rule != "team-label" || findings[0].Severity != finding.Error ||
		findings[0].Message != "no team is named" {
		t.Errorf("%+v", findings)
	}
	for _, c := range []struct{ old, new, want string }{
		{"?labels.?team", "?labels(", "rules/team.yaml:8: rule team-label: expression: "},
		{"object.metadata", "objekt.metadata",
			"rules/team.yaml:8: rule team-label: expression: undeclared reference to 'objekt'"},
		{"object.metadata.?labels.?team.hasValue()", "1 + 1", "it returns int instead of bool"},
		{"object.metadata", "variables.foo",
			"rules/team.yaml:8: rule team-label: expression: undeclared reference to 'variables"},
		{"kinds:", "kind:", `rules/team.yaml:5: unknown key "kind" (did you mean "kinds"?)`},
		{"severity: error", "severity: fatal", `rules/team.yaml:3: severity "fatal" is not`},
		{"title:", "tier: gab\n    title:", `rules/team.yaml:4: tier "gab" is not fault, gap or hardening`},
		{"title:", "tier: gap\n    title:", "rules/team.yaml:4: an error is always a fault"},
		{"id: team-label", "id: privileged",
			"rules/team.yaml:2: rule privileged is defined twice (first in rules.yaml:"},
		{"[Deployment.apps]", "[deployments]", `rules/team.yaml:5: invalid kind "deployments"`},
		{"rules:", "rule:", "rules/team.yaml: it has no list of rules"},
	} {
		_, err := Load(File{"rules/team.yaml", []byte(strings.Replace(text, c.old, c.new, 1))})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.new, err, c.want)
		}
	}
}

func BenchmarkLoadAndCheck(b *testing.B) {
	text, err := embedded.ReadFile("rules.yaml")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s := &Set{}
		if err := s.read(File{"rules.yaml", text}, false); err != nil {
			b.Fatal(err)
		}
		for _, text := range strings.Split(good, "---\n") {
			list, _ := object.Read(strings.NewReader(text), "")
			s.Check(list[0], project.Production)
		}
	}
}

// Each rule that comes with Slipway states its tier. Errors are faults: reports show them in full.
func TestTiers(t *testing.T) {
	s, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range s.Rules() {
		if !slices.Contains(finding.Tiers, r.Tier) {
			t.Errorf("%s has no tier: write fault, gap or hardening", r.ID)
		}
		if r.Severity == finding.Error && r.Tier != finding.Fault {
			t.Errorf("%s is an error of tier %s", r.ID, r.Tier)
		}
	}
}
