package gitops

import (
	"fmt"
	"path"
	"strings"

	"slipway/internal/project"
)

// application is an Application of argoproj.io/v1alpha1, as far as Slipway fills it in.
type application struct {
	APIVersion string          `yaml:"apiVersion"`
	Kind       string          `yaml:"kind"`
	Metadata   metadata        `yaml:"metadata"`
	Spec       applicationSpec `yaml:"spec"`
}

type applicationSpec struct {
	Project     string            `yaml:"project"`
	Source      *source           `yaml:"source,omitempty"`
	Sources     []source          `yaml:"sources,omitempty"`
	Destination map[string]string `yaml:"destination"`
	SyncPolicy  syncPolicy        `yaml:"syncPolicy"`
}

type source struct {
	RepoURL        string     `yaml:"repoURL"`
	TargetRevision string     `yaml:"targetRevision"`
	Path           string     `yaml:"path,omitempty"`
	Chart          string     `yaml:"chart,omitempty"`
	Ref            string     `yaml:"ref,omitempty"`
	Directory      *recursion `yaml:"directory,omitempty"`
	Helm           *helm      `yaml:"helm,omitempty"`
}

type recursion struct {
	Recurse bool   `yaml:"recurse,omitempty"`
	Include string `yaml:"include,omitempty"`
}

type helm struct {
	ReleaseName    string      `yaml:"releaseName"`
	Namespace      string      `yaml:"namespace,omitempty"`
	ValueFiles     []string    `yaml:"valueFiles,omitempty"`
	Parameters     []parameter `yaml:"parameters,omitempty"`
	FileParameters []parameter `yaml:"fileParameters,omitempty"`
	KubeVersion    string      `yaml:"kubeVersion,omitempty"`
	APIVersions    []string    `yaml:"apiVersions,omitempty"`
}

type parameter struct {
	Name        string `yaml:"name"`
	Value       string `yaml:"value,omitempty"`
	Path        string `yaml:"path,omitempty"`
	ForceString bool   `yaml:"forceString,omitempty"`
}

type syncPolicy struct {
	Automated   map[string]bool `yaml:"automated,omitempty"`
	SyncOptions []string        `yaml:"syncOptions"`
}

// values is how an Application with several sources calls the project's repository.
const values = "values"

func argoCD(j job) ([]any, []string, error) {
	var sources []source
	for _, name := range j.env.Paths {
		s, err := j.folder(name)
		if err != nil {
			return nil, nil, err
		}
		sources = append(sources, s)
	}
	remote := false
	for _, c := range j.env.Charts {
		s, err := j.chart(c)
		if err != nil {
			return nil, nil, err
		}
		remote = remote || c.Repository != "" && len(c.Values) > 0
		sources = append(sources, s)
	}
	if remote {
		sources = append(sources, source{RepoURL: j.repo, TargetRevision: j.branch, Ref: values})
	}
	spec := applicationSpec{
		Project: "default", Destination: map[string]string{"server": "https://kubernetes.default.svc"},
		// Slipway applies on the server: so the fields stay its own, or Argo CD's, one by one.
		SyncPolicy: syncPolicy{SyncOptions: []string{"ServerSideApply=true"}},
	}
	if !j.manual {
		spec.SyncPolicy.Automated = map[string]bool{"prune": true, "selfHeal": true}
	}
	if j.env.Namespace != "" {
		spec.Destination["namespace"] = j.env.Namespace
	}
	if len(sources) == 1 {
		spec.Source = &sources[0]
	} else {
		spec.Sources = sources
	}
	notes := []string{fmt.Sprintf("the destination is the cluster that Argo CD runs in: change "+
		"spec.destination if %s is another one", j.env.Name)}
	if j.inflates != "" {
		notes = append(notes, fmt.Sprintf("%s inflates charts: set kustomize.buildOptions to --enable-helm in the "+
			"ConfigMap argocd-cm", j.inflates))
	}
	return []any{application{
		APIVersion: "argoproj.io/v1alpha1", Kind: "Application",
		Metadata: metadata{Name: j.name, Namespace: j.namespace}, Spec: spec,
	}}, notes, nil
}

// folder is the source of a kustomization, of a directory with plain YAML, or of one file of it.
func (j job) folder(name string) (source, error) {
	s := source{RepoURL: j.repo, TargetRevision: j.branch, Path: j.in(name)}
	switch k, err := j.kind(name); {
	case err != nil:
		return s, err
	case k == directory:
		s.Directory = &recursion{Recurse: true}
	case k == file:
		s.Path, s.Directory = path.Dir(s.Path), &recursion{Include: path.Base(s.Path)}
	}
	return s, nil
}

// chart is the source of a Helm release. Paths that begin with a slash are relative to the root of the
// repository.
func (j job) chart(c project.Chart) (source, error) {
	h := &helm{
		ReleaseName: c.Release, Namespace: c.Namespace, KubeVersion: j.env.KubeVersion,
		APIVersions: j.env.APIVersions,
	}
	s := source{RepoURL: j.repo, TargetRevision: j.branch, Path: j.in(c.Path), Helm: h}
	root := "/"
	if c.Repository != "" {
		s = source{
			RepoURL: strings.TrimPrefix(c.Repository, "oci://"), TargetRevision: c.Version, Chart: c.Path, Helm: h,
		}
		root = "$" + values + "/"
	} else if k, err := j.kind(c.Path); err != nil {
		return s, err
	} else if k == file {
		return s, j.cannot("the chart "+c.Path+" is an archive", "Argo CD reads charts from directories and "+
			"repositories: unpack it, or name its repository")
	}
	for _, name := range c.Values {
		h.ValueFiles = append(h.ValueFiles, root+j.in(name))
	}
	if len(c.SetJSON)+len(c.SetLiteral) > 0 {
		return s, j.cannot("the chart "+c.Release+" sets JSON or literal values", "write them into a values file")
	}
	for _, group := range []struct {
		says []string
		add  func(name, value string)
	}{
		{c.Set, func(n, v string) { h.Parameters = append(h.Parameters, parameter{Name: n, Value: v}) }},
		{c.SetString, func(n, v string) {
			h.Parameters = append(h.Parameters, parameter{Name: n, Value: v, ForceString: true})
		}},
		{c.SetFile, func(n, v string) {
			h.FileParameters = append(h.FileParameters, parameter{Name: n, Path: root + j.in(v)})
		}},
	} {
		for _, said := range group.says {
			name, value, ok := strings.Cut(said, "=")
			if !ok || strings.Contains(strings.ReplaceAll(value, `\,`, ""), ",") {
				return s, j.cannot("the chart "+c.Release+" sets "+said, "set one value at a time, or write them into a "+
					"values file")
			}
			group.add(name, value)
		}
	}
	return s, nil
}
