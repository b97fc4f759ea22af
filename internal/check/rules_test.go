package check

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/check/finding"
	"slipway/internal/project"
	"slipway/internal/render"
	"slipway/internal/render/foldertest"
)

// checked are the findings of one's groups in a project of the given environments.
func checked(t *testing.T, files map[string]string, groups []group,
	envs ...project.Environment) []finding.Finding {
	t.Helper()
	dir := foldertest.Of(t, files)
	r, err := render.Open(dir, render.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	report, err := runGroups(t.Context(), Input{Project: project.Project{Dir: dir, Environments: envs},
		Environments: envs, Renderer: r}, groups)
	if err != nil {
		t.Fatal(err)
	}
	return report.Findings
}

func brief(findings []finding.Finding) []string {
	var out []string
	for _, f := range findings {
		mark := "!"
		if f.Severity == finding.Error {
			mark = "✗"
		}
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s", mark, f.Rule, f.Field)))
	}
	slices.Sort(out)
	return out
}

// The objects from which most cases are made: a service that is well.
const (
	api = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  replicas: 2
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api, tier: web}}
    spec:
      affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: []}}
      containers:
        - name: api
          image: ghcr.io/acme/api:1.2.3
          ports: [{name: http, containerPort: 8080}]
`
	service = `
apiVersion: v1
kind: Service
metadata: {name: api}
spec: {selector: {app: api}, ports: [{name: web, port: 80, targetPort: http}]}
`
	budget = `
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: api}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: api}}}
`
	network = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api}
spec: {podSelector: {}}
`
	scaler = `
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: api}
spec: {minReplicas: 2, maxReplicas: 4, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: api}}
`
	ingress = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: api}
spec: {rules: [{http: {paths: [{path: /, backend: {service: {name: api, port: {name: web}}}}]}}]}
`
	route = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: api}
spec: {rules: [{backendRefs: [{name: api, port: 80}]}]}
`
	settings = `
apiVersion: v1
kind: ConfigMap
metadata: {name: api}
data: {LEVEL: info}
`
	operated = `
apiVersion: acme.io/v1
kind: Database
metadata: {name: db}
`
	binding = `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: api}
subjects: [{kind: ServiceAccount, name: api, namespace: prod}]
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: api}
`
)

type ruleCase struct {
	text string
	want []string
}

// edited is a text with one thing changed. It is used in tables, which have no t yet: a case that
// would change nothing ends the run, because it would test nothing.
func edited(text, from, to string) string {
	if !strings.Contains(text, from) {
		panic("nothing to change: " + from)
	}
	return strings.Replace(text, from, to, 1)
}

// in puts something into the container, and into the pod.
func inContainer(what string) string {
	return edited(api, "          image:", "          "+what+"\n          image:")
}
func inPod(what string) string {
	return edited(api, "      containers:", "      "+what+"\n      containers:")
}

