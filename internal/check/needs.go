package check

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/lazyregexp"
	"slipway/internal/object"
)

const (
	configMissing  = rule.ID("config-missing")
	configKey      = rule.ID("config-key")
	accountMissing = rule.ID("account-missing")
	claimMissing   = rule.ID("claim-missing")
)

// configRef is a pod's reference to a ConfigMap or Secret: name holds the name, below field.
type configRef struct {
	kind  string
	value map[string]any
	name  string
	field string
}

// configRefs are all that a pod needs of ConfigMaps and Secrets.
func configRefs(w workload) []configRef {
	var all []configRef
	add := func(kind string, v any, name, field string) {
		all = append(all, configRef{kind, object.Mapping(v), name, field})
	}
	for _, c := range w.containers() {
		for _, e := range object.Mappings(c.body["env"]) {
			from := object.Mapping(e["valueFrom"])
			at := fmt.Sprintf("%s.env[name=%s].valueFrom.", c.path, text(e["name"]))
			add("ConfigMap", from["configMapKeyRef"], "name", at+"configMapKeyRef")
			add("Secret", from["secretKeyRef"], "name", at+"secretKeyRef")
		}
		for i, e := range object.Mappings(c.body["envFrom"]) {
			at := fmt.Sprintf("%s.envFrom[%d].", c.path, i)
			add("ConfigMap", e["configMapRef"], "name", at+"configMapRef")
			add("Secret", e["secretRef"], "name", at+"secretRef")
		}
	}
	for _, v := range object.Mappings(w.spec["volumes"]) {
		at := volumePath(w, v)
		add("ConfigMap", v["configMap"], "name", at+"configMap")
		add("Secret", v["secret"], "secretName", at+"secret")
		for i, p := range object.Mappings(object.Mapping(v["projected"])["sources"]) {
			at := fmt.Sprintf("%sprojected.sources[%d].", at, i)
			add("ConfigMap", p["configMap"], "name", at+"configMap")
			add("Secret", p["secret"], "name", at+"secret")
		}
	}
	return all
}

func volumePath(w workload, volume map[string]any) string {
	return fmt.Sprintf("%s.volumes[name=%s].", w.path, text(volume["name"]))
}

// checkNeeds reports what a pod does not start without.
func checkNeeds(e *environment, w workload, seen once) []finding.Finding {
	var all []finding.Finding
	for _, ref := range configRefs(w) {
		all = append(all, checkConfig(e, w, ref, seen)...)
	}
	for _, v := range object.Mappings(w.spec["volumes"]) {
		name := text(object.Mapping(v["persistentVolumeClaim"])["claimName"])
		all = append(all, checkClaim(e, w, name, volumePath(w, v)+"persistentVolumeClaim.claimName", seen)...)
	}
	return append(all, checkAccount(e, w, seen)...)
}

// clusterMade are ConfigMaps that clusters put into each namespace.
var clusterMade = []string{
	"kube-root-ca.crt", "istio-ca-root-cert", "openshift-service-ca.crt", "linkerd-identity-trust-roots",
	"istio-ca-crl", "config-trusted-cabundle", "odh-trusted-ca-bundle", "vault-agent-injector-ca",
}

func checkConfig(e *environment, w workload, ref configRef, seen once) []finding.Finding {
	name := text(ref.value[ref.name])
	if name == "" || ref.value["optional"] == true {
		return nil
	}
	namespace := e.namespaceOf(w.Object)
	source, ok := e.get("", ref.kind, namespace, name)
	if !ok {
		_, isMade := e.maker(ref.kind, name)
		_, mayBeMade := e.mayBeMade(ref.kind, name)
		if isMade || mayBeMade || slices.Contains(clusterMade, name) || !seen.first(ref.kind, namespace, name) {
			return nil
		}
		return []finding.Finding{missingConfig(e, w, ref, name)}
	}
	keys := keysOf(source)
	if len(keys) == 0 || e.isPartial(source) { // a controller or a person fills it later
		return nil
	}
	var all []finding.Finding
	need := func(key any, field string) {
		if k := text(key); k != "" && !slices.Contains(keys, k) {
			all = append(all, configKey.New(w.Object, field,
				"%s %s has no key %q: the container does not start (keys: %s)%s",
				ref.kind, name, k, some(keys), didYouMean(k, keys)))
		}
	}
	need(ref.value["key"], ref.field+".key")
	for i, item := range object.Mappings(ref.value["items"]) {
		need(item["key"], fmt.Sprintf("%s.items[%d].key", ref.field, i))
	}
	return all
}

