package object

import (
	"path"
	"slices"
	"strings"
)

// shortNames are those of the API's own kinds, as kubectl takes them.
var shortNames = map[string]string{
	"cj": "CronJob", "cm": "ConfigMap", "crd": "CustomResourceDefinition", "crds": "CustomResourceDefinition",
	"cs": "ComponentStatus", "csr": "CertificateSigningRequest", "deploy": "Deployment", "ds": "DaemonSet",
	"ep": "Endpoints", "ev": "Event", "hpa": "HorizontalPodAutoscaler", "ing": "Ingress", "limits": "LimitRange",
	"netpol": "NetworkPolicy", "no": "Node", "ns": "Namespace", "pc": "PriorityClass",
	"pdb": "PodDisruptionBudget", "po": "Pod", "pv": "PersistentVolume", "pvc": "PersistentVolumeClaim",
	"quota": "ResourceQuota", "rc": "ReplicationController", "rs": "ReplicaSet", "sa": "ServiceAccount",
	"sc": "StorageClass", "sts": "StatefulSet", "svc": "Service",
}

// Kinds knows the words that stand for a kind. The zero value knows those of the API's own kinds.
type Kinds struct {
	defined map[Ref][]string // of a group and kind, by CustomResourceDefinitions
}

// KindsOf returns the words for the API's own kinds and for those that the objects define.
func KindsOf(objects []Object) Kinds {
	k := Kinds{map[Ref][]string{}}
	for _, o := range objects {
		if o.Ref().Kind != "CustomResourceDefinition" {
			continue
		}
		names, _ := o.At("spec", "names").(map[string]any)
		short, _ := names["shortNames"].([]any)
		kind, _ := names["kind"].(string)
		ref := Ref{Group: o.str("spec", "group"), Kind: kind}
		for _, n := range append([]any{names["plural"], names["singular"]}, short...) {
			if word, ok := n.(string); ok {
				k.defined[ref] = append(k.defined[ref], strings.ToLower(word))
			}
		}
	}
	return k
}

// Is reports whether a word stands for the kind of an object, in any case: Deployment, deployments, deploy,
// deployments.apps or deployments.v1.apps.
func (k Kinds) Is(word string, r Ref) bool {
	word, group, qualified := strings.Cut(strings.ToLower(word), ".")
	if r.Group == "" && strings.TrimSuffix(group, ".") == "v1" { // kubectl's configmaps.v1.
		group = ""
	}
	if qualified && group != r.Group && !strings.HasSuffix(group, "."+r.Group) {
		return false
	}
	kind := strings.ToLower(r.Kind)
	return word == kind || word == plural(kind) || shortNames[word] == r.Kind ||
		slices.Contains(k.defined[Ref{Group: r.Group, Kind: r.Kind}], word)
}

// plural is the usual plural of a kind. CustomResourceDefinitions state any other.
func plural(kind string) string {
	switch {
	case strings.HasSuffix(kind, "endpoints"):
		return kind
	case strings.HasSuffix(kind, "s"), strings.HasSuffix(kind, "x"), strings.HasSuffix(kind, "ch"):
		return kind + "es"
	case strings.HasSuffix(kind, "y") && !strings.HasSuffix(kind, "ey") && !strings.HasSuffix(kind, "ay"):
		return kind[:len(kind)-1] + "ies"
	}
	return kind + "s"
}

// Named returns the objects that a person means by KIND/NAME. KIND is any word for the kind. A namespace
// stands before the name or before the kind; objects without one are in the given namespace. With a space in
// place of the first slash, it is a Ref's String. Near are objects whose name has more parts, such as what an
// overlay adds to it.
func Named(objects []Object, asked, namespace string) (exact, near []Object) {
	kinds := KindsOf(objects)
	for _, o := range objects {
		ref := o.Ref()
		switch name, ok := nameIn(asked, kinds, ref, namespace); {
		case !ok || name == "":
		case name == ref.Name:
			exact = append(exact, o)
		case strings.Contains("-"+ref.Name+"-", "-"+name+"-"):
			near = append(near, o)
		}
	}
	return exact, near
}

// nameIn returns the name that a person asks for, where the object's kind and namespace are the asked ones.
func nameIn(asked string, kinds Kinds, r Ref, namespace string) (name string, ok bool) {
	parts := strings.FieldsFunc(asked, func(c rune) bool { return c == '/' || c == ' ' })
	if r.Namespace != "" {
		namespace = r.Namespace
	}
	switch {
	case len(parts) == 2 && kinds.Is(parts[0], r):
		return parts[1], true
	case len(parts) == 3 && kinds.Is(parts[0], r) && parts[1] == namespace,
		len(parts) == 3 && kinds.Is(parts[1], r) && parts[0] == namespace:
		return parts[2], true
	}
	return "", false
}

// Fits reports whether an object that is called name fits a pattern KIND/NAME, with * and ? as wildcards.
// KIND may be any word for the kind.
func Fits(pattern string, r Ref, name string) bool {
	kind, names, _ := strings.Cut(pattern, "/")
	ofKind, _ := path.Match(kind, r.Kind)
	ofName, _ := path.Match(names, name)
	return ofName && (ofKind || Kinds{}.Is(kind, r))
}
