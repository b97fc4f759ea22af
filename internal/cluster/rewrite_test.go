package cluster

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/object"
	"slipway/internal/plan"
)

// A change removes the defaults of the old value, for any field manager: the object is then what a new one
// would be, the plan said so, and a second plan is empty.
func TestRewrite(t *testing.T) {
	t.Parallel()
	const service = `{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {$}}`
	const pod = `replicas: 0, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: `
	const deployment = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {` + pod + `{$}}}}`
	const stateful = `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: web}, spec: {serviceName: web, $ ` + pod +
		`{containers: [{name: web, image: a}]}}}}`
	const policy = `{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: web}, spec: {selector: {}, $}}`
	const scaler = `{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: web}, spec: {maxReplicas: 3, ` +
		`scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, metrics: [{type: Resource, resource: {name: cpu, $}}]}}`
	const ingress = `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web}, spec: {defaultBackend: {$}}}`
	for name, c := range map[string]struct{ object, from, to string }{
		"a port with another number": {service, `ports: [{name: http, port: 80}]`, `ports: [{name: http, port: 8000}]`},
		"a port with another protocol": {service, `ports: [{name: dns, port: 53}]`,
			`ports: [{name: dns, port: 53, protocol: UDP}]`},
		"ports that swap their names": {service, `ports: [{name: a, port: 80}, {name: b, port: 81}]`,
			`ports: [{name: b, port: 80}, {name: a, port: 81}]`},
		"a container's port": {deployment, `containers: [{name: web, image: a, ports: [{name: http, containerPort: 80}]}]`,
			`containers: [{name: web, image: a, ports: [{name: http, containerPort: 8080}]}]`},
		"no longer by address": {service, `sessionAffinity: ClientIP, ports: [{port: 80}]`, `ports: [{port: 80}], sessionAffinity: None`},
		"another host's name":  {service, `ports: [{port: 80}], selector: {app: web}`, `type: ExternalName, externalName: a.example`},
		"from a name":          {service, `type: ExternalName, externalName: a.example`, `ports: [{port: 80}], selector: {app: web}`},
		"no port of the node":  {service, `type: NodePort, externalTrafficPolicy: Local, ports: [{port: 80}]`, `type: ClusterIP, ports: [{port: 80}]`},
		"type left out":        {service, `type: LoadBalancer, externalTrafficPolicy: Local, ports: [{port: 80}]`, `ports: [{port: 80}]`},
		"recreate": {`{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {$ ` + pod + `{containers: [{name: web, image: a}]}}}}`,
			``, `strategy: {type: Recreate},`},
		"on delete":                    {stateful, `updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 1}},`, `updateStrategy: {type: OnDelete},`},
		"on delete, by default before": {stateful, ``, `updateStrategy: {type: OnDelete},`},
		"on delete of a daemon": {`{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: web}, spec: {$ selector: {matchLabels: {app: web}},
			template: {metadata: {labels: {app: web}}, spec: {nodeSelector: {no: such}, containers: [{name: web, image: a}]}}}}`,
			``, `updateStrategy: {type: OnDelete},`},
		"another probe": {deployment, `containers: [{name: web, image: a, livenessProbe: {httpGet: {port: 80, path: /}}}]`,
			`containers: [{name: web, image: a, livenessProbe: {exec: {command: [a]}}}]`},
		"a probe of another port": {deployment, `containers: [{name: web, image: a, readinessProbe: {tcpSocket: {port: 80}}}]`,
			`containers: [{name: web, image: a, readinessProbe: {grpc: {port: 80}}}]`},
		"no probe": {deployment, `containers: [{name: web, image: a, livenessProbe: {httpGet: {port: 80}}}]`,
			`containers: [{name: web, image: a}]`},
		"a secret for a config map": {deployment, `containers: [{name: web, image: a}], volumes: [{name: v, configMap: {name: a}}]`,
			`containers: [{name: web, image: a}], volumes: [{name: v, secret: {secretName: a}}]`},
		"a claim for an empty directory": {deployment, `containers: [{name: web, image: a}], volumes: [{name: v, emptyDir: {sizeLimit: 1Gi}}]`,
			`containers: [{name: web, image: a}], volumes: [{name: v, persistentVolumeClaim: {claimName: a}}]`},
		"a volume by default empty": {deployment, `containers: [{name: web, image: a}], volumes: [{name: v}]`,
			`containers: [{name: web, image: a}], volumes: [{name: v, configMap: {name: a}}]`},
		"a variable from elsewhere": {deployment, `containers: [{name: web, image: a, env: [{name: A, value: b}]}]`,
			`containers: [{name: web, image: a, env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]}]`},
		"another hook": {deployment, `containers: [{name: web, image: a, lifecycle: {preStop: {httpGet: {port: 80}}}}]`,
			`containers: [{name: web, image: a, lifecycle: {preStop: {exec: {command: [a]}}}}]`},
		"the other bound": {policy, `minAvailable: 1`, `maxUnavailable: 1`},
		"another target":  {scaler, `target: {type: Utilization, averageUtilization: 50}`, `target: {type: AverageValue, averageValue: 1}`},
		"another backend": {ingress, `service: {name: a, port: {number: 80}}`, `service: {name: a, port: {name: http}}`},
		"another schedule": {`{apiVersion: batch/v1, kind: CronJob, metadata: {name: web}, spec: {schedule: "1 1 1 1 1", $ jobTemplate: {spec: {` +
			`template: {spec: {restartPolicy: Never, containers: [{name: web, image: a}]}}}}}}`,
			`successfulJobsHistoryLimit: 7, timeZone: Europe/Rome, `, ``},
	} {
		for _, manager := range []string{"", "kubectl-client-side-apply"} {
			t.Run(strings.TrimSpace(name+" "+manager), func(t *testing.T) {
				t.Parallel()
				p := newPlace(t)
				from := p.Parse(t, strings.Replace(c.object, "$", c.from, 1))
				to := p.Parse(t, strings.Replace(c.object, "$", c.to, 1))
				var owned []object.Ref
				if manager == "" {
					owned = from.Refs()
					apply(t, p.editor, from)
				} else {
					write(t, p, from.Objects()[0], manager, false)
				}
				seen := released(t, p, to, owned, manager != "")
				got := specOf(t, p, to)
				if diff := cmp.Diff(withoutAllocated(seen.Merged), withoutAllocated(got)); diff != "" {
					t.Errorf("the plan is not what runs (-plan +live): %s", diff)
				}
				if after := observed(t, p.editor, to, to.Refs(), false); !after.Empty() {
					t.Errorf("after applying: %v", summary(after))
				}
				fresh := newPlace(t)
				created := fresh.Parse(t, strings.Replace(c.object, "$", c.to, 1))
				apply(t, fresh.editor, created)
				if diff := cmp.Diff(withoutAllocated(specOf(t, fresh, created)), withoutAllocated(got)); diff != "" {
					t.Errorf("other than a new object (-new +live): %s\nplan: %s", diff, seen.Rewritten)
				}
			})
		}
	}
}

// released deploys the one object of a set, as a deploy does.
func released(t *testing.T, p place, set object.Set, owned []object.Ref, force bool) plan.Observed {
	t.Helper()
	list, err := Observe(t.Context(), p.editor, set, ObserveOptions{Owned: owned, Force: force})
	if err == nil {
		err = list[0].Err
	}
	o := list[0]
	if err == nil && o.Rewritten != "" {
		err = Rewrite(t.Context(), p.editor, o.Desired, o.Adopting)
	} else if err == nil {
		err = Claim(t.Context(), p.editor, o.Desired, o.Adopting)
	}
	if err == nil {
		err = p.editor.Apply(t.Context(), o.Desired, force)
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func specOf(t *testing.T, p place, set object.Set) object.Object {
	t.Helper()
	o, _, err := p.editor.get(t.Context(), set.Refs()[0], "")
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// withoutAllocated is an object's spec without addresses and ports that the server picks.
func withoutAllocated(o object.Object) any {
	spec, _ := o.Clone().Body["spec"].(map[string]any)
	for _, k := range []string{"clusterIP", "clusterIPs"} {
		delete(spec, k)
	}
	if ports, ok := spec["ports"].([]any); ok {
		for _, p := range ports {
			delete(p.(map[string]any), "nodePort")
		}
	}
	return spec
}
