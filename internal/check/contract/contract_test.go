package contract

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/check/finding"
	"slipway/internal/object"
	"slipway/internal/project"
)

func side(t *testing.T, name string, class project.Class, text string) Side {
	t.Helper()
	objects, err := object.Read(strings.NewReader(text), name+".yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := Side{Name: name, Environment: project.Environment{Name: name, Class: class}}
	for _, o := range objects {
		if err := s.Set.Add(o); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// compared is each difference between two texts as "class · what · field", without the path to the pod.
func compared(t *testing.T, a, b string) []string {
	t.Helper()
	return lines(Compare(Input{A: side(t, "dev", project.Local, a), B: side(t, "prod", project.Production, b)}))
}

func lines(r Result) []string {
	var out []string
	for _, d := range r.Differences {
		out = append(out, string(d.Class)+" · "+d.What+" · "+strings.TrimPrefix(d.Field, "spec.template."))
	}
	slices.Sort(out)
	return out
}

const web = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: acme/web:1
        command: [uvicorn, --port=80]
        env: [{name: COLOR, value: red}]
        ports: [{containerPort: 80}]
        livenessProbe: {httpGet: {path: /live, port: 80}, periodSeconds: 5}
        resources: {requests: {cpu: 1, memory: 1Gi}, limits: {cpu: 2, memory: 1Gi}}
        securityContext: {runAsNonRoot: true}
        volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, emptyDir: {}}]
`

// Each case changes the Deployment above on the side of B.
func TestFields(t *testing.T) {
	for name, c := range map[string]struct {
		was, is string
		want    string // empty: nothing differs
	}{
		"nothing": {"", "", ""},
		"replicas": {"spec:\n  selector", "spec:\n  replicas: 3\n  selector",
			"expected · replicas · spec.replicas"},
		"tag": {"web:1", "web:2", "expected · image · spec.containers[name=web].image"},
		"registry, digest": {"acme/web:1", "ghcr.io/x/web@sha256:0",
			"expected · image · spec.containers[name=web].image"},
		"another program": {"acme/web:1", "acme/db:1", "unexplained · image · spec.containers[name=web].image"},
		"laptop registry": {"acme/web:1", "k3d-registry.localhost:5000/web:1",
			"must not ship · image · spec.containers[name=web].image"},
		"reload": {"--port=80]", "--port=80, --reload]",
			"must not ship · development command · spec.containers[name=web].command"},
		"reload's likeness": {"--port=80]", "--port=80, --reload-rules=x.yaml]",
			"unexplained · command · spec.containers[name=web].command"},
		"command": {"--port=80", "--port=81",
			"unexplained · command · spec.containers[name=web].command"},
		"env value": {"red", "blue",
			"expected · settings · spec.containers[name=web].env[name=COLOR].value"},
		"env lost": {"env: [{name: COLOR, value: red}]", "env: []",
			"unexplained · environment variable · spec.containers[name=web].env[name=COLOR]"},
		"port": {"containerPort: 80", "containerPort: 81",
			"unexplained · ports · spec.containers[name=web].ports[containerPort=80]"},
		"probe timing": {"periodSeconds: 5", "periodSeconds: 9",
			"expected · probe timing · spec.containers[name=web].livenessProbe.periodSeconds"},
		"probe path": {"/live,", "/,",
			"unexplained · path · spec.containers[name=web].livenessProbe.httpGet.path"},
		"probe lost": {"        livenessProbe: {httpGet: {path: /live, port: 80}, periodSeconds: 5}\n", "",
			"missing · probe · spec.containers[name=web].livenessProbe"},
		"memory limit lost": {"limits: {cpu: 2, memory: 1Gi}", "limits: {cpu: 2}",
			"missing · resources · spec.containers[name=web].resources.limits.memory"},
		"cpu limit lost": {"limits: {cpu: 2, memory: 1Gi}", "limits: {memory: 1Gi}",
			"expected · resources · spec.containers[name=web].resources.limits.cpu"},
		"more memory": {"limits: {cpu: 2, memory: 1Gi}", "limits: {cpu: 2, memory: 2Gi}",
			"expected · resources · spec.containers[name=web].resources.limits.memory"},
		"resources lost": {"resources: {requests: {cpu: 1, memory: 1Gi}, limits: {cpu: 2, memory: 1Gi}}", "",
			"missing · resources · spec.containers[name=web].resources"},
		"weaker": {"runAsNonRoot: true", "runAsNonRoot: false",
			"unexplained · runAsNonRoot · spec.containers[name=web].securityContext.runAsNonRoot"},
		"stronger": {"runAsNonRoot: true", "runAsNonRoot: true, readOnlyRootFilesystem: true",
			"expected · security · spec.containers[name=web].securityContext.readOnlyRootFilesystem"},
		"privileged": {"runAsNonRoot: true", "runAsNonRoot: true, privileged: true",
			"unexplained · privileges · spec.containers[name=web].securityContext.privileged"},
		"volume lost": {"volumes: [{name: data, emptyDir: {}}]", "volumes: []",
			"missing · volume · spec.volumes[name=data]"},
		"mount lost": {"volumeMounts: [{name: data, mountPath: /data}]", "volumeMounts: []",
			"missing · volume · spec.containers[name=web].volumeMounts[name=data]"},
		"container gained": {"- name: web\n", "- name: proxy\n        image: acme/proxy:1\n      - name: web\n",
			"unexplained · container · spec.containers[name=proxy]"},
		"container lost": {"- name: web\n", "- name: api\n", "missing · container · spec.containers[name=web]"},
		"scratch directory": {"[{name: data, emptyDir: {}}]",
			"[{name: data, emptyDir: {}}, {name: tmp, emptyDir: {}}]",
			"expected · scratch directory · spec.volumes[name=tmp]"},
		"volume gained": {"[{name: data, emptyDir: {}}]",
			"[{name: data, emptyDir: {}}, {name: tmp, hostPath: {}}]",
			"unexplained · volume · spec.volumes[name=tmp]"},
		"label of its own": {"labels: {app: web}", "labels: {app: web, env: prod}",
			"expected · labels · metadata.labels.env"},
		"other label": {"labels: {app: web}", "labels: {app: web, team: blue}",
			"unexplained · team · metadata.labels.team"},
		"init image": {"      volumes:",
			"      initContainers: [{name: init, image: \"localhost:5000/x:1\"}]\n      volumes:",
			"must not ship · image · spec.initContainers[name=init].image"},
		"another volume": {"emptyDir: {}", "persistentVolumeClaim: {claimName: data}",
			"unexplained · emptyDir · spec.volumes[name=data].emptyDir"},
		"version label": {"labels: {app: web}", "labels: {app: web, app.kubernetes.io/version: v2}",
			"expected · version · metadata.labels[\"app.kubernetes.io/version\"]"},
		"env from elsewhere": {"env: [{name: COLOR, value: red}]",
			"env: [{name: COLOR, valueFrom: {secretKeyRef: {name: s, key: k}}}]",
			"expected · settings · spec.containers[name=web].env[name=COLOR].value"},
		"readiness gained": {"        resources:",
			"        readinessProbe: {httpGet: {path: /, port: 80}}\n        resources:",
			"expected · probe · spec.containers[name=web].readinessProbe"},
		"placement": {"      volumes:", "      nodeSelector: {pool: big}\n      volumes:",
			"expected · placement · spec.nodeSelector"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(web, c.was) {
				t.Fatalf("%q is not in the manifest", c.was)
			}
			var want []string
			if c.want != "" {
				want = []string{c.want}
			}
			got := compared(t, web, strings.Replace(web, c.was, c.is, 1))
			got = got[:min(1, len(got))] // where the key of a list differs, both elements are told
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What only a laptop has is not missing in production.
func TestLaptopsOwn(t *testing.T) {
	dev := strings.NewReplacer("emptyDir: {}", "hostPath: {path: /src}", "--port=80]",
		"--port=80, --reload]").Replace(web)
	prod := strings.NewReplacer("volumes: [{name: data, emptyDir: {}}]", "volumes: []",
		"volumeMounts: [{name: data, mountPath: /data}]", "volumeMounts: []").Replace(web)
	want := []string{
		"expected · development command · spec.containers[name=web].command",
		"expected · source mount · spec.volumes[name=data]",
	}
	if diff := cmp.Diff(want, compared(t, dev, prod)); diff != "" {
		t.Error(diff)
	}
	kept := strings.ReplaceAll(dev, "acme/web:1", "localhost:5000/web:1")
	a, b := side(t, "dev", project.Local, kept), side(t, "prod", project.Production, kept)
	r := Compare(Input{A: a, B: b})
	want = []string{
		"must not ship · development command · spec.containers[name=web].command",
		"must not ship · image · spec.containers[name=web].image",
	}
	if diff := cmp.Diff(want, lines(r)); diff != "" {
		t.Error(diff)
	}
	counted := r.Equal + countScalars(r.Differences[0].B) + countScalars(r.Differences[1].B)
	if counted != countScalars(a.Set.Objects()[0].Body) {
		t.Errorf("%d equal", r.Equal)
	}
	// What was changed and still must not ship shows both values.
	a = side(t, "dev", project.Local, strings.Replace(kept, "--reload", "--inspect", 1))
	if d := Compare(Input{A: a, B: b}).Differences[1]; !strings.Contains(fmt.Sprint(d.A), "--inspect") ||
		!strings.Contains(fmt.Sprint(d.B), "--reload") {
		t.Errorf("%+v", d)
	}
	// On another laptop the same is well.
	if r := Compare(Input{A: side(t, "dev", project.Local, kept), B: side(t, "local", project.Local,
		kept)}); len(r.Differences) != 0 {
		t.Errorf("%v", lines(r))
	}
}

func TestObjectsAreMatchedAcrossNames(t *testing.T) {
	dev := `
{apiVersion: v1, kind: ConfigMap, metadata: {name: dev-conf-5gbkf827b5, namespace: shop-dev}, data: {A: "1", OLD: x}}
---
{apiVersion: v1, kind: Service, metadata: {name: dev-web, namespace: shop-dev}, spec: {selector: {app: dev-web}, ports: [{port: 80}]}}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: dev-web, namespace: shop-dev}, spec: {rules: [{host: web.localhost, http: {paths: [{path: /, backend: {service: {name: dev-web, port: {number: 80}}}}]}}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: mail, namespace: shop-dev}, spec: {ports: [{port: 25}]}}
`
	prod := `
