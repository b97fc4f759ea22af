// Package install makes the manifests of an agent: what runs it in a cluster, and the permissions that the
// environments need which it keeps.
package install

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation"

	"slipway/internal/agent"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render"
)

// Options say what is installed.
type Options struct {
	// URL, Branch and Path are those of the repository; Branch is "main" unless given.
	URL, Branch, Path string
	// Image is the image of the agent, with its digest.
	Image string
	// Name and Namespace are those of the agent: "slipway-agent" and "slipway" unless given.
	Name, Namespace string
	// Environments are the names of those that the agent keeps.
	Environments []string
	Secrets      Secrets
	// Config is the text of a configuration, in place of URL, Branch, Path and the Secrets of the repository.
	// The Secrets that it has files of are mounted: see SecretDirectory.
	Config []byte
	// Ports are further ones that the agent connects to.
	Ports  []int
	Render render.Options
}

// Manifests are the objects that install an agent.
type Manifests struct {
	Objects []object.Object
	// Context is the kubeconfig context of the environments; empty: none of them sets one.
	Context string
	// Notes are what the reader of the manifests must know, a sentence each.
	Notes []string
}

// Source writes the objects into a directory, and returns it as a project with one environment, "agent".
func (m Manifests) Source(dir, namespace string) (project.Source, error) {
	const file = "agent.yaml"
	out, err := os.Create(filepath.Join(dir, file))
	if err != nil {
		return project.Source{}, err
	}
	if err := errors.Join(object.WriteYAML(out, m.Objects), out.Close()); err != nil {
		return project.Source{}, err
	}
	env := project.Environment{
		Name: "agent", Class: project.Production, Paths: []string{file}, Context: m.Context, Namespace: namespace,
	}
	return project.Source{Project: project.Project{
		Name: "slipway", Dir: dir, Environments: []project.Environment{env},
	}}, nil
}

// InvalidError says what is wrong with an option, or with an environment.
type InvalidError struct{ Subject, Reason string }

func (e *InvalidError) Error() string { return e.Subject + ": " + e.Reason }

//go:embed agent.yaml.tmpl
var manifests string

var digested = regexp.MustCompile(`^[^\s@]+@sha256:[0-9a-f]{64}$`)

// Make renders the environments, and returns the manifests of an agent that keeps them. It fails with an
// *InvalidError where an option is wrong, or the environments are not in one cluster.
func Make(ctx context.Context, p project.Project, o Options) (Manifests, error) {
	o.Branch, o.Name = cmp.Or(o.Branch, "main"), cmp.Or(o.Name, "slipway-agent")
	o.Namespace = cmp.Or(o.Namespace, "slipway")
	if err := o.validate(); err != nil {
		return Manifests{}, err
	}
	environments, err := p.Select(o.Environments)
	if err != nil {
		return Manifests{}, err
	}
	m := Manifests{}
	if m.Context, err = oneContext(environments); err != nil {
		return m, err
	}
	r := newRules(o)
	renderer, err := render.OpenProject(p, o.Render)
	if err != nil {
		return m, err
	}
	defer renderer.Close()
	mounts, urls := o.mounts(), []string{o.URL}
	var own written
	if len(o.Config) > 0 {
		if own, err = o.read(); err != nil {
			return m, err
		}
		mounts, urls = append(mounts, own.mounts...), own.urls()
		m.Notes = own.others(o.Environments)
	}
	for i, env := range environments {
		if len(o.Config) > 0 {
			if env, err = own.placed(env); err != nil {
				return m, err
			}
			environments[i] = env
		}
		if env.Namespace == "" {
			return m, &InvalidError{"environment " + env.Name, "it has no namespace: set `namespace` under " +
				"environments." + env.Name + " in slipway.yaml"}
		}
		result, err := renderer.Render(ctx, env)
		if err != nil {
			return m, err
		}
		r.add(env.Namespace, result.Set)
	}
	if err := r.addPreviews(ctx, p, renderer, own); err != nil {
		return m, err
	}
	if own.UI != nil {
		r.addUI(*own.UI)
	}
	m.Notes = slices.Concat(m.Notes, r.notes, o.notes(mounts))
	config := own.text
	if config == "" {
		if config, err = configuration(o, environments); err != nil {
			return m, err
		}
	}
	fixed, err := o.fixed(config, mounts, o.ports(urls))
	m.Objects = append(fixed, r.objects()...)
	return m, err
}

