package schema_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/check/finding"
	"slipway/internal/check/schema"
	"slipway/internal/object"
)

// workload is a Deployment that is well, or what replacing some of it gives.
func workload(replace ...string) string {
	return strings.NewReplacer(replace...).Replace(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
  creationTimestamp: null
  labels: {app: api, "app.kubernetes.io/version": "1.0"}
  annotations: {Example.com/Some_Thing: "yes"}
spec:
  replicas: 2
  selector: {matchLabels: {app: api}}
  strategy:
    rollingUpdate: {maxSurge: 25%, maxUnavailable: 0}
  template:
    metadata: {creationTimestamp: null, labels: {app: api, tier: web}}
    spec:
      nodeSelector: null
      volumes: [{name: tmp, emptyDir: {}}]
      containers:
      - name: api
        image: api:1
        command: []
        ports: [{name: http, containerPort: 8080}]
        env: [{name: PORT, value: "8080"}, {name: EMPTY}]
        resources:
          requests: {cpu: 1, memory: 128Mi}
          limits: {cpu: 1.5, memory: 1e9}
        livenessProbe:
          periodSeconds: 10
          httpGet: {path: /, port: http}
        readinessProbe:
          httpGet: {path: /, port: 8080}
        volumeMounts: [{name: tmp, mountPath: /tmp}]
status: {}
`)
}

func head(apiVersion, kind string) string {
	return "apiVersion: " + apiVersion + "\nkind: " + kind + "\nmetadata: {name: x}\n"
}

const pod = "spec: {containers: [{name: a, image: b}]}\n"
const at = "spec.template.spec.containers[name=api]"

const widget = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  names: {kind: Widget, plural: widgets}
  scope: Namespaced
  versions:
  - {name: v1alpha1, served: false, storage: false, schema: {openAPIV3Schema: {type: object}}}
  - {name: v1beta1, served: true, storage: false, deprecated: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        required: [spec]
        properties:
          apiVersion: {type: string}
          kind: {type: string}
          metadata: {type: object}
          spec:
            type: object
            required: [size, mode]
            properties:
              size: {type: integer, minimum: 1, maximum: 9}
              mode: {type: string, enum: [fast, slow], default: fast}
              port: {x-kubernetes-int-or-string: true}
              title: {type: string, maxLength: 5, pattern: '^[a-z]+$', nullable: true}
              ratio: {type: number}
              free: {type: object, x-kubernetes-preserve-unknown-fields: true, properties: {k: {type: integer}}}
              map: {type: object, additionalProperties: {type: string}}
              any: {type: object, additionalProperties: true}
              parts:
                type: array
                minItems: 1
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items: {type: object, required: [name], properties: {name: {type: string}, active: {type: boolean}}}
              job: {type: object, x-kubernetes-embedded-resource: true, x-kubernetes-preserve-unknown-fields: true}
`

func custom(spec string) string { return head("example.com/v1", "Widget") + "spec: " + spec + "\n" }

// cases are objects with what is said of each: rule and field, "" where nothing may be.
func cases() map[string]struct{ kube, text, want string } {
	return map[string]struct{ kube, text, want string }{
		"a good Deployment": {"", workload(), ""},
		"a field with a mistake": {"", workload("livenessProbe", "livenesProbe"), "unknown-field " + at +
			".livenesProbe: Write `livenessProbe`."},
		"a field at the wrong level": {"", workload("  replicas: 2", "  image: x"),
			"unknown-field spec.image: Remove it, or move it to the level where it belongs."},
		"fields know small letters": {"", workload("replicas: 2", "Replicas: 2"),
			"unknown-field spec.Replicas: Write `replicas`."},
		"an unknown field without value": {"", workload("replicas: 2", "nothing: null"), ""},
		"newer than the types": {"1.99", workload("replicas: 2", "shine: 2"),
			"unknown-field warning spec.shine: Remove it, or move it to the level where it belongs."},
		"a number in quotes": {"", workload("replicas: 2", `replicas: "2"`),
			"wrong-type spec.replicas: Remove the quotes: 2"},
		"a number with zeros in quotes": {"", workload("replicas: 2", `replicas: "02"`),
			"wrong-type spec.replicas:"},
		"a number that is too large": {"", workload("replicas: 2", "replicas: 3000000000"),
			"wrong-type spec.replicas:"},
		"half a replica": {"", workload("replicas: 2", "replicas: 2.5"),
			"wrong-type spec.replicas:"},
		"a whole float": {"", workload("replicas: 2", "replicas: 2.0"), ""},
		"a number as variable": {"", workload(`value: "8080"`, "value: 8080"),
			`wrong-type ` + at + `.env[name=PORT].value: Put the value in quotes.`},
		"a truth value as label": {"", workload("tier: web", "tier: true"),
			`wrong-type spec.template.metadata.labels.tier: Put the value in quotes.`},
		"a truth value as annotation": {"", workload(`Some_Thing: "yes"`, "Some_Thing: true"),
			`wrong-type metadata.annotations["Example.com/Some_Thing"]: Put the value in quotes.`},
		"a text as list": {"", workload("command: []", "command: run"),
			"wrong-type " + at + ".command:"},
		"a list as mapping": {"", workload("emptyDir: {}", "emptyDir: []"),
			"wrong-type spec.template.spec.volumes[name=tmp].emptyDir:"},
		"no quantity": {"", workload("128Mi", "128 MB"),
			"wrong-type " + at + ".resources.requests.memory:"},
		"a truth value as port": {"", workload("port: http", "port: true"),
			"wrong-type " + at + ".livenessProbe.httpGet.port:"},
		"several mistakes": {"", workload("periodSeconds", "period", "replicas: 2", `replicas: "2"`),
			"wrong-type spec.replicas: Remove the quotes: 2; unknown-field " + at +
				".livenessProbe.period: Write `periodSeconds`."},
		"the selector does not match": {"", workload("{matchLabels: {app: api}}",
			"{matchLabels: {app: api, env: prod}}"), "selector-mismatch spec.selector: Use the same labels in " +
			"`spec.selector.matchLabels` and `spec.template.metadata.labels`."},
		"a selector of expressions": {"", workload("{matchLabels: {app: api}}",
			"{matchExpressions: [{key: tier, operator: In, values: [web]}]}"), ""},
		"an expression that fails": {"", workload("{matchLabels: {app: api}}",
			"{matchExpressions: [{key: tier, operator: NotIn, values: [web]}]}"), "selector-mismatch spec.selector: " +
			"Use the same labels in `spec.selector.matchLabels` and `spec.template.metadata.labels`."},
		"no selector": {"", workload("selector: {matchLabels: {app: api}}", "paused: false"),
			"required-field spec.selector: Add `spec.selector`."},
		"an empty selector": {"", workload("{matchLabels: {app: api}}", "{}"),
			"selector-mismatch spec.selector: Use the same labels in `spec.selector.matchLabels` and " +
				"`spec.template.metadata.labels`."},
		"a container without image": {"", workload("image: api:1", "tty: true"), "required-field " + at +
			".image: Add `" + at + ".image`, or correct the container's name."},
		"no containers": {"", head("v1", "Pod") + "spec: {containers: []}\n",
			"required-field spec.containers: Add `spec.containers`."},
		"two containers of a name": {"",
			head("v1", "Pod") + "spec: {containers: [{name: a, image: b}], initContainers: [{name: a, image: b}]}\n",
			"invalid-value spec.initContainers[name=a].name: Rename one of them."},
		"a port above all": {"", workload("containerPort: 8080", "containerPort: 80800"),
			"invalid-value " + at + ".ports[name=http].containerPort:"},
		"a long port name": {"", workload("name: http", "name: http-for-everyone"),
			"invalid-value " + at + `.ports[name=http-for-everyone].name:`},
		"a probe's port": {"", workload("port: 8080}", "port: 0}"), "invalid-value " + at +
			".readinessProbe.httpGet.port:"},
		"a Deployment that runs once": {"", workload("nodeSelector: null", "restartPolicy: Never"),
			"invalid-value spec.template.spec.restartPolicy: Remove it: Always is the default."},
		"a Job that restarts always": {"", head("batch/v1", "Job") + "spec: {template: {" +
			strings.TrimSpace(pod) + "}}\n",
			"invalid-value spec.template.spec.restartPolicy: Set `restartPolicy: OnFailure`."},
		"a good Job": {"", head("batch/v1", "Job") +
			"spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: b}]}}}\n", ""},
		"a Service's ports": {"", head("v1", "Service") + "spec: {type: NodePort, selector: {app: " +
			"a}, ports: [{name: a, port: 80, targetPort: http, nodePort: 30080}, {name: b, port: 443, targetPort: " +
			"8443, protocol: TCP}]}\n", ""},
		"a Service without ports": {"", head("v1", "Service") + "spec: {selector: {a: b}}\n",
			"required-field spec.ports: Add `spec.ports`."},
		"a Service of pods alone": {"", head("v1", "Service") +
			"spec: {clusterIP: None, selector: {a: b}}\n", ""},
		"a Service of a name": {"", head("v1", "Service") +
			"spec: {type: ExternalName, externalName: a.example.com}\n", ""},
		"two ports without names": {"", head("v1", "Service") +
			"spec: {ports: [{name: a, port: 80}, {port: 443}]}\n",
			"required-field spec.ports[port=443].name: Add `spec.ports[port=443].name`."},
		"a type in other letters": {"", head("v1", "Service") +
			"spec: {type: Nodeport, ports: [{port: 80}]}\n", "invalid-value spec.type:"},
		"a protocol in other letters": {"", workload("containerPort: 8080",
			"containerPort: 8080, protocol: tcp"), "invalid-value " + at + ".ports[name=http].protocol:"},
		"a policy in other letters": {"", workload("image: api:1",
			"image: api:1\n        imagePullPolicy: always"), "invalid-value " + at + ".imagePullPolicy:"},
		"a scheme in other letters": {"", workload("port: http}", "port: http, scheme: https}"),
			"invalid-value " + at + ".livenessProbe.httpGet.scheme:"},
		"a strategy of one's own": {"", workload("  strategy:", "  strategy:\n    type: rolling"),
			"invalid-value spec.strategy.type:"},
		"a DNS policy, an effect": {"", workload("nodeSelector: null",
			"dnsPolicy: default\n      tolerations: [{key: a, effect: noSchedule}, {key: a, operator: equal}]"),
			"invalid-value spec.template.spec.dnsPolicy:; invalid-value spec.template.spec.tolerations[0].effect:; " +
				"invalid-value spec.template.spec.tolerations[1].operator:"},
		"a good toleration": {"", workload("nodeSelector: null",
			"dnsPolicy: Default\n      tolerations: [{key: a, value: b, effect: NoSchedule}, {operator: Exists}]"),
			""},
		"a spread that is none": {"", workload("nodeSelector: null",
			"topologySpreadConstraints: [{maxSkew: 1, topologyKey: a, whenUnsatisfiable: Maybe}]"),
			"invalid-value spec.template.spec.topologySpreadConstraints[topologyKey=a,whenUnsatisfiable=Maybe].whenUnsatisfiable:"},
		"it asks for more than it has": {"", workload("{cpu: 1, memory", "{cpu: 1501m, memory"),
			"invalid-value " + at + ".resources.requests.cpu: Raise the limit, or lower the request."},
		"it asks for all it has": {"", workload("{cpu: 1, memory", "{cpu: 1500m, memory"), ""},
		"a mount of nothing": {"", workload("[{name: tmp, mountPath", "[{name: tnp, mountPath"),
			"invalid-value " + at + ".volumeMounts[name=tnp].name:"},
		"a mount of a claim": {"", head("apps/v1", "StatefulSet") + "spec: {serviceName: a, " +
			"selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, " +
			"image: b, volumeMounts: [{name: data, mountPath: /data}]}]}}, volumeClaimTemplates: [{metadata: {name: " +
			"data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]}\n", ""},
		"a budget both ways": {"", head("policy/v1", "PodDisruptionBudget") +
			"spec: {minAvailable: 1, maxUnavailable: 1, selector: {matchLabels: {a: b}}}\n",
			"invalid-value spec.maxUnavailable: Remove one of them."},
		"an autoscaler upside down": {"", head("autoscaling/v2", "HorizontalPodAutoscaler") +
			"spec: {minReplicas: 5, maxReplicas: 4, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: a}}\n", "invalid-value spec.minReplicas: Swap the two values."},
		"an autoscaler of one number": {"", head("autoscaling/v2", "HorizontalPodAutoscaler") +
			"spec: {minReplicas: 4, maxReplicas: 4, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: a}}\n", ""},
		"a CronJob that forbids": {"", head("batch/v1", "CronJob") + "spec: {schedule: '* * * * *', " +
			"concurrencyPolicy: forbid, jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: " +
			"[{name: a, image: b}]}}}}}\n", "invalid-value spec.concurrencyPolicy:"},
		"a path type in other letters": {"", head("networking.k8s.io/v1", "Ingress") +
			"spec: {rules: [{http: {paths: [{path: /, pathType: prefix, backend: {service: {name: a, port: {number: " +
			"80}}}}]}}]}\n", "invalid-value spec.rules[0].http.paths[path=/].pathType:"},
		"a Service's wrong port": {"", head("v1", "Service") + "spec: {ports: [{port: 0}]}\n",
			"invalid-value spec.ports[port=0].port:"},
		"a Service without port": {"", head("v1", "Service") + "spec: {ports: [{targetPort: 80}]}\n",
			"required-field spec.ports[0].port: Add `spec.ports[0].port`."},
		"no path type": {"", head("networking.k8s.io/v1", "Ingress") +
			"spec: {rules: [{host: a, http: {paths: [{path: /, backend: {service: {name: a, port: {number: " +
			"80}}}}]}}, {host: b}]}\n", "required-field spec.rules[host=a].http.paths[path=/].pathType: Add `" +
			"spec.rules[host=a].http.paths[path=/].pathType`."},
		"the old form of a backend": {"", head("networking.k8s.io/v1", "Ingress") +
			"spec: {rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {serviceName: a}}]}}]}\n",
			"unknown-field spec.rules[0].http.paths[path=/].backend.serviceName: Write `service`."},
		"a backend other than a Service": {"", head("networking.k8s.io/v1", "Ingress") +
			"spec: {rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {resource: {kind: A, name: " +
			"b}}}]}}]}\n", ""},
		"stringData of a Secret": {"", head("v1", "Secret") +
			"stringData: {a: text}\ndata: {b: aGk=, c: \"\"}\n", ""},
		"data that is not base64": {"", head("v1", "Secret") + "data: {b: \"hi there!\"}\n",
			"wrong-type data.b:"},
		"a ConfigMap's number": {"", head("v1", "ConfigMap") + "data: {m: 5}\n",
			`wrong-type data.m: Put the value in quotes.`},
		"a binary ConfigMap": {"", head("v1", "ConfigMap") + "binaryData: {m: aGk=}\n", ""},
		"an old Deployment": {"", head("extensions/v1beta1", "Deployment"),
			"api-removed apiVersion: Write `apiVersion: apps/v1`."},
		"an old autoscaler": {"1.26", head("autoscaling/v2beta2", "HorizontalPodAutoscaler"),
			"api-removed apiVersion: Write `apiVersion: autoscaling/v2`."},
		"an old autoscaler, old cluster": {"v1.25.3", head("autoscaling/v2beta2", "HorizontalPodAutoscaler"), ""},
		"a policy of old": {"", head("policy/v1beta1", "PodSecurityPolicy"),
			"api-removed apiVersion:"},
		"an old CronJob": {"", head("batch/v1beta1", "CronJob"),
			"api-removed apiVersion: Write `apiVersion: batch/v1`."},
		"an old CronJob, cluster of then": {"1.22", head("batch/v1beta1", "CronJob"),
			"api-deprecated warning apiVersion: Write `apiVersion: batch/v1`."},
		"an old CronJob, older still": {"1.20", head("batch/v1beta1", "CronJob"), ""},
		"flow control at its end": {"1.29", head("flowcontrol.apiserver.k8s.io/v1beta3", "FlowSchema"),
			"api-deprecated warning apiVersion: Write `apiVersion: flowcontrol.apiserver.k8s.io/v1`."},
		"a name in capitals": {"", workload("name: api\n  creation", "name: Api\n  creation"),
			"invalid-name metadata.name:"},
		"a role with colons": {"", head("rbac.authorization.k8s.io/v1", "ClusterRole") +
			"rules: [{apiGroups: [\"\"], resources: [pods], verbs: [get]}]\n", ""},
		"a system role": {"", strings.Replace(head("rbac.authorization.k8s.io/v1", "ClusterRole"),
			"name: x", `name: "system:Node_x"`, 1), ""},
		"a Service with a dot": {"", strings.Replace(head("v1", "Service"), "name: x", "name: a.b", 1) +
			"spec: {ports: [{port: 80}]}\n", "invalid-name metadata.name:"},
		"a ConfigMap with a dot": {"", strings.Replace(head("v1", "ConfigMap"), "name: x",
			"name: a.b", 1), ""},
		"a Service with a digit": {"", strings.Replace(head("v1", "Service"), "name: x", "name: 1a", 1) +
			"spec: {ports: [{port: 80}]}\n", ""},
		"a Service with a digit, earlier": {"1.33", strings.Replace(head("v1", "Service"), "name: x", "name: 1a",
			1) + "spec: {ports: [{port: 80}]}\n", "invalid-name metadata.name:"},
		"a label that is too long": {"", workload("tier: web", "tier: "+strings.Repeat("a", 64)),
			"invalid-name spec.template.metadata.labels.tier:"},
		"a label with a slash": {"", workload("tier: web", "tier: feature/x"),
			"invalid-name spec.template.metadata.labels.tier:"},
		"a long name of a CronJob": {"", strings.Replace(head("batch/v1", "CronJob"), "name: x",
			"name: "+strings.Repeat("x", 53), 1) + "spec: {schedule: '* * * * *', jobTemplate: {spec: {template: " +
			"{spec: {restartPolicy: Never, containers: [{name: a, image: b}]}}}}}\n", "invalid-name metadata.name:"},
		"unknown kind": {"", head("apps/v1", "Deploymnt"),
			"unchecked: apps/v1 has no kind Deploymnt; did you mean Deployment?"},
		"unknown apiVersion": {"", head("cert-manager.io/v1", "Certificate"),
			"unchecked: the project has no CustomResourceDefinition of cert-manager.io: pass it with --schema"},
		"a definition": {"", widget, ""},
		"a mistake in a definition": {"", strings.Replace(widget, "scope:", "scop:", 1),
			"unknown-field spec.scop: Write `scope`."},

		"a good custom object": {"", custom("{size: 3, port: http, title: null, ratio: 1, free: {x: 1, k: " +
			"2}, map: {a: b}, any: {x: [1]}, parts: [{name: a, active: true}], job: {apiVersion: v1, kind: Pod, " +
			"metadata: {name: a}, spec: {}}}"), ""},
		"custom: unknown field": {"", custom("{size: 3, sise: 4}"), "unknown-field spec.sise: Write `size`."},
		"custom: in a list": {"", custom("{size: 3, parts: [{name: a, activ: true}]}"),
			"unknown-field spec.parts[name=a].activ: Write `active`."},
		"custom: wrong type":         {"", custom(`{size: "3"}`), "wrong-type spec.size: Remove the quotes: 3"},
		"custom: below what is free": {"", custom("{size: 3, free: {k: x}}"), "wrong-type spec.free.k:"},
		"custom: int or text":        {"", custom("{size: 3, port: true}"), "wrong-type spec.port:"},
		"custom: a map's value": {"", custom("{size: 3, map: {a: 1}}"),
			`wrong-type spec.map.a: Put the value in quotes.`},
		"custom: missing":  {"", custom("{mode: slow}"), "required-field spec.size: Add `spec.size`."},
		"custom: no spec":  {"", head("example.com/v1", "Widget"), "required-field spec: Add `spec`."},
		"custom: enum":     {"", custom("{size: 3, mode: quick}"), "invalid-value spec.mode:"},
		"custom: too much": {"", custom("{size: 10}"), "invalid-value spec.size:"},
		"custom: too long": {"", custom("{size: 1, title: äbcdef}"),
			"invalid-value spec.title:; invalid-value spec.title:"},
		"custom: too few": {"", custom("{size: 1, parts: []}"), "invalid-value spec.parts:"},
		"custom: embedded metadata": {"", custom("{size: 1, job: {metadata: {nam: a}}}"),
			"unknown-field spec.job.metadata.nam: Write `name`."},
		"custom: metadata": {"",
			"apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: x, lables: {}}\nspec: {size: 1}\n",
			"unknown-field metadata.lables: Write `labels`."},
		"custom: version not served": {"", head("example.com/v1alpha1", "Widget"),
			"api-removed apiVersion: Use one of v1beta1, v1."},
		"custom: deprecated": {"", head("example.com/v1beta1", "Widget") + "what: ever\n",
			"api-deprecated warning apiVersion:"},
	}
}

// A real API server takes some of these from clients that do not apply on the server.
func duplicates() map[string]struct{ kube, text, want string } {
	const remove = ": Remove one of the two entries."
	service := func(ports string) string { return head("v1", "Service") + "spec: {ports: [" + ports + "]}\n" }
	return map[string]struct{ kube, text, want string }{
		"a port twice": {"", workload("{name: http, containerPort: 8080",
			"{name: web, containerPort: 8080, protocol: TCP}, {name: http, containerPort: 8080"),
			"duplicate-key " + at + ".ports[name=http]" + remove},
		"a port of two protocols": {"", workload("{name: http, containerPort: 8080",
			"{name: web, containerPort: 8080, protocol: UDP}, {name: http, containerPort: 8080"), ""},
		"a variable twice": {"", workload("{name: EMPTY}", "{name: EMPTY}, {name: EMPTY, value: a}"),
			"duplicate-key " + at + ".env[2]" + remove},
		"a secret of the registry twice": {"", workload("nodeSelector: null",
			"imagePullSecrets: [{name: a}, {name: b}, {name: a}]"),
			"duplicate-key spec.template.spec.imagePullSecrets[2]" + remove},
		"a Service's port twice": {"", service("{name: a, port: 80, targetPort: 1}, {name: b, port: 80}"),
			"duplicate-key spec.ports[name=b]" + remove},
		"custom: a part twice": {"", custom("{size: 3, parts: [{name: a}, {name: b}, {name: a}]}"),
			"duplicate-key spec.parts[2]" + remove},
	}
}

func TestDuplicates(t *testing.T) {
	for name, c := range duplicates() {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, said(t, c.kube, c.text)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	for name, c := range cases() {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, said(t, c.kube, c.text)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// said is what Check says of an object, in short.
func said(t *testing.T, kube, text string) string {
	t.Helper()
	v, err := schema.New(schema.Options{KubeVersion: kube, Definitions: append(objects(t, widget),
		objects(t, head("v1", "ConfigMap"))...)})
	if err != nil {
		t.Fatal(err)
	}
	findings, unchecked := v.Check(objects(t, text)[0])
	var out []string
	for _, f := range findings {
		severity := " "
		if f.Severity == finding.Warning {
			severity = " warning "
		}
		if _, err := object.Steps(f.Field); err != nil {
			t.Error(err)
		}
		out = append(out, strings.TrimSpace(f.Rule+severity+f.Field+": "+f.Fix))
	}
	for _, u := range unchecked {
		out = append(out, "unchecked: "+u.Why)
	}
	return strings.Join(out, "; ")
}

func objects(t *testing.T, text string) []object.Object {
	t.Helper()
	list, err := object.Read(strings.NewReader(text), "x.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestSecretsAreNotRepeated(t *testing.T) {
	v, _ := schema.New(schema.Options{})
	findings, _ := v.Check(objects(t, head("v1", "Secret")+"data: {b: \"hunter2 \"}\nimmutable: hunter2\n")[0])
	for _, f := range findings {
		if strings.Contains(f.Message+f.Fix, "hunter2") {
			t.Error(f)
		}
	}
	if len(findings) != 2 {
		t.Error(findings)
	}
}

func TestVersions(t *testing.T) {
	for _, bad := range []string{"latest", "2.0", "1"} {
		if _, err := schema.New(schema.Options{KubeVersion: bad}); err == nil {
			t.Errorf("%s is taken for a version", bad)
		}
	}
	mod, err := os.ReadFile(filepath.Join("..", "..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`k8s\.io/api v0\.37\.`).Match(mod) {
		t.Error("newest is not the version of k8s.io/api in go.mod")
	}
}
