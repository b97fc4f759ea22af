package helm

import (
	"errors"
	"fmt"
	"strings"
	"text/template"

	"sigs.k8s.io/kustomize/api/types"

	"slipway/internal/project"
	"slipway/internal/render/tree"
)

// Inflate renders an entry of a kustomization's helmCharts: the chart in dir, or if that does not exist the
// one of its repository. The entry's additional values files override the values.
func (e *Engine) Inflate(v *tree.View, h types.HelmChart, dir string, values map[string]any) (Result, error) {
	name, err := e.releaseName(h)
	if err != nil {
		return Result{}, err
	}
	c := project.Chart{Path: dir, Release: name, Namespace: h.Namespace, Values: h.AdditionalValuesFiles}
	if !v.IsDirectory(dir) {
		if h.Repo == "" {
			return Result{}, fmt.Errorf("no chart in %s, and no repo is set", dir)
		}
		c.Path, c.Repository, c.Version = h.Name, h.Repo, h.Version
	}
	return e.Render(v, c, Options{
		KubeVersion: h.KubeVersion, APIVersions: h.ApiVersions, IncludeCRDs: h.IncludeCRDs,
		SkipTests: h.SkipTests, NoHooks: h.SkipHooks, Inline: values,
	})
}

// releaseName is the name that Kustomize passes to helm.
func (e *Engine) releaseName(h types.HelmChart) (string, error) {
	switch {
	case h.NameTemplate == "" && h.ReleaseName == "":
		return "release-name", nil
	case h.NameTemplate == "":
		return h.ReleaseName, nil
	case h.ReleaseName != "":
		return "", errors.New("releaseName and nameTemplate cannot both name the release")
	}
	t, err := template.New("nameTemplate").Funcs(e.funcs).Parse(h.NameTemplate)
	if err != nil {
		return "", err
	}
	var name, second strings.Builder
	if err := errors.Join(t.Execute(&name, nil), t.Execute(&second, nil)); err != nil {
		return "", err
	}
	if name.String() != second.String() {
		return "", fmt.Errorf("nameTemplate %q names the release differently each time", h.NameTemplate)
	}
	return name.String(), nil
}
