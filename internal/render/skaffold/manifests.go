package skaffold

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// Manifests is what a configuration renders: plain files, then kustomizations, then charts. Paths
// are relative to the project.
type Manifests struct {
	// RawYAML are files or patterns, as filepath.Glob knows them. A directory that a pattern matches counts with
	// all that is below it, and a file that it matches only if it ends in .yaml, .yml or .json. A pattern
	// without a match is not an error.
	RawYAML []Path
	// Default: RawYAML is Skaffold's own k8s/*.yaml, because the configuration names nothing.
	Default bool
	// Kustomize are directories. The two flags come from buildArgs.
	Kustomize                        []Path
	LoadRestrictionsNone, EnableHelm bool
	Releases                         []Release
	// Namespace is for objects that name none; KubeContext is where they are meant for.
	Namespace, KubeContext string
	Warnings               []Warning
}

// Path is a path and the line that names it.
type Path struct {
	Path string
	Line int
}

// Release is one release of a Helm chart.
type Release struct {
	Name, Namespace string
	// ChartPath is a directory or archive in the project; else RemoteChart is a chart's name or address and
	// Repo, which may be empty, the repository's.
	ChartPath, RemoteChart, Repo, Version string
	// Overrides are weaker than ValuesFiles, of which the later is the stronger.
	Overrides   map[string]any
	ValuesFiles []string
	// Set and SetFile are in Helm's grammar, in the order in which Helm is to take them.
	Set, SetFile               []string
	SkipTests, CreateNamespace bool
	Line                       int
}

const runsNothing = "rendering runs no program"

// noted are the fields of a configuration that are refused, or ignored with a warning.
var noted = []struct{ path, refused, why string }{
	{"/manifests/kpt", "kpt packages", runsNothing},
	{"/manifests/remoteManifests", "manifests of another cluster", "only manifests of the project are rendered"},
	{"/manifests/transform", "kpt functions that change manifests", runsNothing},
	{"/manifests/validate", "", "is not run: " + runsNothing},
	{"/manifests/hooks/before", "", "are not run: " + runsNothing},
	{"/manifests/hooks/after", "", "are not run: " + runsNothing},
	{"/manifests/output", "", "is not written to: rendering writes nothing"},
	{"/deploy/kubectl/remoteManifests", "manifests of another cluster",
		"only manifests of the project are rendered"},
	{"/deploy/kubectl/hooks", "", "are not run"},
	{"/deploy/kubectl/flags", "", "are not used: objects are applied without kubectl"},
	{"/deploy/helm/hooks", "", "are not run"},
	{"/deploy/docker", "", "is skipped: only Kubernetes objects are rendered"},
	{"/deploy/cloudrun", "", "is skipped: only Kubernetes objects are rendered"},
	{"/deploy/kpt", "", "is not used: objects are applied without kpt"},
	{"/resourceSelector", "", "is not used: images and labels are set by other rules"},
}

// assembly reads manifests out of a configuration.
type assembly struct {
	*Resolved
	images map[string]string // variables
	out    Manifests
}

// Manifests returns what is to be rendered. images are the references of built images by the artifact's name;
// the variables of other images are not set. An unsupported field is an error if it would change an object,
// and else a warning.
func (r *Resolved) Manifests(images map[string]string) (Manifests, error) {
	b := assembly{Resolved: r, images: imageVariables(list(r.Config, "build", "artifacts"), images)}
	for _, step := range []func() error{b.note, b.plain, b.kustomize, b.releases} {
		if err := step(); err != nil {
			return Manifests{}, err
		}
	}
	b.out.KubeContext = text(r.Config, "deploy", "kubeContext")
	ns := "/deploy/kubectl/defaultNamespace"
	var err error
	b.out.Namespace, err = b.expand(ns, b.at(ns))
	return b.out, err
}

func (b *assembly) get(path string) any {
	v, _ := get(b.Config, strings.Split(path[1:], "/"))
	return v
}

func (b *assembly) at(path string) string {
	s, _ := b.get(path).(string)
	return s
}

func (b *assembly) fail(path, format string, args ...any) error {
	_, line := b.Origin(path)
	return &FileError{b.File, line, fmt.Errorf(format, args...)}
}

