package check

import (
	"slices"
	"strings"

	"slipway/internal/lazyregexp"
	"slipway/internal/object"
)

// made is an object that a controller, a Job or a workflow makes, and that the set therefore lacks.
type made struct {
	kind, name string
	by         object.Object // the zero value: a command in a workflow, at place
	place      string
}

func (m made) String() string {
	if m.place != "" {
		return m.place
	}
	who := m.by.Ref().Kind + " " + m.by.Ref().Name
	if at := m.by.Origin.String(); at != "" {
		who += " (" + at + ")"
	}
	return who
}

// makers are the custom resources of which it is known exactly which Secrets and ConfigMaps their controllers
// make: "Secret NAME-app" and "Secret {spec.secretName}", where NAME is the resource's. A second choice after
// "|" counts where the first is empty; "[]" goes through a list.
var makers = map[string][]string{
	"cert-manager.io/Certificate":        {"Secret {spec.secretName}"},
	"external-secrets.io/ExternalSecret": {"Secret {spec.target.name}|NAME"},
	"external-secrets.io/ClusterExternalSecret": {
		"Secret {spec.externalSecretSpec.target.name}|{spec.externalSecretName}|NAME",
	},
	"external-secrets.io/PushSecret":                 {},
	"external-secrets.io/SecretStore":                {},
	"external-secrets.io/ClusterSecretStore":         {},
	"kubernetes-client.io/ExternalSecret":            {"Secret NAME"},
	"bitnami.com/SealedSecret":                       {"Secret {spec.template.metadata.name}|NAME"},
	"secrets.hashicorp.com/VaultStaticSecret":        {"Secret {spec.destination.name}"},
	"secrets.hashicorp.com/VaultDynamicSecret":       {"Secret {spec.destination.name}"},
	"secrets.hashicorp.com/VaultPKISecret":           {"Secret {spec.destination.name}"},
	"secrets.hashicorp.com/HCPVaultSecretsApp":       {"Secret {spec.destination.name}"},
	"ricoberger.de/VaultSecret":                      {"Secret NAME"},
	"k8s.bitwarden.com/BitwardenSecret":              {"Secret {spec.secretName}"},
	"onepassword.com/OnePasswordItem":                {"Secret NAME"},
	"secrets.doppler.com/DopplerSecret":              {"Secret {spec.managedSecret.name}"},
	"secrets.craftypath.github.io/SopsSecret":        {"Secret NAME"},
	"isindir.github.com/SopsSecret":                  {"Secret {spec.secretTemplates[].name}"},
	"secrets-store.csi.x-k8s.io/SecretProviderClass": {"Secret {spec.secretObjects[].secretName}"},
	"spv.no/AzureKeyVaultSecret": {
		"Secret {spec.output.secret.name}",
		"ConfigMap {spec.output.configMap.name}",
	},
	"secrets.infisical.com/InfisicalSecret": {
		"Secret {spec.managedSecretReference.secretName}",
		"Secret {spec.managedKubeSecretReferences[].secretName}",
		"ConfigMap {spec.managedKubeConfigMapReferences[].configMapName}",
	},
	"trust.cert-manager.io/Bundle": {"ConfigMap NAME", "Secret NAME"},
	"kafka.strimzi.io/KafkaUser":   {"Secret NAME"},
	"kafka.strimzi.io/KafkaTopic":  {},
	"rabbitmq.com/User":            {"Secret NAME-user-credentials"},
	"postgresql.cnpg.io/Cluster": {
		"Secret NAME-app",
		"Secret NAME-superuser",
		"Secret NAME-ca",
		"Secret NAME-server",
		"Secret NAME-replication",
	},
	"rabbitmq.com/RabbitmqCluster": {
		"Secret NAME-default-user",
		"Secret NAME-erlang-cookie",
		"ConfigMap NAME-server-conf",
		"ConfigMap NAME-plugins-conf",
	},
	"kafka.strimzi.io/Kafka": {
		"Secret NAME-cluster-ca-cert",
		"Secret NAME-clients-ca-cert",
		"Secret NAME-cluster-ca",
		"Secret NAME-clients-ca",
		"Secret NAME-kafka-brokers",
	},
}

func isExact(o object.Object) bool {
	_, known := makers[o.Ref().Group+"/"+o.Ref().Kind]
	return known
}

// choice matches a path in a pattern of makers.
var choice = lazyregexp.New(`\{([^}]*)\}`)

