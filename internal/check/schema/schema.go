// Package schema validates objects against the Kubernetes API: the Go types of built-in kinds, and the
// definitions of custom ones. It contacts no cluster, and reports what it cannot validate.
package schema

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"

	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/object"
	"slipway/internal/project"
)

const (
	unknownField     = rule.ID("unknown-field")
	wrongType        = rule.ID("wrong-type")
	apiRemoved       = rule.ID("api-removed")
	apiDeprecated    = rule.ID("api-deprecated")
	requiredField    = rule.ID("required-field")
	invalidValue     = rule.ID("invalid-value")
	selectorMismatch = rule.ID("selector-mismatch")
	invalidName      = rule.ID("invalid-name")
	duplicateKey     = rule.ID("duplicate-key")
)

// The newest Kubernetes whose types are known, and the oldest that is still supported.
const (
	newest = 37
	oldest = newest - 3
)

// Options say what objects are validated against.
type Options struct {
	// KubeVersion is that of the cluster ("1.34", "v1.34.2"). Without one only API versions that no supported
	// Kubernetes serves are an error.
	KubeVersion string
	// Definitions hold CustomResourceDefinitions; other objects among them are ignored.
	Definitions []object.Object
}

// Validator checks objects, one at a time.
type Validator struct {
	minor       int // of the cluster; 0: unknown
	scheme      *runtime.Scheme
	versions    map[schema.GroupVersion]func(*runtime.Scheme) error
	definitions map[schema.GroupKind]object.Object
	fields      map[reflect.Type]map[string]reflect.Type
}

// New returns a Validator. It fails for an invalid version.
func New(o Options) (*Validator, error) {
	v := &Validator{
		scheme: runtime.NewScheme(), versions: versions(),
		definitions: map[schema.GroupKind]object.Object{}, fields: map[reflect.Type]map[string]reflect.Type{},
	}
	if o.KubeVersion != "" {
		parsed, err := version.ParseGeneric(o.KubeVersion)
		if err != nil || parsed.Major() != 1 {
			return nil, fmt.Errorf("invalid Kubernetes version %q: want a version such as 1.%d", o.KubeVersion, newest)
		}
		v.minor = int(parsed.Minor())
	}
	for _, d := range o.Definitions {
		if d.APIVersion() == "apiextensions.k8s.io/v1" && d.Ref().Kind == "CustomResourceDefinition" {
			group, _ := d.At("spec", "group").(string)
			kind, _ := d.At("spec", "names", "kind").(string)
			v.definitions[schema.GroupKind{Group: group, Kind: kind}] = d
		}
	}
	return v, nil
}

// Check validates an object against its type or its definition.
func (v *Validator) Check(o object.Object) ([]finding.Finding, []finding.Unchecked) {
	gvk := schema.FromAPIVersionAndKind(o.APIVersion(), o.Ref().Kind)
	w := &walk{v, &report{object: o}}
	if gone, ok := removedTypes[o.APIVersion()+" "+gvk.Kind]; ok {
		w.removed(gone.minor, gone.instead)
		return w.findings, nil
	}
	if d, ok := v.definitions[gvk.GroupKind()]; ok {
		w.custom(d, gvk.Version)
		checkNames(w.report, v.minor)
		return w.findings, nil
	}
	typed, why := v.typed(gvk)
	if typed == nil {
		return nil, []finding.Unchecked{{What: fmt.Sprintf("the schema of %s", gvk.Kind), Why: why}}
	}
	if w.lifecycle(typed) {
		return w.findings, nil
	}
	w.value("", o.Body, reflect.TypeOf(typed))
	checkNames(w.report, v.minor)
	checkFields(w.report)
	return w.findings, nil
}

// typed returns an empty object of a kind, or why it is unknown.
func (v *Validator) typed(gvk schema.GroupVersionKind) (runtime.Object, string) {
	gv := gvk.GroupVersion()
	if add := v.versions[gv]; add != nil {
		if err := add(v.scheme); err != nil {
			return nil, err.Error()
		}
		delete(v.versions, gv)
	}
	if typed, err := v.scheme.New(gvk); err == nil {
		return typed, ""
	}
	if v.scheme.IsVersionRegistered(gv) {
		var kinds []string
		for k := range v.scheme.KnownTypes(gv) {
			kinds = append(kinds, k)
		}
		slices.Sort(kinds)
		return nil, fmt.Sprintf("%s has no kind %s%s", gv, gvk.Kind, didYouMean(gvk.Kind, kinds))
	}
	return nil, fmt.Sprintf("the project has no CustomResourceDefinition of %s: pass it with --schema",
		gvk.Group)
}

func didYouMean(word string, known []string) string {
	if s := project.Suggest(word, known); s != "" {
		return "; did you mean " + s + "?"
	}
	return ""
}

// removedTypes have no Go type any more.
var removedTypes = map[string]struct {
	minor   int
	instead string
}{
	"apiregistration.k8s.io/v1beta1 APIService":   {22, "apiregistration.k8s.io/v1"},
	"autoscaling/v2beta1 HorizontalPodAutoscaler": {25, "autoscaling/v2"},
	"autoscaling/v2beta2 HorizontalPodAutoscaler": {26, "autoscaling/v2"},
	"batch/v2alpha1 CronJob":                      {21, "batch/v1"},
	"extensions/v1beta1 PodSecurityPolicy":        {16, ""},
	"policy/v1beta1 PodSecurityPolicy":            {25, ""},
	"settings.k8s.io/v1alpha1 PodPreset":          {20, ""},
}

// lifecycle reports whether the cluster no longer serves the type, and warns of a deprecated one.
func (w *walk) lifecycle(typed runtime.Object) bool {
	instead := ""
	if t, ok := typed.(interface {
		APILifecycleReplacement() schema.GroupVersionKind
	}); ok {
		if gvk := t.APILifecycleReplacement(); gvk.Kind == w.object.Ref().Kind {
			instead = gvk.GroupVersion().String()
		} else if gvk.Kind != "" {
			instead = gvk.GroupVersion().String() + " " + gvk.Kind
		}
	}
	if t, ok := typed.(interface{ APILifecycleRemoved() (int, int) }); ok {
		if _, minor := t.APILifecycleRemoved(); w.removed(minor, instead) {
			return true
		}
	}
	if t, ok := typed.(interface{ APILifecycleDeprecated() (int, int) }); ok {
		if _, minor := t.APILifecycleDeprecated(); minor <= cmp.Or(w.minor, newest) {
			w.add(apiDeprecated.New(w.object, "apiVersion", "%s %s is deprecated since Kubernetes 1.%d",
				w.object.APIVersion(), w.object.Ref().Kind, minor), replacement(instead))
		}
	}
	return false
}

func (w *walk) removed(minor int, instead string) bool {
	if minor > cmp.Or(w.minor, oldest) {
		return false
	}
	w.add(apiRemoved.New(w.object, "apiVersion",
		"Kubernetes 1.%[3]d removed %[1]s %[2]s: the API server refuses the object",
		w.object.APIVersion(), w.object.Ref().Kind, minor), replacement(instead))
	return true
}

func replacement(instead string) string {
	version, kind, _ := strings.Cut(instead, " ")
	switch {
	case instead == "":
		return ""
	case kind != "":
		return "Write `apiVersion: " + version + "` and `kind: " + kind + "`."
	}
	return "Write `apiVersion: " + version + "`."
}