func keysOf(o object.Object) []string {
	if o.Ref().Kind == "Secret" && text(o.At("type")) == "kubernetes.io/service-account-token" {
		return nil
	}
	var keys []string
	for _, part := range []string{"data", "stringData", "binaryData"} {
		for k := range object.Mapping(o.At(part)) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// some joins a few of the names, so that a message stays one line.
func some(names []string) string {
	if len(names) > 5 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:5], ", "), len(names)-5)
	}
	return strings.Join(names, ", ")
}

var nameHash = lazyregexp.New(`^-[0-9a-z]{10}$`)

func missingConfig(e *environment, w workload, ref configRef, name string) finding.Finding {
	names := e.names("", ref.kind, e.namespaceOf(w.Object))
	field := ref.field + "." + ref.name
	for _, other := range names {
		if rest, ok := strings.CutPrefix(other, name); ok && nameHash().MatchString(rest) {
			f := configMissing.New(w.Object, field,
				"%s %s is rendered as %s, and Kustomize does not update this field: the pods do not start",
				ref.kind, name, other)
			f.Fix = "Move the reference to a field that Kustomize updates, or set `disableNameSuffixHash: true`."
			return f
		}
	}
	misspelled := slices.ContainsFunc(names, func(other string) bool { return isTypo(name, other) })
	meant := didYouMean(name, names)
	for _, m := range e.made {
		if m.kind == ref.kind && (isTypo(name, m.name) || meant == "" && didYouMean(name, []string{m.name}) != "") {
			misspelled = misspelled || isTypo(name, m.name)
			meant = fmt.Sprintf(" (did you mean %s, which %s makes?)", m.name, m)
		}
	}
	f := configMissing.New(w.Object, field,
		"%s %s is not in the environment: the pods do not start until it exists%s", ref.kind, name, meant)
	return f.WarnUnless(misspelled)
}

// uncertainNeeds are the ConfigMaps and Secrets that a custom resource may make: only its controller knows.
func uncertainNeeds(e *environment, w workload, seen once) []finding.Unchecked {
	var all []finding.Unchecked
	for _, ref := range configRefs(w) {
		name := text(ref.value[ref.name])
		if name == "" || ref.value["optional"] == true || e.has("", ref.kind, e.namespaceOf(w.Object), name) {
			continue
		}
		_, isMade := e.maker(ref.kind, name)
		by, ok := e.mayBeMade(ref.kind, name)
		if !ok || isMade || !seen.first("uncertain", ref.kind, name) {
			continue
		}
		all = append(all, finding.Unchecked{Place: finding.At(by.Origin),
			What: fmt.Sprintf("whether %s %s exists", ref.kind, name),
			Why:  fmt.Sprintf("%s %s may make it", by.Ref().Kind, by.Ref().Name)})
	}
	return all
}

// isTypo reports whether two names differ by one extra letter or two swapped ones only. Other letters, and
// digits, often tell two objects apart: db-ro and db-rw, cache-1.
func isTypo(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(a) < 6 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	switch {
	case len(a)+1 == len(b):
		return a[i:] == b[i+1:] && !unicode.IsDigit(rune(b[i]))
	case len(a) == len(b) && i+1 < len(a):
		return a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
	}
	return false
}

func checkClaim(e *environment, w workload, name, field string, seen once) []finding.Finding {
	namespace := e.namespaceOf(w.Object)
	_, mayBeMade := e.mayBeMade("PersistentVolumeClaim", name)
	if name == "" || e.has("", "PersistentVolumeClaim", namespace, name) || mayBeMade {
		return nil
	}
	for _, set := range e.list("apps", "StatefulSet", namespace) {
		for _, t := range object.Mappings(set.At("spec", "volumeClaimTemplates")) {
			if strings.HasPrefix(name, text(object.Mapping(t["metadata"])["name"])+"-"+set.Ref().Name+"-") {
				return nil
			}
		}
	}
	if !seen.first("PersistentVolumeClaim", namespace, name) {
		return nil
	}
	return []finding.Finding{claimMissing.New(w.Object, field,
		"PersistentVolumeClaim %s is not in the environment: the pods stay Pending until it exists", name)}
}

func checkAccount(e *environment, w workload, seen once) []finding.Finding {
	field := "serviceAccountName"
	if w.spec[field] == nil {
		field = "serviceAccount"
	}
	name, namespace := text(w.spec[field]), e.namespaceOf(w.Object)
	_, mayBeMade := e.mayBeMade("ServiceAccount", name)
	if name == "" || name == "default" || e.has("", "ServiceAccount", namespace, name) || mayBeMade ||
		!seen.first("ServiceAccount", namespace, name) {
		return nil
	}
	names := e.names("", "ServiceAccount", namespace)
	return []finding.Finding{accountMissing.New(w.Object, w.path+"."+field,
		"ServiceAccount %s is not in the environment: no pod is created until it exists%s",
		name, didYouMean(name, names))}
}
