package object

// PodNeeds returns the ConfigMaps, Secrets, ServiceAccounts and claims that the pods of a spec name.
func PodNeeds(spec map[string]any, namespace string) []Ref {
	var refs []Ref
	add := func(kind string, from any, field string) {
		if name, _ := Mapping(from)[field].(string); name != "" {
			refs = append(refs, Ref{Kind: kind, Namespace: namespace, Name: name})
		}
	}
	for _, c := range Containers(spec, "") {
		for _, e := range Mappings(c.Body["env"]) {
			from := Mapping(e["valueFrom"])
			add("ConfigMap", from["configMapKeyRef"], "name")
			add("Secret", from["secretKeyRef"], "name")
		}
		for _, e := range Mappings(c.Body["envFrom"]) {
			add("ConfigMap", e["configMapRef"], "name")
			add("Secret", e["secretRef"], "name")
		}
	}
	for _, v := range Mappings(spec["volumes"]) {
		add("ConfigMap", v["configMap"], "name")
		add("Secret", v["secret"], "secretName")
		add("PersistentVolumeClaim", v["persistentVolumeClaim"], "claimName")
		for _, p := range Mappings(Mapping(v["projected"])["sources"]) {
			add("ConfigMap", p["configMap"], "name")
			add("Secret", p["secret"], "name")
		}
	}
	for _, s := range Mappings(spec["imagePullSecrets"]) {
		add("Secret", s, "name")
	}
	add("ServiceAccount", spec, "serviceAccountName")
	return refs
}
