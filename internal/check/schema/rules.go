package schema

import "slipway/internal/check/finding"

var (
	unknownField = finding.Rule{ID: "unknown-field", Group: "schema", Severity: finding.Error,
		Title: "A field that the kind does not have",
		Why: "The API server refuses an object with a field that its kind does not have, or drops the field " +
			"without a word. " +
			"Either way what it was to do does not happen: a probe with a spelling mistake is no probe.",
		Fix: "Write the field as the API has it, at the level where it belongs:\n\n```yaml\nlivenessProbe:   # " +
			"not livenesProbe\n  httpGet: {path: /healthz, port: 8080}\n```"}
	wrongType = finding.Rule{ID: "wrong-type", Group: "schema", Severity: finding.Error,
		Title: "A value of the wrong type",
		Why: "The API server refuses the whole object. Most often it is about quotes: YAML reads `8080` and " +
			"`true` as a number and a truth value, " +
			"and environment variables, labels and annotations take texts only.",
		Fix: "Put texts in quotes, and numbers not:\n\n```yaml\nenv:\n- {name: PORT, value: \"8080\"}\n```"}
	apiRemoved = finding.Rule{ID: "api-removed", Group: "schema", Severity: finding.Error,
		Title: "An API version that the cluster does not have",
		Why: "The cluster of this version no longer has the kind in this API version, and the deployment fails " +
			"at this object. Where the cluster's version is not known, only what every supported version refuses is " +
			"reported.",
		Fix: "Write the version that replaces it, and compare the fields: they may have moved. The cluster's " +
			"version is `kubeVersion` in slipway.yaml, or `--kube-version`."}
	apiDeprecated = finding.Rule{ID: "api-deprecated", Group: "schema", Severity: finding.Warning,
		Title: "An API version that is going away",
		Why:   "The cluster still takes it and warns. After an upgrade it is gone, and then the deployment fails.",
		Fix:   "Write the version that replaces it before the cluster is upgraded."}
	requiredField = finding.Rule{ID: "required-field", Group: "schema", Severity: finding.Error,
		Title: "A field that must be there is missing",
		Why: "The API server refuses an object without it. A field may be missing because a patch removed it, " +
			"or because a patch made a second entry in a list where the name did not match.",
		Fix: "Add the field. In a patch, write the `name` of the container exactly as the base has it."}
	invalidValue = finding.Rule{ID: "invalid-value", Group: "schema", Severity: finding.Error,
		Title: "A value that the API server refuses",
		Why: "The type is right, but the value is outside of what the API takes: a port above 65535, a port's " +
			"name of more than 15 letters, a Job whose pods restart always, a request above its limit, a mount of a " +
			"volume that is not there, a value that is not listed.",
		Fix: "Write a value that the message names."}
	selectorMismatch = finding.Rule{ID: "selector-mismatch", Group: "schema", Severity: finding.Error,
		Title: "A workload that does not select its own pods",
		Why: "The API server refuses a workload whose selector does not match the labels of its own pod " +
			"template.",
		Fix: "```yaml\nspec:\n  selector:\n    matchLabels: {app: api}\n  template:\n    metadata:\n      " +
			"labels: {app: api}\n```"}
	invalidName = finding.Rule{ID: "invalid-name", Group: "schema", Severity: finding.Error,
		Title: "A name or label that the API server refuses",
		Why: "Names of objects are small letters, digits, `-` and mostly `.`; values of labels have at most 63 " +
			"letters. A name that is put together from a prefix, a branch or a tag breaks this easily.",
		Fix: "Write a name of small letters, digits and `-` that begins and ends with a letter or digit."}
)

// Rules are those that Check looks at.
var Rules = []finding.Rule{unknownField, wrongType, apiRemoved, apiDeprecated, requiredField, invalidValue,
	selectorMismatch, invalidName}
