package check

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"slipway/internal/lazyregexp"
	"slipway/internal/object"
)

// needs looks at what a pod does not start without.
func (s *stock) needs(w workload) {
	for _, c := range w.containers() {
		for _, e := range object.Mappings(c.body["env"]) {
			from := object.Mapping(e["valueFrom"])
			at := fmt.Sprintf("%s.env[name=%s].valueFrom.", c.path, text(e["name"]))
			s.config(w, "ConfigMap", from["configMapKeyRef"], "name", at+"configMapKeyRef")
			s.config(w, "Secret", from["secretKeyRef"], "name", at+"secretKeyRef")
		}
		for i, e := range object.Mappings(c.body["envFrom"]) {
			at := fmt.Sprintf("%s.envFrom[%d].", c.path, i)
			s.config(w, "ConfigMap", e["configMapRef"], "name", at+"configMapRef")
			s.config(w, "Secret", e["secretRef"], "name", at+"secretRef")
		}
	}
	for _, v := range object.Mappings(w.spec["volumes"]) {
		at := fmt.Sprintf("%s.volumes[name=%s].", w.path, text(v["name"]))
		s.config(w, "ConfigMap", v["configMap"], "name", at+"configMap")
		s.config(w, "Secret", v["secret"], "secretName", at+"secret")
		for i, p := range object.Mappings(object.Mapping(v["projected"])["sources"]) {
			at := fmt.Sprintf("%sprojected.sources[%d].", at, i)
			s.config(w, "ConfigMap", p["configMap"], "name", at+"configMap")
			s.config(w, "Secret", p["secret"], "name", at+"secret")
		}
		s.claim(w, text(object.Mapping(v["persistentVolumeClaim"])["claimName"]),
			at+"persistentVolumeClaim.claimName")
	}
	s.account(w)
}

// clusterMade are ConfigMaps that clusters put into each namespace.
var clusterMade = []string{"kube-root-ca.crt", "istio-ca-root-cert", "openshift-service-ca.crt",
	"linkerd-identity-trust-roots"}

// config looks at one reference; by is the field that holds the name.
func (s *stock) config(w workload, kind string, reference any, by, field string) {
	from := object.Mapping(reference)
	name := text(from[by])
	if name == "" || from["optional"] == true {
		return
	}
	namespace := s.namespace(w.Object)
	source, there := s.get("", kind, namespace, name)
	if !there {
		if !s.made(name) && !slices.Contains(clusterMade, name) && s.once(kind, namespace, name) {
			s.unsourced(w, kind, name, field+"."+by)
		}
		return
	}
	keys := keysOf(source)
	if len(keys) == 0 { // somebody fills it in later
		return
	}
	missing := func(key any, field string) {
		if k := text(key); k != "" && !slices.Contains(keys, k) {
			s.tell(configKey, true, w.Object, field, "", "it needs the key %q of %s %s, which has %s%s", k, kind, name,
				some(keys), meant(k, keys))
		}
	}
	missing(from["key"], field+".key")
	for i, item := range object.Mappings(from["items"]) {
		missing(item["key"], fmt.Sprintf("%s.items[%d].key", field, i))
	}
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

// some of them, so that a message stays one line.
func some(names []string) string {
	if len(names) > 5 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:5], ", "), len(names)-5)
	}
	return strings.Join(names, ", ")
}

var hashed = lazyregexp.New(`^-[0-9a-z]{10}$`)

func (s *stock) unsourced(w workload, kind, name, field string) {
	var names []string
	sure := false
	for _, o := range s.all("", kind, s.namespace(w.Object)) {
		other := o.Ref().Name
		if rest, ok := strings.CutPrefix(other, name); ok && hashed().MatchString(rest) {
			s.tell(configMissing, true, w.Object, field, "name it where Kustomize looks, or set disableNameSuffixHash",
				"it needs %s %s, which is rendered as %s: nothing changed the name here", kind, name, other)
			return
		}
		names = append(names, other)
		sure = sure || slip(name, other)
	}
	s.tell(configMissing, sure, w.Object, field, "",
		"it needs %s %s, which the environment does not bring%s: the pods wait until it is there", kind, name,
		meant(name, names))
}

// slip says that two names are the same but for a letter too many or two that changed places: nobody
// calls two things so. Other letters, and digits, may well tell things apart: db-ro and db-rw, cache-1.
func slip(a, b string) bool {
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

func (s *stock) claim(w workload, name, field string) {
	namespace := s.namespace(w.Object)
	if name == "" || s.has("PersistentVolumeClaim", namespace, name) || s.made(name) {
		return
	}
	for _, set := range s.all("apps", "StatefulSet", namespace) {
		for _, t := range object.Mappings(set.At("spec", "volumeClaimTemplates")) {
			if strings.HasPrefix(name, text(object.Mapping(t["metadata"])["name"])+"-"+set.Ref().Name+"-") {
				return
			}
		}
	}
	if s.once("PersistentVolumeClaim", namespace, name) {
		s.tell(claimMissing, false, w.Object, field, "",
			"it mounts the claim %s, which the environment does not bring: the pods stay Pending until it is there",
			name)
	}
}

func (s *stock) account(w workload) {
	field := "serviceAccountName"
	if w.spec[field] == nil {
		field = "serviceAccount"
	}
	name, namespace := text(w.spec[field]), s.namespace(w.Object)
	if name == "" || name == "default" || s.has("ServiceAccount", namespace, name) || s.made(name) ||
		!s.once("ServiceAccount", namespace, name) {
		return
	}
	var names []string
	for _, o := range s.all("", "ServiceAccount", namespace) {
		names = append(names, o.Ref().Name)
	}
	s.tell(accountMissing, false, w.Object, w.path+"."+field, "",
		"it runs as ServiceAccount %s, which the environment does not bring%s: no pod is made until it is there",
		name, meant(name, names))
}