func (b *assembly) leave(path, why string) {
	_, line := b.Origin(path)
	b.out.Warnings = append(b.out.Warnings, Warning{b.File, line, strings.ReplaceAll(path[1:], "/",
		".") + " " + why})
}

func (b *assembly) note() error {
	for _, n := range noted {
		switch v := b.get(n.path); {
		case v == nil:
		case n.refused != "":
			return b.fail(n.path, "%s: %s", n.refused, n.why)
		default:
			b.leave(n.path, n.why)
		}
	}
	for i, h := range list(b.Config, "manifests", "hooks", "after") {
		if field(h, "host", "withChange") == true {
			return b.fail(fmt.Sprintf("/manifests/hooks/after/%d", i),
				"a program that changes manifests: %s", runsNothing)
		}
	}
	return nil
}

// expand executes a templated field and names its line when it cannot.
func (b *assembly) expand(path, s string) (string, error) {
	out, err := expandTemplate(s, func(name string) (string, bool) {
		if v, ok := b.images[name]; ok {
			return v, true
		}
		return b.active.env(name)
	})
	if err != nil {
		return "", b.fail(path, "%w", err)
	}
	return out, nil
}

// local returns the path in the project of a path in the file.
func (b *assembly) local(at, s string) (string, error) {
	s, err := b.expand(at, s)
	switch {
	case err != nil:
		return "", err
	case strings.Contains(s, "://"):
		return "", b.fail(at, "%s: nothing is fetched while rendering", s)
	case path.IsAbs(s), s == "~", strings.HasPrefix(s, "~/"):
		return "", b.fail(at, "%s: outside the project", s)
	}
	return path.Join(path.Dir(b.File), s), nil
}

func (b *assembly) paths(list string) ([]Path, error) {
	values, _ := b.get(list).([]any)
	var out []Path
	for i, v := range values {
		at := fmt.Sprintf("%s/%d", list, i)
		s, _ := v.(string)
		p, err := b.local(at, s)
		if err != nil {
			return nil, err
		}
		_, line := b.Origin(at)
		out = append(out, Path{p, line})
	}
	return out, nil
}

func (b *assembly) plain() (err error) {
	b.out.RawYAML, err = b.paths("/manifests/rawYaml")
	for _, other := range []string{"/manifests/rawYaml", "/manifests/kustomize", "/manifests/helm",
		"/deploy/helm", "/deploy/docker", "/deploy/cloudrun"} {
		if b.get(other) != nil {
			return err
		}
	}
	b.out.Default, b.out.RawYAML = true, []Path{{Path: path.Join(path.Dir(b.File), "k8s/*.yaml")}}
	return err
}

func (b *assembly) kustomize() (err error) {
	const at = "/manifests/kustomize"
	if b.get(at) == nil {
		return nil
	}
	if b.out.Kustomize, err = b.paths(at + "/paths"); err != nil {
		return err
	}
	if len(b.out.Kustomize) == 0 {
		_, line := b.Origin(at)
		b.out.Kustomize = []Path{{path.Dir(b.File), line}}
	}
	args := strings.Join(texts(b.Config, "manifests", "kustomize", "buildArgs"), " ")
	for f := strings.Fields(strings.ReplaceAll(args, "=", " ")); len(f) > 0; f = f[1:] {
		switch {
		case f[0] == "--enable-helm":
			b.out.EnableHelm = true
		case strings.ReplaceAll(f[0], "_", "-") == "--load-restrictor" && len(f) > 1:
			b.out.LoadRestrictionsNone = strings.EqualFold(f[1], "LoadRestrictionsNone") || f[1] == "none"
			f = f[1:]
		default:
			return b.fail(at+"/buildArgs", "kustomize build %s is not supported", f[0])
		}
	}
	return nil
}