# Another line, so that nothing is matched by its place.
{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: web, namespace: shop}, spec: {minAvailable: 1}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: conf-bbmhdt74dt, namespace: shop}, data: {A: "2", NEW: y}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {selector: {app: web}, ports: [{port: 80}]}}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web, namespace: shop}, spec: {rules: [{host: web.example.com, http: {paths: [{path: /shop, backend: {service: {name: web, port: {number: 80}}}}]}}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: queue, namespace: shop}, spec: {ports: [{port: 5672}]}}
`
	a, b := side(t, "dev", project.Local, dev), side(t, "prod", project.Production, prod)
	r := Compare(Input{A: a, B: b})
	var faults []string
	for _, d := range r.Differences {
		if d.Class != Expected {
			faults = append(faults, string(d.Class)+" · "+d.Object.String()+" "+d.Field)
		}
	}
	slices.Sort(faults)
	want := []string{
		"missing · Service shop-dev/mail ",
		"unexplained · ConfigMap shop/conf-bbmhdt74dt data.OLD",
		"unexplained · Ingress shop/web spec.rules[host=web.example.com].http.paths[path=/]",
		"unexplained · Ingress shop/web spec.rules[host=web.example.com].http.paths[path=/shop]",
		"unexplained · Service shop/queue ",
	}
	if diff := cmp.Diff(want, faults); diff != "" {
		t.Error(diff, lines(r))
	}
	if i := slices.IndexFunc(r.Differences, func(d Difference) bool {
		return d.Field == "data.OLD"
	}); r.Differences[i].Was.Name != "dev-conf-5gbkf827b5" {
		t.Errorf("%+v", r.Differences[i])
	}
}

// Objects are one by where they are written, and by what the pairs found so teach about prefixes.
func TestPairs(t *testing.T) {
	objects := func(names ...string) Side {
		var s Side
		for i, n := range names {
			kind, name, _ := strings.Cut(n, "/")
			o := object.Object{Body: map[string]any{"apiVersion": "v1", "kind": kind,
				"metadata": map[string]any{"name": name}}}
			if kind != "ConfigMap" {
				o.Origin = object.Origin{File: "base.yaml", Line: i + 1}
			}
			if err := s.Set.Add(o); err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
	for name, c := range map[string]struct {
		a, b Side
		want string
	}{
		"place": {objects("Service/x-web"), objects("Service/other"), "x-web=other"},
		"place of another": {objects("Service/web", "Service/x"), objects("Service/y", "Service/web"),
			"web=web x= =y"},
		"prefix and hash": {objects("Service/t1-web", "ConfigMap/t1-conf-5gbkf827b5"),
			objects("Service/t2-web", "ConfigMap/t2-conf-bbmhdt74dt"),
			"t1-web=t2-web t1-conf-5gbkf827b5=t2-conf-bbmhdt74dt"},
		"suffix": {objects("Service/web-t1", "ConfigMap/conf-t1"), objects("Service/web",
			"ConfigMap/conf"), "web-t1=web conf-t1=conf"},
		"no hash": {objects("ConfigMap/conf-aaaaaaaaaa"), objects("ConfigMap/conf"),
			"conf-aaaaaaaaaa= =conf"},
		"which is not decided": {objects("ConfigMap/conf-5gbkf827b5", "ConfigMap/conf-bbmhdt74dt"),
			objects("ConfigMap/conf"), "conf-5gbkf827b5= conf-bbmhdt74dt= =conf"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, p := range match(c.a, c.b) {
				text := "="
				if p.a != nil {
					text = p.a.Ref().Name + "="
				}
				if p.b != nil {
					text += p.b.Ref().Name
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What a controller makes a Secret from stands for the Secret.
func TestSecretMadeThere(t *testing.T) {
	a := side(t, "dev", project.Local, `{apiVersion: v1, kind: Secret, metadata: {name: db}}`)
	for text, want := range map[string]Class{
		`{apiVersion: bitnami.com/v1alpha1, kind: SealedSecret, metadata: {name: db}}`:                                    Expected,
		`{apiVersion: external-secrets.io/v1, kind: ExternalSecret, metadata: {name: x}, spec: {target: {name: db}}}`:     Expected,
		`{apiVersion: external-secrets.io/v1, kind: ExternalSecret, metadata: {name: db}, spec: {target: {name: other}}}`: Missing,
		`{apiVersion: cert-manager.io/v1, kind: Certificate, metadata: {name: x}, spec: {secretName: db}}`:                Expected,
		`{apiVersion: v1, kind: ConfigMap, metadata: {name: db}}`:                                                         Missing,
	} {
		for _, d := range Compare(Input{A: a, B: side(t, "prod", project.Production, text)}).Differences {
			if d.Object.Kind == "Secret" && d.Class != want {
				t.Errorf("%s: %s, want %s", text, d.Class, want)
			}
		}
	}
}

func TestObjectsOfOneSide(t *testing.T) {
	text := `{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: web}}
