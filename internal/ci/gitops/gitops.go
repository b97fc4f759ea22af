// Package gitops writes the objects by which Argo CD or Flux deploy an environment from its repository. An
// environment that they would deploy as something else than Slipway renders is refused.
package gitops

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/kyaml/resid"

	"slipway/internal/git"
	"slipway/internal/image"
	"slipway/internal/lazyregexp"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render"
	"slipway/internal/render/tree"
)

// Tool is what deploys an environment from Git instead of Slipway's agent.
type Tool string

// The tools.
const (
	ArgoCD Tool = "argocd"
	Flux   Tool = "flux"
)

// String is the tool's own name.
func (t Tool) String() string {
	if t == ArgoCD {
		return "Argo CD"
	}
	return "Flux"
}

// ErrNoRemote says that the address of the repository is not known.
var ErrNoRemote = errors.New("the repository has no origin with an address that a cluster can reach")

// CannotError says which setting of an environment a tool would not follow.
type CannotError struct {
	Tool        Tool
	Environment string
	// Setting is what slipway.yaml says, and Instead what the tool needs.
	Setting, Instead string
}

func (e *CannotError) Error() string {
	return fmt.Sprintf("%s cannot deploy %s as Slipway renders it: %s: %s", e.Tool, e.Environment, e.Setting,
		e.Instead)
}

// Options are what the repository does not say.
type Options struct {
	// Repo is the address of the repository; empty: that of origin. Branch is "main" or what origin calls it
	// unless given.
	Repo, Branch string
	// Namespace is where the tool's own objects are; empty: argocd or flux-system.
	Namespace string
	// Target is the namespace for objects without one; empty: that of the environment.
	Target string
	// Manual leaves it to a person to sync: nothing is deployed, repaired or deleted without one.
	Manual bool
	Render render.Options
}

// Result are the tool's objects for one environment, as YAML documents, and notes about them, a sentence
// each.
type Result struct {
	Text  string
	Notes []string
}

// job is what both tools need to know.
type job struct {
	tool      Tool
	name      string // of the objects
	repo      string
	branch    string
	namespace string
	at        string // the project's directory in the repository
	manual    bool
	project   project.Project
	env       project.Environment
	set       object.Set
	// inflates is a kustomization with charts, encrypted a file that SOPS decrypts; empty: there is none.
	inflates, encrypted string
}

// Make writes the objects by which a tool deploys an environment. It renders the environment to learn in
// which namespaces its objects are, and whether the repository alone says which images they run.
func Make(ctx context.Context, t Tool, src project.Source, env project.Environment, o Options) (
	Result, error) {
	env.Namespace = cmp.Or(o.Target, env.Namespace)
	j := job{
		tool: t, name: src.Project.Name + "-" + env.Name, repo: cmp.Or(o.Repo, src.Remote), branch: o.Branch,
		namespace: cmp.Or(o.Namespace, map[Tool]string{ArgoCD: "argocd", Flux: "flux-system"}[t]), at: src.Path,
		manual: o.Manual, project: src.Project, env: env,
	}
	if j.repo == "" {
		return Result{}, ErrNoRemote
	}
	if src.Repository != "" && j.branch == "" {
		var err error
		if j.branch, err = (git.Repository{Dir: src.Repository}).Main(ctx); err != nil {
			return Result{}, err
		}
	}
	if err := j.common(); err != nil {
		return Result{}, err
	}
	rendered, err := render.Render(ctx, src.Project, env, o.Render)
	if err != nil {
		return Result{}, err
	}
	j.set = rendered.Set
	if err := errors.Join(j.read(rendered.Reads), j.placed()); err != nil {
		return Result{}, err
	}
	documents, notes, err := map[Tool]func(job) ([]any, []string, error){ArgoCD: argoCD, Flux: flux}[t](j)
	if err != nil {
		return Result{}, err
	}
	unpinned, err := j.unpinned()
	if err != nil {
		return Result{}, err
	}
	text, err := encode(documents)
	return Result{Text: text, Notes: append(notes, unpinned...)}, err
}