// releases are the manifests' own and, as `skaffold render` takes them, those of the Helm deployer.
func (b *assembly) releases() error {
	for _, at := range []string{"/manifests/helm", "/deploy/helm"} {
		for _, command := range []string{"global", "template", "install", "upgrade", "depBuild"} {
			flags, _ := b.get(at + "/flags/" + command).([]any)
			for _, f := range flags {
				if err := b.flag(at+"/flags/"+command, fmt.Sprint(f)); err != nil {
					return err
				}
			}
		}
		all, _ := b.get(at + "/releases").([]any)
		for i := range all {
			// An upgraded file has its charts in both places.
			if at == "/deploy/helm" && b.isRendered(all[i]) {
				continue
			}
			if err := b.release(fmt.Sprintf("%s/releases/%d", at, i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// isRendered says whether the manifests have a release of the same name and namespace.
func (b *assembly) isRendered(release any) bool {
	return slices.ContainsFunc(list(b.Config, "manifests", "helm", "releases"), func(o any) bool {
		return text(o, "name") == text(release, "name") && text(o, "namespace") == text(release, "namespace")
	})
}

// Flags of Helm that change nothing that is rendered.
var harmless = []string{"--debug", "--timeout", "--wait", "--wait-for-jobs", "--atomic", "--install",
	"--create-namespace",
	"--history-max", "--force", "--cleanup-on-fail", "--skip-refresh", "--kubeconfig", "--kube-context",
	"--burst-limit", "--qps"}

func (b *assembly) flag(at, flag string) error {
	name, _, _ := strings.Cut(strings.ReplaceAll(flag, " ", "="), "=")
	switch {
	case slices.Contains(harmless, name):
		b.leave(at, flag+" is not used")
	case strings.HasPrefix(name, "-"):
		return b.fail(at, "helm flag %s could change the rendered objects: set it in the release", flag)
	}
	return nil // the value of the flag before it
}

func (b *assembly) release(at string) (err error) {
	_, line := b.Origin(at)
	r := Release{RemoteChart: b.at(at + "/remoteChart"), Line: line}
	for field, into := range map[string]*string{"name": &r.Name, "namespace": &r.Namespace, "repo": &r.Repo,
		"version": &r.Version} {
		if *into, err = b.expand(at+"/"+field, b.at(at+"/"+field)); err != nil {
			return err
		}
	}
	if chart := b.at(at + "/chartPath"); chart != "" {
		if r.ChartPath, err = b.local(at+"/chartPath", chart); err != nil {
			return err
		}
	} else if r.RemoteChart == "" {
		return b.fail(at, "release %q has neither chartPath nor remoteChart", r.Name)
	}
	if b.get(at+"/packaged") != nil {
		return b.fail(at+"/packaged", "release %q: a chart is rendered as it is, not packaged first", r.Name)
	}
	for _, field := range []string{"recreatePods", "dependsOn"} {
		if b.get(at+"/"+field) != nil {
			b.leave(at+"/"+field, "is not used")
		}
	}
	r.SkipTests = b.get(at+"/skipTests") == true
	r.CreateNamespace = b.get(at+"/createNamespace") == true
	r.Overrides, _ = b.get(at + "/overrides").(map[string]any)
	files, err := b.paths(at + "/valuesFiles")
	for _, f := range files {
		r.ValuesFiles = append(r.ValuesFiles, f.Path)
	}
	if err == nil {
		err = b.set(at, &r)
	}
	b.out.Releases = append(b.out.Releases, r)
	return err
}

// set writes a release's values in Helm's grammar, in Skaffold's order.
func (b *assembly) set(at string, r *Release) error {
	sorted := func(field string) ([]string, map[string]any) {
		m, _ := b.get(at + "/" + field).(map[string]any)
		return slices.Sorted(maps.Keys(m)), m
	}
	keys, values := sorted("setValues")
	for _, k := range keys {
		r.Set = append(r.Set, fmt.Sprintf("%s=%v", k, values[k]))
	}
	keys, values = sorted("setValueTemplates")
	for _, k := range keys {
		from := at + "/setValueTemplates/" + escape(k)
		key, err := b.expand(from, k)
		if err != nil {
			return err
		}
		v, err := b.expand(from, values[k].(string))
		if err != nil {
			return err
		}
		// "{{.IMAGE_TAG}}@{{.IMAGE_DIGEST}}" without a digest.
		r.Set = append(r.Set, key+"="+strings.TrimSuffix(v, "@"))
	}
	keys, values = sorted("setFiles")
	for _, k := range keys {
		p, err := b.local(at+"/setFiles/"+escape(k), fmt.Sprint(values[k]))
		if err != nil {
			return err
		}
		r.SetFile = append(r.SetFile, k+"="+p)
	}
	return nil
}
