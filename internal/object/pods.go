package object

import "strings"

// podTemplates are the paths of the pod template, by kind.
var podTemplates = map[string]string{
	"/Pod": "", "apps/Deployment": "spec.template", "apps/StatefulSet": "spec.template",
	"apps/DaemonSet":  "spec.template",
	"apps/ReplicaSet": "spec.template", "batch/Job": "spec.template",
	"batch/CronJob": "spec.jobTemplate.spec.template",
}

// PodSpec returns the spec of the pods that an object runs, with its path. It must not be changed. It is
// false for objects that run no pods.
func (o Object) PodSpec() (spec map[string]any, path string, ok bool) { return o.pod("spec") }

// PodMetadata returns the metadata of the pods that an object runs, with its path; nil: not set.
func (o Object) PodMetadata() (metadata map[string]any, path string, ok bool) {
	return o.pod("metadata")
}

func (o Object) pod(part string) (map[string]any, string, bool) {
	r := o.Ref()
	template, ok := podTemplates[r.Group+"/"+r.Kind]
	if !ok {
		return nil, "", false
	}
	path := Join(template, part)
	m, _ := o.At(strings.Split(path, ".")...).(map[string]any)
	return m, path, part == "metadata" || m != nil
}

// Container is a container of a pod, with its path in the object.
type Container struct {
	Body map[string]any
	Path string
	List string // of the spec: "initContainers", "containers", "ephemeralContainers"
}

// Containers returns all containers of a pod, given its spec and the spec's path.
func Containers(spec map[string]any, path string) []Container {
	var all []Container
	for _, name := range []string{"initContainers", "containers", "ephemeralContainers"} {
		list, _ := spec[name].([]any)
		if len(list) == 0 {
			continue // most specs are not of pods
		}
		for i, step := range Elements(list) {
			all = append(all, Container{Mapping(list[i]), Join(path, name) + step, name})
		}
	}
	return all
}

// Mapping returns v if it is a mapping, else nil.
func Mapping(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// Mappings returns the elements of a list, with nil for those that are not mappings: indices stay the same.
func Mappings(v any) []map[string]any {
	list, _ := v.([]any)
	var out []map[string]any
	for _, e := range list {
		out = append(out, Mapping(e))
	}
	return out
}
