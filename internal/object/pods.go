package object

import "strings"

// podTemplates are where the kinds that run pods hold the pod: its metadata and spec are below.
var podTemplates = map[string]string{
	"/Pod": "", "apps/Deployment": "spec.template", "apps/StatefulSet": "spec.template", "apps/DaemonSet": "spec.template",
	"apps/ReplicaSet": "spec.template", "batch/Job": "spec.template", "batch/CronJob": "spec.jobTemplate.spec.template",
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