func runCases(t *testing.T, class project.Class, groups []group, cases map[string]ruleCase) {
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			env := project.Environment{Name: "prod", Paths: []string{"prod"}, Class: class, Namespace: "prod",
				Context: "prod"}
			got := brief(checked(t, map[string]string{"prod/all.yaml": c.text}, groups, env))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func all(texts ...string) string { return strings.Join(texts, "\n---\n") }

const pod = "spec.template.spec"

func TestReferences(t *testing.T) {
	for _, class := range []project.Class{project.Local, project.Production} {
		runCases(t, class, []group{{each: references}}, referenceCases())
	}
}

func referenceCases() map[string]ruleCase {
	const secretEnv = "env: [{name: A, valueFrom: {secretKeyRef: {name: api, key: a}}}]"
	const configEnv = "env: [{name: A, valueFrom: {configMapKeyRef: {name: api, key: LEVEL}}}]"
	const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: api}\nstringData: {a: b}\n"
	return map[string]ruleCase{
		"all is well": {all(api, service, budget, scaler, ingress, route, network, binding), nil},
		"selector without pods": {all(api, edited(service, "app: api", "app: apy")),
			[]string{"✗ service-selector spec.selector"}},
		"selector asks for more": {all(api, edited(service, "app: api", "app: api, env: prod")),
			[]string{"✗ service-selector spec.selector"}},
		"pods of an operator": {all(api, edited(service, "app: api", "app: db"), operated),
			[]string{"! service-selector spec.selector"}},
		"one pod of a StatefulSet": {all(edited(edited(api, "Deployment", "StatefulSet"), "replicas: 2",
			"replicas: 3"), edited(service, "app: api",
			`app: api, statefulset.kubernetes.io/pod-name: api-2, apps.kubernetes.io/pod-index: "2"`)), nil},
		"one pod of another StatefulSet": {all(edited(api, "Deployment", "StatefulSet"), edited(service,
			"app: api", "statefulset.kubernetes.io/pod-name: apy-2")),
			[]string{"✗ service-selector spec.selector"}},
		"one revision": {all(api, edited(service, "app: api", "app: api, pod-template-hash: 7d9f")), nil},
		"a label of other kinds": {all(api, edited(service, "app: api", "app: api, job-name: api")),
			[]string{"✗ service-selector spec.selector"}},
		"pods of a zone": {all(api, edited(budget, "{matchLabels: {app: api}}",
			"{matchLabels: {app: api, topology.kubernetes.io/zone: eu-1}}")), nil},
		"pods of another namespace": {all(api, edited(service, "{name: api}", "{name: mesh, namespace: mesh}")),
			[]string{"! service-selector spec.selector"}},
		"budget in another namespace": {all(api, edited(budget, "{name: api}", "{name: api, namespace: mesh}")),
			[]string{"! budget-selector spec.selector"}},
		"no pods here at all": {service, []string{"! service-selector spec.selector"}},
		"external name": {all(api, "apiVersion: v1\nkind: Service\nmetadata: {name: db}\nspec: "+
			"{type: ExternalName, externalName: db.example.com, selector: {app: x}}\n"), nil},
		"endpoints by hand": {all(api,
			"apiVersion: v1\nkind: Service\nmetadata: {name: db}\nspec: {ports: [{port: 5432}]}\n"), nil},
		"pods of a Rollout": {all(edited(edited(api, "apps/v1", "argoproj.io/v1alpha1"), "Deployment",
			"Rollout"), service), nil},
		"named port": {all(api, edited(service, "targetPort: http", "targetPort: web")),
			[]string{"✗ service-port spec.ports[0].targetPort"}},
		"named port of a sidecar": {all(inPod("initContainers: [{name: proxy, image: x:1, restartPolicy: "+
			"Always, ports: [{name: web, containerPort: 1}]}]"), edited(service, "targetPort: http",
			"targetPort: web")), nil},
		"named port of an init": {all(
			inPod("initContainers: [{name: proxy, image: x:1, ports: [{name: web, containerPort: 1}]}]"),
			edited(service, "targetPort: http", "targetPort: web")),
			[]string{"✗ service-port spec.ports[0].targetPort"}},
		"port number not listed": {all(api, edited(service, "targetPort: http", "targetPort: 9090")),
			[]string{"! service-port spec.ports[0].targetPort"}},
		"port number listed": {all(api, edited(service, "targetPort: http", "targetPort: 8080")), nil},
		"port left out": {all(api, edited(service, ", targetPort: http", "")),
			[]string{"! service-port spec.ports[0]"}},
		"no ports are listed": {all(edited(api, "          ports: [{name: http, containerPort: 8080}]\n",
			""), edited(service, "targetPort: http", "targetPort: 9090")), nil},
		"ingress to nowhere": {all(api, service, edited(ingress, "service: {name: api",
			"service: {name: apy")), []string{"✗ backend-service spec.rules[0].http.paths[0].backend.service.name"}},
		"ingress by itself": {all(api, ingress),
			[]string{"! backend-service spec.rules[0].http.paths[0].backend.service.name"}},
		"ingress to an annotation": {all(api, service, edited(ingress, "{name: api, port: {name: web}}",
			"{name: ssl-redirect, port: {name: use-annotation}}")), nil},
		"ingress to a wrong port": {all(api, service, edited(ingress, "name: web", "name: http")),
			[]string{"✗ backend-port spec.rules[0].http.paths[0].backend.service.port.name"}},
		"ingress to the pod's port": {all(api, service, edited(ingress, "name: web", "number: 8080")),
			[]string{"✗ backend-port spec.rules[0].http.paths[0].backend.service.port.number"}},
		"ingress by number": {all(api, service, edited(ingress, "name: web", "number: 80")), nil},
		"default backend to nowhere": {all(api, service, "apiVersion: networking.k8s.io/v1\nkind: "+
			"Ingress\nmetadata: {name: i}\nspec: {defaultBackend: {service: {name: web, port: {number: 80}}}}\n"),
			[]string{"✗ backend-service spec.defaultBackend.service.name"}},
		"route to nowhere": {all(api, service, edited(route, "name: api, port", "name: web, port")),
			[]string{"✗ backend-service spec.rules[0].backendRefs[0].name"}},
		"route to a wrong port": {all(api, service, edited(route, "port: 80", "port: 8080")),
			[]string{"✗ backend-port spec.rules[0].backendRefs[0].port"}},
		"route to another namespace": {all(api, service, edited(route, "name: api, port",
			"name: web, namespace: shared, port")), nil},
		"autoscaler of nothing": {all(api, edited(scaler, "kind: Deployment, name: api",
			"kind: Deployment, name: prod-api")), []string{"✗ scale-target spec.scaleTargetRef.name"}},
		"autoscaler of a custom kind": {all(api, edited(scaler, "apps/v1, kind: Deployment",
			"acme.io/v1, kind: Farm")), nil},
		"budget of nothing": {all(api, edited(budget, "app: api", "app: web")),
			[]string{"✗ budget-selector spec.selector"}},
		"budget of everything": {all(api, edited(budget, "{matchLabels: {app: api}}", "{}")), nil},
		"budget by expression": {all(api, edited(budget, "{matchLabels: {app: api}}",
			"{matchExpressions: [{key: app, operator: In, values: [api, web]}]}")), nil},
		"key is there": {all(inContainer(configEnv), settings), nil},
		"key is not there": {all(inContainer(configEnv), edited(settings, "LEVEL:", "LEVELS:")),
			[]string{"✗ config-key " + pod + ".containers[name=api].env[name=A].valueFrom.configMapKeyRef.key"}},
		"key is optional": {all(inContainer(edited(configEnv, "LEVEL}", "LEVEL, optional: true}")),
			edited(settings, "LEVEL:", "LEVELS:")), nil},
		"key of a Secret": {all(inContainer(edited(secretEnv, "key: a", "key: c")), secret),
			[]string{"✗ config-key " + pod + ".containers[name=api].env[name=A].valueFrom.secretKeyRef.key"}},
		"key of an empty Secret": {all(inContainer(edited(secretEnv, "key: a", "key: c")),
			edited(secret, "{a: b}", "{}")), nil},
		"no ConfigMap": {inContainer("envFrom: [{configMapRef: {name: api}}]"),
			[]string{"! config-missing " + pod + ".containers[name=api].envFrom[0].configMapRef.name"}},
		"ConfigMap with a hash": {all(inContainer("envFrom: [{configMapRef: {name: api}}]"),
			edited(settings, "name: api", "name: api-7h5m2k9t4c")),
			[]string{"✗ config-missing " + pod + ".containers[name=api].envFrom[0].configMapRef.name"}},
		"ConfigMap of another name": {all(inContainer("envFrom: [{configMapRef: {name: api}}]"),
			edited(settings, "name: api", "name: prod-api")),
			[]string{"! config-missing " + pod + ".containers[name=api].envFrom[0].configMapRef.name"}},
		"ConfigMap with a slip": {all(inContainer("envFrom: [{configMapRef: {name: setings}}]"),
			edited(settings, "name: api", "name: settings")),
			[]string{"✗ config-missing " + pod + ".containers[name=api].envFrom[0].configMapRef.name"}},
		"ConfigMap with two swapped": {all(inContainer("envFrom: [{configMapRef: {name: setitngs}}]"),
			edited(settings, "name: api", "name: settings")),
			[]string{"✗ config-missing " + pod + ".containers[name=api].envFrom[0].configMapRef.name"}},
		"ConfigMap of another number": {all(inContainer("envFrom: [{configMapRef: {name: settings}}]"),
			edited(settings, "name: api", "name: settings2")),
			[]string{"! config-missing " + pod + ".containers[name=api].envFrom[0].configMapRef.name"}},
		"ConfigMap of another letter": {all(inContainer("envFrom: [{configMapRef: {name: store-ro}}]"),
			edited(settings, "name: api", "name: store-rw")),
			[]string{"! config-missing " + pod + ".containers[name=api].envFrom[0].configMapRef.name"}},
		"ConfigMap of each namespace": {inPod("volumes: [{name: ca, configMap: {name: kube-root-ca.crt}}]"), nil},
		"optional ConfigMap": {inContainer("envFrom: [{configMapRef: {name: api, optional: true}}]"),
			nil},
		"Secret made by hand": {inContainer(secretEnv),
			[]string{"! config-missing " + pod + ".containers[name=api].env[name=A].valueFrom.secretKeyRef.name"}},
		"Secret used twice": {inContainer(
			"envFrom: [{secretRef: {name: api}}, {secretRef: {name: api}}]"),
			[]string{"! config-missing " + pod + ".containers[name=api].envFrom[0].secretRef.name"}},
		"Secret of an ExternalSecret": {all(inContainer(secretEnv), "apiVersion: external-secrets.io/v1\nkind: "+
			"ExternalSecret\nmetadata: {name: x}\nspec: {target: {name: api}}\n"), nil},
		"Secret of an operator": {all(inContainer(edited(secretEnv, "name: api", "name: db-app")),
			operated), nil},
		"volume's item": {all(
			inPod("volumes: [{name: c, configMap: {name: api, items: [{key: nope, path: x}]}}]"), settings),
			[]string{"✗ config-key " + pod + ".volumes[name=c].configMap.items[0].key"}},
		"projected volume": {inPod(
			"volumes: [{name: c, projected: {sources: [{secret: {name: api}}]}}]"),
			[]string{"! config-missing " + pod + ".volumes[name=c].projected.sources[0].secret.name"}},
		"volume of a Secret": {all(inPod("volumes: [{name: c, secret: {secretName: api}}]"), secret),
			nil},
		"no ServiceAccount": {inPod("serviceAccountName: api"),
			[]string{"! account-missing " + pod + ".serviceAccountName"}},
		"default ServiceAccount": {inPod("serviceAccountName: default"), nil},
		"no claim": {inPod("volumes: [{name: d, persistentVolumeClaim: {claimName: data}}]"),
			[]string{"! claim-missing " + pod + ".volumes[name=d].persistentVolumeClaim.claimName"}},
		"claim is there": {all(
			inPod("volumes: [{name: d, persistentVolumeClaim: {claimName: data}}]"),
			"apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\n"), nil},
		"claim of a StatefulSet": {all(
			inPod("volumes: [{name: d, persistentVolumeClaim: {claimName: data-db-0}}]"),
			"apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db}\nspec: {template: {spec: {}}, "+
				"volumeClaimTemplates: [{metadata: {name: data}}]}\n"), nil},
		"certificate without source": {all(api, service, edited(ingress, "spec: {",
			"spec: {tls: [{secretName: cert}], ")), []string{"! tls-secret spec.tls[0].secretName"}},
		"certificate by annotation": {all(api, service,
			edited(edited(ingress, "spec: {", "spec: {tls: [{secretName: cert}], "), "{name: api}",
				"{name: api, annotations: {cert-manager.io/issuer: x}}")), nil},
		"certificate by Certificate": {all(api, service, edited(ingress, "spec: {",
			"spec: {tls: [{secretName: cert}], "),
			"apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: c}\nspec: {secretName: cert}\n"),
			nil},
		"binding to another namespace": {all(api, edited(binding, "namespace: prod", "namespace: shared")), nil},
		"binding without account": {all(api, edited(binding, "name: api, namespace", "name: web, namespace")),
			[]string{"! role-binding subjects[0].name"}},
		"binding of no role": {all(api, edited(binding, "kind: ClusterRole", "kind: Role")),
			[]string{"! role-binding roleRef.name"}},
		"pods elsewhere": {edited(api, "{name: api}", "{name: api, namespace: other}"),
			[]string{"! foreign-namespace metadata.namespace"}},
		"elsewhere, and it is brought": {all(edited(api, "{name: api}", "{name: api, namespace: other}"),
			"apiVersion: v1\nkind: Namespace\nmetadata: {name: other}\n"), nil},
	}
}