func (o Options) validate() error {
	for _, name := range []string{o.Name, o.Namespace} {
		if faults := validation.IsDNS1123Label(name); len(faults) > 0 {
			return &InvalidError{strconv.Quote(name), faults[0]}
		}
	}
	switch {
	case len(o.Environments) == 0:
		return &InvalidError{"agent install", "no environment is named"}
	case o.URL == "" && len(o.Config) == 0:
		return &InvalidError{"--repo", "it is required: the URL that the agent fetches"}
	case strings.HasPrefix(o.URL, "oci://"):
		return &InvalidError{"--repo " + o.URL, "a rendered set needs the keys that signed it: install it with " +
			"--config FILE"}
	case !digested.MatchString(o.Image):
		return &InvalidError{"--image", "want REPOSITORY@sha256:DIGEST: a tag may move under a running agent"}
	}
	return o.validateSecrets()
}

// oneContext returns the context that the environments share.
func oneContext(environments []project.Environment) (string, error) {
	first := environments[0]
	for _, env := range environments {
		if env.Context != first.Context {
			return "", &InvalidError{"environment " + env.Name, fmt.Sprintf("its context is %q and that of %s is %q: "+
				"install an agent in each cluster", env.Context, first.Name, first.Context)}
		}
	}
	return first.Context, nil
}

// configuration is the agent's, as its ConfigMap has it.
func configuration(o Options, environments []project.Environment) (string, error) {
	type policy struct {
		Namespace string `yaml:"namespace"`
		OnCommit  string `yaml:"onCommit"`
		OnDrift   string `yaml:"onDrift"`
		WriteBack string `yaml:"writeBack"`
	}
	type repository struct {
		URL          string            `yaml:"url"`
		Branch       string            `yaml:"branch"`
		Path         string            `yaml:"path,omitempty"`
		Access       access            `yaml:",inline"`
		Environments map[string]policy `yaml:"environments"`
	}
	writeBack := agent.Never
	if o.access().Forge != nil {
		writeBack = agent.PullRequest
	}
	policies := map[string]policy{}
	for _, env := range environments {
		policies[env.Name] = policy{env.Namespace, agent.Deploy, agent.Report, writeBack}
	}
	text, err := yaml.Marshal(struct {
		Repositories []repository      `yaml:"repositories"`
		Lease        map[string]string `yaml:"lease"`
		Listen       string            `yaml:"listen"`
		State        string            `yaml:"state"`
	}{
		[]repository{{o.URL, o.Branch, o.Path, o.access(), policies}},
		map[string]string{"namespace": o.Namespace, "name": o.Name}, listenAddress, stateDirectory,
	})
	if err == nil {
		_, err = agent.Parse(text)
	}
	return string(text), err
}

// fixed are the objects that do not depend on the environments.
func (o Options) fixed(config string, mounts []mount, ports []int) ([]object.Object, error) {
	sum := sha256.Sum256([]byte(config))
	text, err := template.New("agent").Funcs(template.FuncMap{"json": func(v string) (string, error) {
		b, err := json.Marshal(v)
		return string(b), err
	}}).Parse(manifests)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = text.Execute(&out, map[string]any{
		"Name": o.Name, "Namespace": o.Namespace, "Image": o.Image, "Config": config,
		"Sum": hex.EncodeToString(sum[:8]), "Ports": ports, "Mounts": mounts,
		"Docker": directoryOf(mounts, "registry"), "Authorities": directoryOf(mounts, "authorities"),
	})
	if err != nil {
		return nil, err
	}
	return object.Read(&out, "agent.yaml")
}

// directoryOf is where a volume is mounted; empty: it is not.
func directoryOf(mounts []mount, volume string) string {
	for _, m := range mounts {
		if m.Volume == volume {
			return m.Directory()
		}
	}
	return ""
}

// portOf is the port of a repository's URL.
func portOf(address string) int {
	at, err := url.Parse(address)
	switch {
	case err != nil, at.Scheme == "":
		return 22 // user@host:path
	case at.Port() != "":
		n, _ := strconv.Atoi(at.Port())
		return n
	}
	return map[string]int{"http": 80, "https": 443, "oci": 443, "ssh": 22, "git": 9418}[at.Scheme]
}

// ports are those that the agent connects to: API servers, registries over TLS, the repositories, and the
// registry of its image, which is likely to be that of the others.
func (o Options) ports(urls []string) []int {
	ports := append([]int{443, 6443}, o.Ports...)
	for _, address := range urls {
		ports = append(ports, portOf(address))
	}
	host, _, _ := strings.Cut(o.Image, "/")
	if _, port, ok := strings.Cut(host, ":"); ok {
		n, err := strconv.Atoi(port)
		if err == nil {
			ports = append(ports, n)
		}
	}
	slices.Sort(ports)
	return slices.DeleteFunc(slices.Compact(ports), func(n int) bool { return n == 0 })
}
