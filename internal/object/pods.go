package object

import "strings"

// podTemplates are where the kinds that run pods hold the pod: its metadata and spec are below.
var podTemplates = map[string]string{
	"/Pod": "", "apps/Deployment": "spec.template", "apps/StatefulSet": "spec.template",
	"apps/DaemonSet":  "spec.template",
	"apps/ReplicaSet": "spec.template", "batch/Job": "spec.template",
	"batch/CronJob": "spec.jobTemplate.spec.template",
}

// PodSpec is the spec of the pods that an object runs, with its path. It is not for writing; ok is false
// for what runs none.
func (o Object) PodSpec() (spec map[string]any, path string, ok bool) { return o.pod("spec") }

// PodMetadata is the metadata of the pods that an object runs, with its path; nil where they have none.
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

// Container is one of a pod's, with its path in the object.
type Container struct {
	Body map[string]any
	Path string
	List string // of the spec: "initContainers", "containers", "ephemeralContainers"
}

// Containers are all of a pod's; the path is that of its spec.
func Containers(spec map[string]any, path string) []Container {
	var all []Container
	for _, name := range []string{"initContainers", "containers", "ephemeralContainers"} {
		list, _ := spec[name].([]any)
		if len(list) == 0 {
			continue // most mappings that are asked are no pod's
		}
		for i, step := range Elements(list) {
			all = append(all, Container{Mapping(list[i]), Join(path, name) + step, name})
		}
	}
	return all
}

// Mapping is v where it is one, else nil.
func Mapping(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// Mappings are the elements of a list; nil stands for those that are none, so that positions are right.
func Mappings(v any) []map[string]any {
	list, _ := v.([]any)
	var out []map[string]any
	for _, e := range list {
		out = append(out, Mapping(e))
	}
	return out
}