// common refuses what neither tool does.
func (j job) common() error {
	if s := j.env.Skaffold; s != nil {
		return j.cannot("it is deployed by "+s.File, "list its paths and charts in slipway.yaml")
	}
	if j.env.NoHooks {
		return j.cannot("noHooks leaves hooks out", "both tools run hooks: remove them from the source")
	}
	for _, c := range j.env.Charts {
		switch {
		case c.Patches != "":
			return j.cannot("the chart "+c.Release+" has patches", "write what they change into its values")
		case c.NoHooks:
			return j.cannot("the chart "+c.Release+" has noHooks", "both tools run hooks: switch them off by values")
		case c.Lookup && j.tool == ArgoCD:
			return j.cannot("the chart "+c.Release+" looks up objects", "Argo CD renders without the cluster, and "+
				"lookup finds nothing")
		}
	}
	return nil
}

var (
	inflater = lazyregexp.New(`(?m)^helmCharts:|^helmChartInflationGenerator:`)
	sopsMark = lazyregexp.New(`(?m)^\s*"?(sops_mac=|sops"?:\s*(\{|$))`)
)

// read looks in the files of a render for what the tools do only when they are told to.
func (j *job) read(reads tree.Reads) error {
	for _, r := range reads.List() {
		if r.Kind != tree.File {
			continue
		}
		text, err := os.ReadFile(filepath.Join(j.project.Dir, filepath.FromSlash(r.Path)))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case strings.HasPrefix(strings.ToLower(path.Base(r.Path)), "kustomization") && inflater().Match(text):
			j.inflates = r.Path
		case sopsMark().Match(text):
			j.encrypted = r.Path
		}
	}
	if j.encrypted != "" && j.tool == ArgoCD {
		return j.cannot("SOPS encrypts "+j.encrypted, "Argo CD does not decrypt files: let an operator, "+
			"such as external-secrets, make the Secrets")
	}
	if j.inflates != "" && j.tool == Flux {
		return j.cannot(j.inflates+" inflates charts", "Flux inflates none: list the chart in slipway.yaml")
	}
	return nil
}

func (j job) cannot(setting, instead string) error {
	return &CannotError{j.tool, j.env.Name, setting, instead}
}

// unpinned notes the images of the project whose content the repository does not state: Slipway pins them
// when it deploys, and the tools deploy what is written.
func (j job) unpinned() ([]string, error) {
	matched, err := image.Match(j.project.Images, j.set)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, m := range matched {
		if !m.Stated() {
			names = append(names, m.Image.Name)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	note := fmt.Sprintf("the files of %s do not say which build of %s it runs: run `slipway promote %s` before "+
		"%s deploys it", j.env.Name, strings.Join(names, " and "), j.env.Name, j.tool)
	return []string{note}, nil
}

// in is a path of the project, relative to the root of its repository.
func (j job) in(name string) string { return path.Join(j.at, name) }

// kind tells what a path of an environment holds.
type kind int

const (
	overlay   kind = iota // a kustomization
	directory             // plain YAML
	file
)

func (j job) kind(name string) (kind, error) {
	full := filepath.Join(j.project.Dir, filepath.FromSlash(name))
	info, err := os.Stat(full)
	if err != nil {
		return 0, err
	}
	if !info.IsDir() {
		return file, nil
	}
	for _, k := range []string{"kustomization.yaml", "kustomization.yml", "Kustomization"} {
		if _, err := os.Stat(filepath.Join(full, k)); err == nil {
			return overlay, nil
		}
	}
	return directory, nil
}

// namespaces are those that the source states, and whether some object of a namespace states none. Kinds that
// the source does not define count as namespaced unless Kubernetes' own are not.
func (j job) namespaces() (stated []string, some bool) {
	for _, o := range j.set.Objects() {
		switch ns := o.Ref().Namespace; {
		case ns == "":
			kind := o.Ref()
			some = some || !resid.NewGvk(kind.Group, "", kind.Kind).IsClusterScoped()
		case !slices.Contains(stated, ns):
			stated = append(stated, ns)
		}
	}
	return stated, some
}

// placed refuses an environment whose objects would have no namespace.
func (j job) placed() error {
	if _, some := j.namespaces(); some && j.env.Namespace == "" {
		return j.cannot("some objects state no namespace",
			"set namespace for "+j.env.Name+" in slipway.yaml, or pass -n")
	}
	return nil
}

func encode(documents []any) (string, error) {
	var text bytes.Buffer
	e := yaml.NewEncoder(&text)
	e.SetIndent(2)
	for _, d := range documents {
		if err := e.Encode(d); err != nil {
			return "", err
		}
	}
	return text.String(), e.Close()
}

type metadata struct {
	Name      string `yaml:"name"`
	Namespace string `yaml:"namespace"`
}