// What another environment has is known: here it is surely wrong.
func TestReferencesToOtherEnvironments(t *testing.T) {
	envs := []project.Environment{
		{Name: "dev", Paths: []string{"dev"}, Class: project.Local, Namespace: "dev", Context: "dev"},
		{Name: "prod", Paths: []string{"prod"}, Class: project.Production, Namespace: "prod", Context: "prod"},
	}
	got := brief(checked(t, map[string]string{"dev/all.yaml": api,
		"prod/all.yaml": all(edited(api, "{name: api}", "{name: api, namespace: dev}"),
			edited(binding, "namespace: prod", "namespace: dev"))}, []group{{each: references}}, envs...))
	want := []string{"! role-binding subjects[0].namespace", "✗ foreign-namespace metadata.namespace"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// Two that share a place may bring what the other needs.
	envs[0].Context, envs[0].Namespace = "prod", "prod"
	got = brief(checked(t, map[string]string{"dev/all.yaml": api,
		"prod/all.yaml": all(edited(api, "app: api, tier", "app: x, tier"), service)},
		[]group{{each: references}}, envs...))
	if diff := cmp.Diff([]string{"! service-selector spec.selector"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestMustExist(t *testing.T) {
	one := edited(api, "replicas: 2", "replicas: 1")
	bare := edited(
		api, "      affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: []}}\n", "")
	hpa := func(text string) string { return edited(text, "  replicas: 2\n", "") }
	claim := "volumes: [{name: d, persistentVolumeClaim: {claimName: data}}]"
	cases := map[string]ruleCase{
		"all is well":       {all(api, service, budget, network), nil},
		"one pod":           {all(one, service, network), []string{"! replicas-one spec.replicas"}},
		"replicas left out": {all(hpa(api), service, network), []string{"! replicas-one spec.replicas"}},
		"without a Service": {all(one, network), nil},
		"one store":         {all(edited(one, "ghcr.io/acme/api:", "bitnami/valkey:"), service, network), nil},
		"a store's exporter": {all(edited(one, "ghcr.io/acme/api:", "bitnami/valkey-exporter:"), service, network),
			[]string{"! replicas-one spec.replicas"}},
		"metrics alone": {all(one, network, edited(service, "name: web", "name: http-metrics")), nil},
		"switched off":  {all(edited(api, "replicas: 2", "replicas: 0"), service, network), nil},
		"single by its claim": {all(edited(edited(inPod(claim), "replicas: 2", "replicas: 1"), "  selector:",
			"  strategy: {type: Recreate}\n  selector:"), service, network), nil},
		"claim, and rolled": {all(edited(inPod(claim), "replicas: 2", "replicas: 1"), service, network),
			nil},
		"autoscaler from two": {all(hpa(api), service, budget, network, scaler), nil},
		"autoscaler from one": {all(hpa(api), service, budget, network, edited(scaler, "minReplicas: 2",
			"minReplicas: 1")), []string{"! replicas-one spec.minReplicas"}},
		"no budget": {all(api, service, network), []string{"! budget-missing"}},
		"budget of others": {all(api, service, network, edited(budget, "app: api", "app: web")),
			[]string{"! budget-missing"}},
		"budget of none": {all(api, service, network, edited(budget, "maxUnavailable: 1",
			"maxUnavailable: 0")), []string{"✗ budget-blocks spec.maxUnavailable"}},
		"budget of no percent": {all(api, service, network, edited(budget, "maxUnavailable: 1",
			"maxUnavailable: 0%")), []string{"✗ budget-blocks spec.maxUnavailable"}},
		"budget of one percent": {all(api, service, network, edited(budget, "maxUnavailable: 1",
			"maxUnavailable: 1%")), nil},
		"budget keeps all": {all(api, service, network, edited(budget, "maxUnavailable: 1", "minAvailable: 2")),
			[]string{"✗ budget-blocks spec.minAvailable"}},
		"budget keeps one": {all(api, service, network, edited(budget, "maxUnavailable: 1", "minAvailable: 1")),
			nil},
		"budget keeps 51%": {all(api, service, network, edited(budget, "maxUnavailable: 1", "minAvailable: 51%")),
			[]string{"✗ budget-blocks spec.minAvailable"}},
		"budget keeps 50%": {all(api, service, network, edited(budget, "maxUnavailable: 1", "minAvailable: 50%")),
			nil},
		"budget of an autoscaler": {all(hpa(api), scaler, service, network, edited(budget, "maxUnavailable: 1",
			"minAvailable: 2")),
			[]string{"! budget-blocks spec.minAvailable"}},
		"two budgets": {all(api, service, network, budget, edited(budget, "name: api", "name: web")),
			[]string{"✗ budget-blocks spec.selector"}},
		"no spread": {all(bare, service, budget, network), []string{"! spread-missing " + pod}},
		"spread": {all(edited(bare, "      containers:", "      topologySpreadConstraints: "+
			"[{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: api}}}]\n      containers:"),
			service, budget, network), nil},
		"spread of others": {all(edited(bare, "      containers:", "      topologySpreadConstraints: "+
			"[{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: web}}}]\n      containers:"),
			service, budget, network), []string{"! spread-missing " + pod + ".topologySpreadConstraints[0]"}},
		"no policy": {all(api, service, budget), []string{"! policy-missing"}},
		"policy of others": {all(api, service, budget, edited(network, "podSelector: {}",
			"podSelector: {matchLabels: {app: web}}")), []string{"! policy-missing"}},
		"policy of two": {all(api, edited(api, "{name: api}", "{name: web}"), service, budget),
			[]string{"! policy-missing"}},
		"policy of Cilium": {all(api, service, budget, edited(edited(network, "networking.k8s.io/v1",
			"cilium.io/v2"), "NetworkPolicy", "CiliumNetworkPolicy")), nil},
		"killed at once": {all(inPod("terminationGracePeriodSeconds: 0"), service, budget, network),
			[]string{"! shutdown-grace " + pod + ".terminationGracePeriodSeconds"}},
		"hook takes all": {all(inContainer("lifecycle: {preStop: {exec: {command: [sh, -c, sleep 30]}}}"),
			service, budget, network),
			[]string{"! shutdown-grace " + pod + ".containers[name=api].lifecycle.preStop"}},
		"hook leaves some": {all(inContainer("lifecycle: {preStop: {sleep: {seconds: 5}}}"), service, budget,
			network), nil},
		"hook does more": {all(
			inContainer("lifecycle: {preStop: {exec: {command: [sh, -c, drain && sleep 60]}}}"), service, budget,
			network), nil},
		"daemons are by nodes": {all(edited(edited(bare, "Deployment", "DaemonSet"), "  replicas: 2\n", ""),
			service, network), nil},
	}
	for name, c := range cases { // the pods of all of them wait before they stop
		if !strings.Contains(c.text, "lifecycle:") {
			c.text = strings.ReplaceAll(c.text, "containerPort: 8080}]\n",
				"containerPort: 8080}]\n          lifecycle: {preStop: {sleep: {seconds: 5}}}\n")
			cases[name] = c
		}
	}
	const hook = "! prestop-missing " + pod + ".containers[name=api].lifecycle"
	cases["no pause"] = ruleCase{all(api, service, budget, network), []string{hook}}
	cases["no pause, in a worker"] = ruleCase{all(api, network), nil}
	recreated := edited(api, "  selector:", "  strategy: {type: Recreate}\n  selector:")
	cases["no pause, recreated"] = ruleCase{all(recreated, service, budget, network), nil}
	runCases(t, project.Production, []group{{each: availability}}, cases)
	for _, class := range []project.Class{project.Local, project.Staging} {
		runCases(t, class, []group{{each: availability}},
			map[string]ruleCase{"not in " + string(class): {all(one, service), nil}})
	}
}

func TestImages(t *testing.T) {
	const at = pod + ".containers[name=api].image"
	cases := map[string]ruleCase{}
	for ref, want := range map[string]string{
		"localhost:5000/api:1.0.0":                   "✗ image-laptop " + at,
		"k3d-registry.localhost:5000/api:1.0.0":      "✗ image-laptop " + at,
		"k3d-reg:5000/api:1.0.0":                     "✗ image-laptop " + at,
		"kind-registry:5000/api:1.0.0":               "✗ image-laptop " + at,
		"host.docker.internal:5000/api:1.0.0":        "✗ image-laptop " + at,
		"127.0.0.1:5000/api:1.0.0":                   "✗ image-laptop " + at,
		"192.168.1.7:5000/api:1.0.0":                 "! image-laptop " + at,
		"harbor.corp.local/api:1.0.0":                "! image-laptop " + at,
		"8.8.8.8:5000/api:1.0.0":                     "",
		"k3d-images/api:1.0.0":                       "", // an account of Docker Hub
		"localhost.example.com/api:1.0.0":            "",
		"ghcr.io/acme/api":                           "✗ image-mutable " + at,
		"ghcr.io/acme/api:latest":                    "✗ image-mutable " + at,
		"ghcr.io/acme/api:dev":                       "✗ image-mutable " + at,
		"ghcr.io/acme/api:main":                      "✗ image-mutable " + at,
		"ghcr.io/acme/api:stable":                    "! image-mutable " + at,
		"ghcr.io/acme/api:dev-1.2.3":                 "",
		"ghcr.io/acme/api:sha-3f9c2e1":               "",
		"ghcr.io/acme/main:1.0":                      "",
		"ghcr.io/acme/api@sha256:" + digits:          "",
		"ghcr.io/acme/api:dev@sha256:" + digits:      "",
		"ghcr.io/acme/api:latest@sha256:" + digits:   "! pull-policy " + at,
		"registry.example.com:5000/acme/api:1.2.3-a": "",
	} {
		c := ruleCase{text: edited(api, "ghcr.io/acme/api:1.2.3", ref)}
		if want != "" {
			c.want = []string{want}
		}
		cases[ref] = c
	}
	cases["Never"] = ruleCase{inContainer("imagePullPolicy: Never"),
		[]string{"! pull-policy " + pod + ".containers[name=api].imagePullPolicy"}}
	cases["IfNotPresent"] = ruleCase{inContainer("imagePullPolicy: IfNotPresent"), nil}
	cases["IfNotPresent of what moves"] = ruleCase{edited(inContainer("imagePullPolicy: IfNotPresent"),
		"1.2.3", "dev"),
		[]string{"! pull-policy " + pod + ".containers[name=api].imagePullPolicy", "✗ image-mutable " + at}}
	cases["init container"] = ruleCase{inPod("initContainers: [{name: i, image: busybox}]"),
		[]string{"✗ image-mutable " + pod + ".initContainers[name=i].image"}}
	runCases(t, project.Production, []group{{each: images}}, cases)
	runCases(t, project.Local, []group{{each: images}},
		map[string]ruleCase{"a laptop": {edited(api, "ghcr.io/acme/api:1.2.3", "localhost:5000/api"), nil}})
	runCases(t, project.Staging, []group{{each: images}}, map[string]ruleCase{
		"latest in staging": {edited(api, "1.2.3", "latest"), nil},
		"main in staging":   {edited(api, "1.2.3", "main"), []string{"! pull-policy " + at}},
		"laptop in staging": {edited(api, "ghcr.io", "localhost"), []string{"✗ image-laptop " + at}},
	})
}

const digits = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// A private address is a laptop's where a laptop's environment uses it too, and accepted where
// the environment says that it is its registry.
func TestPrivateRegistry(t *testing.T) {
	text := edited(api, "ghcr.io", "192.168.1.7:5000")
	files := map[string]string{"dev/all.yaml": text, "prod/all.yaml": text}
	envs := []project.Environment{{Name: "dev", Paths: []string{"dev"}, Class: project.Local},
		{Name: "prod", Paths: []string{"prod"},
			Class: project.Production}}
	at := pod + ".containers[name=api].image"
	if diff := cmp.Diff([]string{"✗ image-laptop " + at},
		brief(checked(t, files, []group{{each: images}}, envs...))); diff != "" {
		t.Error(diff)
	}
	envs[1].Registry = "192.168.1.7:5000/acme"
	if got := brief(checked(t, files, []group{{each: images}}, envs...)); got != nil {
		t.Error(got)
	}
}