// makes returns what the controller of a custom resource makes; ok is false where that is not known exactly.
func makes(o object.Object) (all []made, ok bool) {
	ref := o.Ref()
	patterns, ok := makers[ref.Group+"/"+ref.Kind]
	for _, p := range patterns {
		kind, name, _ := strings.Cut(p, " ")
		for _, option := range strings.Split(name, "|") {
			names := []string{strings.ReplaceAll(option, "NAME", ref.Name)}
			if m := choice().FindStringSubmatch(option); m != nil {
				names = valuesAt(o.Body, strings.Split(m[1], "."))
			}
			for _, n := range names {
				all = append(all, made{kind: kind, name: n, by: o})
			}
			if len(names) > 0 {
				break
			}
		}
	}
	return all, ok
}

// valuesAt are the strings at a path through mappings and, after "[]", lists.
func valuesAt(v any, path []string) []string {
	if len(path) == 0 {
		if s := text(v); s != "" {
			return []string{s}
		}
		return nil
	}
	key, isList := strings.CutSuffix(path[0], "[]")
	below := object.Mapping(v)[key]
	if !isList {
		return valuesAt(below, path[1:])
	}
	var all []string
	for _, e := range object.Mappings(below) {
		all = append(all, valuesAt(e, path[1:])...)
	}
	return all
}

// connections are the fields in which custom resources of any kind name the Secret that they write.
var connections = [][]string{
	{"spec", "writeConnectionSecretToRef", "name"}, {"spec", "publishConnectionDetailsTo", "name"},
	{"spec", "connInfoSecretTarget", "name"}, {"spec", "connectionSecret", "name"},
}

// byAnnotation are annotations with the name of a Secret that a controller makes.
var byAnnotation = []string{
	"service.beta.openshift.io/serving-cert-secret-name", "service.alpha.openshift.io/serving-cert-secret-name",
}

// madeIn collects what objects, and the commands in them, make.
func madeIn(objects []object.Object) []made {
	var all []made
	for _, o := range objects {
		known, _ := makes(o)
		all = append(all, known...)
		for _, path := range connections {
			for _, name := range valuesAt(o.Body, path) {
				all = append(all, made{kind: "Secret", name: name, by: o})
			}
		}
		for _, key := range byAnnotation {
			if name := text(o.Annotations()[key]); name != "" {
				all = append(all, made{kind: "Secret", name: name, by: o})
			}
		}
		all = append(all, madeByIngress(o)...)
		if w, ok := workloadOf(o); ok {
			all = append(all, madeByCommands(w)...)
		}
		if o.Ref().Kind == "ConfigMap" { // a script that a Job mounts
			for _, v := range object.Mapping(o.At("data")) {
				all = append(all, created(text(v), o)...)
			}
		}
	}
	return all
}

// madeByIngress are the certificates that cert-manager requests for an Ingress or a Gateway.
func madeByIngress(o object.Object) []made {
	requests := false
	for k := range o.Annotations() {
		requests = requests || strings.HasPrefix(k, "cert-manager.io/") || strings.Contains(k, "tls-acme")
	}
	if !requests {
		return nil
	}
	var all []made
	certificates := [][]string{
		{"spec", "tls[]", "secretName"}, {"spec", "listeners[]", "tls", "certificateRefs[]", "name"},
	}
	for _, path := range certificates {
		for _, name := range valuesAt(o.Body, path) {
			all = append(all, made{kind: "Secret", name: name, by: o})
		}
	}
	return all
}

func madeByCommands(w workload) []made {
	var all []made
	for _, c := range w.containers() {
		var words []string
		for _, key := range []string{"command", "args"} {
			list, _ := c.body[key].([]any)
			for _, word := range list {
				words = append(words, text(word))
			}
		}
		all = append(all, created(strings.Join(words, " "), w.Object)...)
	}
	return all
}

var create = lazyregexp.New(
	`\bkubectl\b[^\n;|&]*?\bcreate\s+(secret\s+(?:generic|tls|docker-registry)|configmap|cm)\s+` +
		`((?:--?[\w-]+[= ]\S+\s+)*)([\w.-]+)`)

// created are the Secrets and ConfigMaps that a script creates.
func created(script string, by object.Object) []made {
	var all []made
	for _, m := range create().FindAllStringSubmatch(script, -1) {
		kind := "ConfigMap"
		if strings.HasPrefix(m[1], "secret") {
			kind = "Secret"
		}
		all = append(all, made{kind: kind, name: m[3], by: by})
	}
	return all
}

// maker is what makes an object that the environment lacks.
func (e *environment) maker(kind, name string) (made, bool) {
	i := slices.IndexFunc(e.made, func(m made) bool { return m.kind == kind && m.name == name })
	if i >= 0 {
		return e.made[i], true
	}
	if kind == "Secret" { // of Zalando's operator: USER.CLUSTER.credentials.postgresql.acid.zalan.do
		for _, o := range e.objects {
			if o.Ref().Group == "acid.zalan.do" && strings.Contains(name, "."+o.Ref().Name+".credentials.") {
				return made{kind: kind, name: name, by: o}, true
			}
		}
	}
	return made{}, false
}
