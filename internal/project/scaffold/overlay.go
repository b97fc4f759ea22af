package scaffold

import (
	"bytes"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"slipway/internal/object"
	"slipway/internal/project"
)

// workload is a workload that lacks something that production needs.
type workload struct {
	APIVersion, Kind, Name, Namespace string
	Containers                        []string // those without resources
}

// manifests returns the manifests in dir and its subdirectories, and the directories that they are in.
func manifests(dir string) (names, folders []string, err error) {
	err = eachYAML(dir, false, func(name string, text []byte) error {
		folder := path.Dir(name)
		if text == nil {
			folder = name
		}
		if strings.Contains(folder, "/") || text != nil && !project.IsManifest(text) {
			return nil
		}
		names = append(names, name)
		if !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
		return nil
	})
	return names, folders, err
}

// overlay makes a base of the manifests in a directory, and overlays beside it: Kustomize does not permit an
// overlay below its base.
func overlay(p project.Project, folder string) (project.Project, []File, error) {
	var listed []string
	var objects []object.Object
	err := eachYAML(filepath.Join(p.Dir, folder), false, func(name string, text []byte) error {
		if text != nil && !project.IsManifest(text) {
			return nil
		}
		read, err := object.Read(bytes.NewReader(text), path.Join(folder, name))
		listed = append(listed, name)
		objects = append(objects, read...)
		return err
	})
	if err != nil {
		return p, nil, err
	}
	above := "k8s/"
	if first, _, _ := strings.Cut(folder, "/"); first == "k8s" {
		above = ""
	}
	up, err := filepath.Rel(above+"overlays/dev", folder)
	if err != nil {
		return p, nil, err
	}
	own, err := filepath.Glob(filepath.Join(p.Dir, folder, "[kK]ustomization*"))
	if err != nil {
		return p, nil, err
	}
	if len(own) > 0 {
		objects = nil // the kustomization may include only some
	}
	data := production(objects)
	data["Base"], data["Up"] = folder, filepath.ToSlash(up)
	made, err := expand("overlay", data)
	if err != nil {
		return p, nil, err
	}
	for i := range made {
		made[i].Path = above + made[i].Path
	}
	if len(own) == 0 {
		text, err := fill("files/overlay.yaml", listed)
		if err != nil {
			return p, nil, err
		}
		made = append([]File{{path.Join(folder, "kustomization.yaml"), text}}, made...)
	}
	p.Environments, p.Notes = nil,
		append(p.Notes, project.Note{Text: "the manifests in " + folder + " are the base of dev, staging and prod"})
	for _, env := range environments {
		env.Paths = []string{above + "overlays/" + env.Name}
		p.Environments = append(p.Environments, env)
	}
	return finish(p, made)
}

// production returns the workloads that lack replicas, resources or probes.
func production(objects []object.Object) map[string]any {
	var scaled, unlimited, unprobed []workload
	autoscaled := map[any]bool{}
	for _, o := range objects {
		if o.Ref().Kind == "HorizontalPodAutoscaler" {
			autoscaled[o.At("spec", "scaleTargetRef", "name")] = true
		}
	}
	for _, o := range objects {
		ref := o.Ref()
		w := workload{APIVersion: o.APIVersion(), Kind: ref.Kind, Name: ref.Name, Namespace: ref.Namespace}
		if ref.Group != "apps" || !slices.Contains([]string{"Deployment", "StatefulSet", "DaemonSet"}, w.Kind) {
			continue
		}
		if w.Kind == "Deployment" && !autoscaled[w.Name] && canScale(o) {
			scaled = append(scaled, w)
		}
		containers := object.Mappings(o.At("spec", "template", "spec", "containers"))
		probed := len(containers) == 0
		for _, body := range containers {
			c := object.Object{Body: body}
			if name, _ := c.At("name").(string); c.At("resources", "limits") == nil &&
				c.At("resources", "requests") == nil && name != "" {
				w.Containers = append(w.Containers, name)
			}
			probed = probed || c.At("readinessProbe") != nil
		}
		if len(w.Containers) > 0 {
			unlimited = append(unlimited, w)
		}
		if !probed {
			unprobed = append(unprobed, w)
		}
	}
	return map[string]any{"Scaled": scaled, "Unlimited": unlimited, "Unprobed": unprobed}
}

// canScale reports whether a workload runs one pod, and nothing in it prevents a second one.
func canScale(o object.Object) bool {
	if n, ok := o.At("spec", "replicas").(int64); ok && n != 1 || o.At("spec", "strategy",
		"type") == "Recreate" {
		return false
	}
	volumes := object.Mappings(o.At("spec", "template", "spec", "volumes"))
	return !slices.ContainsFunc(volumes, func(v map[string]any) bool {
		return v["persistentVolumeClaim"] != nil
	})
}
