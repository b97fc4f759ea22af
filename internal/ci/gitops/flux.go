package gitops

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"slipway/internal/project"
)

// fluxObject is any of Flux's objects.
type fluxObject struct {
	APIVersion string   `yaml:"apiVersion"`
	Kind       string   `yaml:"kind"`
	Metadata   metadata `yaml:"metadata"`
	Spec       any      `yaml:"spec"`
}

type gitRepository struct {
	Interval string            `yaml:"interval"`
	URL      string            `yaml:"url"`
	Ref      map[string]string `yaml:"ref"`
}

type kustomization struct {
	Interval        string    `yaml:"interval"`
	Path            string    `yaml:"path"`
	Prune           bool      `yaml:"prune"`
	Wait            bool      `yaml:"wait"`
	Suspend         bool      `yaml:"suspend,omitempty"`
	TargetNamespace string    `yaml:"targetNamespace,omitempty"`
	SourceRef       sourceRef `yaml:"sourceRef"`
	// Decryption is for files that SOPS has encrypted.
	Decryption map[string]any `yaml:"decryption,omitempty"`
}

type sourceRef struct {
	Kind string `yaml:"kind"`
	Name string `yaml:"name"`
}

type helmRelease struct {
	Interval         string         `yaml:"interval"`
	ReleaseName      string         `yaml:"releaseName"`
	TargetNamespace  string         `yaml:"targetNamespace,omitempty"`
	StorageNamespace string         `yaml:"storageNamespace,omitempty"`
	Suspend          bool           `yaml:"suspend,omitempty"`
	Chart            map[string]any `yaml:"chart"`
}

// sopsKeys is the Secret that Flux's documentation uses for keys.
const sopsKeys = "sops-age"

func flux(j job) ([]any, []string, error) {
	url := j.repo
	if user, host, ok := strings.Cut(url, "@"); ok && !strings.Contains(url, "://") { // git@host:path
		url = "ssh://" + user + "@" + strings.Replace(host, ":", "/", 1)
	}
	documents := []any{j.flux("source.toolkit.fluxcd.io/v1", "GitRepository", j.name, gitRepository{
		Interval: "1m", URL: url, Ref: map[string]string{"branch": j.branch},
	})}
	target, err := j.target()
	if err != nil {
		return nil, nil, err
	}
	for i, name := range j.env.Paths {
		if k, err := j.kind(name); err != nil {
			return nil, nil, err
		} else if k == file {
			return nil, nil, j.cannot(name+" is a file",
				"Flux reads directories: name the file in a kustomization.yaml")
		}
		k := kustomization{
			Interval: "10m", Path: "./" + j.in(name), Prune: true, Wait: true, Suspend: j.manual,
			TargetNamespace: target, SourceRef: sourceRef{"GitRepository", j.name},
		}
		if j.encrypted != "" {
			k.Decryption = map[string]any{"provider": "sops", "secretRef": map[string]string{"name": sopsKeys}}
		}
		documents = append(documents,
			j.flux("kustomize.toolkit.fluxcd.io/v1", "Kustomization", j.numbered(i, name), k))
	}
	for _, c := range j.env.Charts {
		r, err := j.release(c)
		if err != nil {
			return nil, nil, err
		}
		documents = append(documents, j.flux("helm.toolkit.fluxcd.io/v2", "HelmRelease", j.name+"-"+c.Release, r))
	}
	var notes []string
	if j.encrypted != "" {
		notes = append(notes, fmt.Sprintf("Flux decrypts %s with the keys in the Secret %s of the namespace %s: "+
			"create it", j.encrypted, sopsKeys, j.namespace))
	}
	if strings.HasPrefix(url, "ssh://") {
		notes = append(notes, "Flux needs a deploy key: add spec.secretRef to the GitRepository")
	}
	return documents, notes, nil
}

func (j job) flux(version, kind, name string, spec any) fluxObject {
	return fluxObject{version, kind, metadata{name, j.namespace}, spec}
}

// numbered is the name of a Kustomization: that of the environment where there is only one.
func (j job) numbered(i int, name string) string {
	if i == 0 {
		return j.name
	}
	return j.name + "-" + path.Base(name)
}

// target is the namespace for objects that state none. Flux moves all objects there, so that it must not be
// set where some state another one.
func (j job) target() (string, error) {
	stated, some := j.namespaces()
	foreign := false
	for _, ns := range stated {
		foreign = foreign || ns != j.env.Namespace
	}
	switch {
	case !some && (foreign || j.env.Namespace == ""):
		return "", nil
	case foreign:
		return "", j.cannot("some objects state no namespace and others state "+strings.Join(stated, ", "),
			"Flux would move all of them to one namespace: state it in each object")
	}
	return j.env.Namespace, nil
}

// release is a chart of the project's repository with its values files, which Flux reads relative to the root
// of the repository; it does not add the chart's own values.yaml.
func (j job) release(c project.Chart) (helmRelease, error) {
	r := helmRelease{
		Interval: "10m", ReleaseName: c.Release, TargetNamespace: j.env.Namespace,
		StorageNamespace: j.env.Namespace, Suspend: j.manual,
	}
	if c.Namespace != "" {
		r.TargetNamespace, r.StorageNamespace = c.Namespace, c.Namespace
	}
	switch k, err := j.kind(c.Path); {
	case c.Repository != "":
		return r, j.cannot("the chart "+c.Release+" is from "+c.Repository, "Flux reads values files from the "+
			"repository of the chart alone: vendor the chart, or write its HelmRelease by hand")
	case err != nil:
		return r, err
	case k == file:
		return r, j.cannot("the chart "+c.Path+" is an archive", "unpack it")
	case len(c.Set)+len(c.SetJSON)+len(c.SetString)+len(c.SetFile)+len(c.SetLiteral) > 0:
		return r, j.cannot("slipway.yaml sets values of the chart "+c.Release, "write them into a values file")
	}
	var files []string
	if _, err := os.Stat(filepath.Join(j.project.Dir, filepath.FromSlash(c.Path), "values.yaml")); err == nil {
		files = append(files, j.in(path.Join(c.Path, "values.yaml")))
	}
	for _, name := range c.Values {
		files = append(files, j.in(name))
	}
	r.Chart = map[string]any{"spec": map[string]any{
		"chart": "./" + j.in(c.Path), "reconcileStrategy": "Revision", "valuesFiles": files,
		"sourceRef": sourceRef{"GitRepository", j.name},
	}}
	return r, nil
}
