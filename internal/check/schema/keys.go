package schema

import (
	"fmt"
	"maps"
	"strings"

	"slipway/internal/object"
)

// keysOf are the fields that tell the entries of a list apart, by Go type and field, as the API declares
// them (+listMapKey). Containers, which have names, are in checkPod.
var keysOf = map[string][]string{
	"ObjectMeta.ownerReferences":              {"uid"},
	"PodSpec.ephemeralContainers":             {"name"},
	"PodSpec.hostAliases":                     {"ip"},
	"PodSpec.imagePullSecrets":                {"name"},
	"PodSpec.resourceClaims":                  {"name"},
	"PodSpec.schedulingGates":                 {"name"},
	"PodSpec.topologySpreadConstraints":       {"topologyKey", "whenUnsatisfiable"},
	"PodSpec.volumes":                         {"name"},
	"Container.env":                           {"name"},
	"Container.ports":                         {"containerPort", "protocol"},
	"Container.volumeDevices":                 {"devicePath"},
	"Container.volumeMounts":                  {"mountPath"},
	"EphemeralContainer.env":                  {"name"},
	"EphemeralContainer.volumeDevices":        {"devicePath"},
	"EphemeralContainer.volumeMounts":         {"mountPath"},
	"ResourceRequirements.claims":             {"name"},
	"ServiceAccount.secrets":                  {"name"},
	"ServiceSpec.ports":                       {"port", "protocol"},
	"MutatingWebhook.matchConditions":         {"name"},
	"MutatingWebhookConfiguration.webhooks":   {"name"},
	"ValidatingWebhook.matchConditions":       {"name"},
	"ValidatingWebhookConfiguration.webhooks": {"name"},
	"MutatingAdmissionPolicySpec.variables":   {"name"},
	"ValidatingAdmissionPolicySpec.variables": {"name"},
}

// byDefault are the values of keys that entries leave out.
var byDefault = map[string]any{"protocol": "TCP"}

// distinct checks that no two entries of a list have the same keys.
func (w *walk) distinct(path string, v any, keys []string, otherwise map[string]any) {
	list, _ := v.([]any)
	if len(keys) == 0 || len(list) < 2 {
		return
	}
	steps, first := object.Elements(list), map[string]string{}
	for i, e := range list {
		filled := maps.Clone(otherwise)
		maps.Copy(filled, object.Mapping(e))
		var key []string
		for _, k := range keys {
			if filled[k] != nil {
				key = append(key, fmt.Sprintf("%s %v", k, filled[k]))
			}
		}
		if len(key) < len(keys) {
			continue
		}
		name := strings.Join(key, ", ")
		earlier, twice := first[name]
		if !twice {
			first[name] = path + steps[i]
			continue
		}
		f := duplicateKey.New(w.object, path+steps[i],
			"%s has %s twice, which server-side apply refuses: the deploy fails", path, name)
		f.Other = earlier
		w.add(f, "Remove one of the two entries.")
	}
}