---
{apiVersion: v1, kind: Service, metadata: {name: web}}`
	full := side(t, "prod", project.Production, text)
	for class, want := range map[project.Class][]string{
		project.Local:      {"expected · object · ", "missing · object · "},
		project.Production: {"missing · object · ", "missing · object · "},
	} {
		if diff := cmp.Diff(want, lines(Compare(Input{A: full, B: side(t, "b", class, "")}))); diff != "" {
			t.Error(diff)
		}
	}
}

func TestHostsOfALaptop(t *testing.T) {
	ingress := func(host string) string {
		return `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web}, spec: {rules: [{host: ` +
			host + `, http: {paths: []}}]}}`
	}
	for host, want := range map[string][]string{
		"web.localhost":     {"must not ship · host · spec.rules[host=web.localhost].host"},
		"localhost.acme.io": {"expected · host · spec.rules[host=localhost.acme.io].host"},
	} {
		if diff := cmp.Diff(want, compared(t, ingress("web.localhost"), ingress(host))); diff != "" {
			t.Error(diff)
		}
	}
}

func TestHostThatMovedOnTheLaptop(t *testing.T) {
	ingress := `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web}, spec: {rules: [{host: HOST, http: {paths: []}}]}}`
	r := Compare(Input{
		A: side(t, "dev", project.Local, strings.Replace(ingress, "HOST", "a.localhost", 1)),
		B: side(t, "prod", project.Production, strings.Replace(ingress, "HOST", "b.localhost", 1)),
	})
	if len(r.Differences) != 1 || r.Differences[0].Class != MustNotShip || r.Differences[0].A != "a.localhost" ||
		r.Differences[0].B != "b.localhost" {
		t.Errorf("%+v", r.Differences)
	}
}

func TestLaptopRegistry(t *testing.T) {
	env := project.Environment{Registry: "10.0.0.4:5000/acme"}
	for image, want := range map[string]bool{
		"localhost:5000/web": true, "10.0.0.5:5000/web": true, "10.0.0.4:5000/web": false, "web": false,
		"ghcr.io/acme/web": false,
	} {
		if isLaptopRegistry(image, env) != want {
			t.Errorf("%s: %t", image, !want)
		}
	}
}

func TestNames(t *testing.T) {
	n := names{{"dev-web", "web"}: true, {"dev", "prod"}: true}
	for text, want := range map[[2]string]bool{
		{"http://dev-web:80", "http://web:80"}:            true,
		{"web-dev", "web-prod"}:                           true,
		{"--file=/etc/dev.yaml", "--file=/etc/prod.yaml"}: true,
		{"http://dev-web:80", "http://web:81"}:            false,
		{"http://dev-web:80", "https://web:80"}:           false,
		{"develop", "prodelop"}:                           false,
		{"web", "api"}:                                    false,
	} {
		if n.alike(text[0], text[1]) != want {
			t.Errorf("%v: %t", text, !want)
		}
	}
	if n.alike("dev", "dev") {
		t.Error("equal values differ in names")
	}
}

// The order of variables does not matter, and an init container's image is like any other's.
func TestLists(t *testing.T) {
	a := strings.NewReplacer("value: red}", "value: red}, {name: X, value: x}", "      volumes:",
		"      initContainers: [{name: init, image: acme/init:1}]\n      volumes:").Replace(web)
	b := strings.NewReplacer("{name: COLOR, value: red}, {name: X, value: x}",
		"{name: X, value: x}, {name: COLOR, value: red}", "init:1", "init:2").Replace(a)
	if diff := cmp.Diff([]string{"expected · image · spec.initContainers[name=init].image"},
		compared(t, a, b)); diff != "" {
		t.Error(diff)
	}
}

// A namespace within a text is a name too.
func TestNamespaceInText(t *testing.T) {
	b := side(t, "prod", project.Production, strings.Replace(web, "--port=80", "--to=db.shop.svc", 1))
	a := side(t, "dev", project.Local, strings.Replace(web, "--port=80", "--to=db.shop-testing.svc", 1))
	a.Environment.Namespace, b.Environment.Namespace = "shop-testing", "shop"
	if diff := cmp.Diff([]string{"expected · names · spec.containers[name=web].command"},
		lines(Compare(Input{A: a, B: b}))); diff != "" {
		t.Error(diff)
	}
}

func TestSecretsStayHidden(t *testing.T) {
	text := func(password, greeting string) string {
		return `{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {password: ` + password + `}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {greeting: "` + greeting + `"}}`
	}
	// Values that b conceals are masked, and so is an older value in a cluster.
	a, b := side(t, "dev", project.Local, text("hunter2-dev", "sealed-one")), side(t, "prod", project.Production,
		text("hunter2-prod", "sealed-two"))
	a.Set.Conceal([]string{"sealed-one"})
	r := Compare(Input{A: a, B: b})
	if len(r.Differences) != 2 {
		t.Fatalf("%v", lines(r))
	}
	for _, d := range r.Differences {
		if d.A != object.Hidden || d.B != object.Hidden || d.Class != Expected || d.What != "settings" {
			t.Errorf("%+v", d)
		}
	}
}

func TestCauses(t *testing.T) {
	a, b := side(t, "dev", project.Local, web), side(t, "prod", project.Production, strings.NewReplacer("web:1",
		"web:2", "red", "blue", "periodSeconds: 5", "periodSeconds: 6").Replace(web))
	b.Because = func(_ object.Ref, field string) []finding.Place {
		switch {
		case strings.HasSuffix(field, ".image"):
			return []finding.Place{{File: "base.yaml", Line: 1}, {File: "k.yaml", Line: 9}}
		case strings.HasSuffix(field, ".periodSeconds"):
			return []finding.Place{{File: "base.yaml", Line: 2}}
		}
		return nil
	}
	// What stands on both sides makes no difference, unless there is nothing else.
	a.Because = func(_ object.Ref, field string) []finding.Place {
		switch {
		case strings.HasSuffix(field, ".image"):
			return []finding.Place{{File: "base.yaml", Line: 1}}
		case strings.HasSuffix(field, ".periodSeconds"):
			return []finding.Place{{File: "base.yaml", Line: 2}}
		}
		return nil
	}
	b.Locate = func(at object.Origin, field string) finding.Place {
		return finding.Place{File: at.File, Line: 15}
	}
	got := map[string]int{}
	for _, c := range Compare(Input{A: a, B: b}).Causes(Expected) {
		got[c.Places[0].String()] = len(c.Differences)
	}
	if diff := cmp.Diff(map[string]int{"k.yaml:9": 1, "base.yaml:2": 1, "prod.yaml:15": 1}, got); diff != "" {
		t.Error(diff)
	}
}

func TestExceptions(t *testing.T) {
	b := strings.NewReplacer("--port=80", "--port=81", "value: red}",
		"value: red}, {name: X, value: x}").Replace(web)
	for name, c := range map[string]struct {
		e        project.Exception
		faults   int
		findings string
	}{
		"field below": {project.Exception{Field: "spec.template.spec.containers[name=web]"}, 0, ""},
		"half a name": {project.Exception{Field: "spec.template.spec.containers[name=web].comm"}, 2,
			"exception-unused"},
		"object": {project.Exception{Object: "Deployment/*"}, 0, ""},
		"prefix left out": {project.Exception{Object: "Deployment/w?b",
			Field: "spec.template.spec.containers[name=web].command"}, 1, ""},
		"other object":     {project.Exception{Object: "Service/web"}, 2, "exception-unused"},
		"as rendered":      {project.Exception{Object: "Deployment/prod-web"}, 0, ""},
		"as rendered in A": {project.Exception{Object: "Deployment/dev-web"}, 0, ""},
		"other": {project.Exception{Object: "Deployment/web", Environments: []string{"staging"}}, 2,
			""},
		"either side": {project.Exception{Object: "Deployment/web", Environments: []string{"dev"}}, 0, ""},
		"last day":    {project.Exception{Object: "Deployment/web", Until: "2027-03-31"}, 0, ""},
		"the day after": {project.Exception{Object: "Deployment/web", Until: "2027-03-30"}, 2,
			"exception-expired"},
		"a rule of check's": {project.Exception{Rule: "image-mutable", Object: "Deployment/web"}, 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.e.Reason, c.e.Line = "because", 7
			r := Compare(Input{
				A:          side(t, "dev", project.Local, strings.Replace(web, "name: web}", "name: dev-web}", 1)),
				B:          side(t, "prod", project.Production, strings.Replace(b, "name: web}", "name: prod-web}", 1)),
				Exceptions: []project.Exception{c.e}, Today: "2027-03-31",
			})
			if r.Faults() != c.faults || r.Count(Accepted) != 2-c.faults {
				t.Errorf("%v", lines(r))
			}
			got := ""
			for _, f := range r.Findings {
				got += f.Rule
				if f.Place.String() != "slipway.yaml:7" {
					t.Errorf("%+v", f)
				}
			}
			if got != c.findings {
				t.Errorf("%+v", r.Findings)
			}
		})
	}
}

// One line that several causes share counts once, whatever its columns are.
func TestCountLines(t *testing.T) {
	at := func(line, column int) finding.Place {
		return finding.Place{File: "k.yaml", Line: line, Column: column}
	}
	causes := []Cause{{Places: []finding.Place{at(1, 1), at(2, 1)}}, {Places: []finding.Place{at(2, 9)}}}
	if got := CountLines(causes); got != 2 {
		t.Errorf("%d lines", got)
	}
}

func TestIsOnBothSides(t *testing.T) {
	for want, d := range map[bool]Difference{
		true: {Class: MustNotShip, A: "debug", B: "debug"}, false: {Class: MustNotShip, B: "debug"},
	} {
		if got := d.IsOnBothSides(); got != want {
			t.Errorf("%+v: %v", d, got)
		}
	}
}
