// Package peer reads the objects by which Argo CD and Flux deploy: which environment they are for, and what
// their controllers report about it. It knows no cluster, and repeats the words of the two tools.
package peer

import (
	"path"
	"slices"
	"strings"
	"time"

	"slipway/internal/git"
	"slipway/internal/object"
	"slipway/internal/project"
)

// The tools.
const (
	ArgoCD = "Argo CD"
	Flux   = "Flux"
)

// Resources are the objects that Read takes, by tool, in the form RESOURCE.GROUP.
var Resources = map[string][]string{
	ArgoCD: {"applications.argoproj.io"},
	Flux: {"kustomizations.kustomize.toolkit.fluxcd.io", "helmreleases.helm.toolkit.fluxcd.io",
		"gitrepositories.source.toolkit.fluxcd.io"},
}

// App is one Application of Argo CD, or one Kustomization or HelmRelease of Flux.
type App struct {
	Ref    object.Ref
	Tool   string
	Report Report
	// Keeps are the objects that it has deployed, as far as it says.
	Keeps []object.Ref

	sources []origin
	// namespace is where it deploys objects without one; empty: each states it.
	namespace string
	// away: it deploys to another cluster.
	away bool
}

// Report is what a controller says about the state of its app.
type Report struct {
	// State is in the tool's own words: "Synced, Healthy", or "Ready".
	State string `json:"state"`
	// Synced: the cluster has the newest revision of the source. Healthy: the tool calls it so.
	Synced  bool `json:"synced"`
	Healthy bool `json:"healthy"`
	// Suspended: the tool changes nothing by itself.
	Suspended bool `json:"suspended,omitempty"`
	// Revision is what it has deployed, such as a commit or "main@sha1:3f9c2e1…".
	Revision string `json:"revision,omitempty"`
	// Error is the last one; empty: none.
	Error string `json:"error,omitempty"`
	// Since is when it reached this state; zero: it does not say.
	Since time.Time `json:"since,omitzero"`
}

// String is "Synced, Healthy at 3f9c2e1", with the error.
func (r Report) String() string {
	text := r.State
	if r.Revision != "" {
		text += " at " + short(r.Revision)
	}
	if r.Suspended {
		text += ", suspended"
	}
	if r.Error != "" {
		text += ": " + r.Error
	}
	return text
}

// Commit is the full hash in the revision; empty where it names none.
func (r Report) Commit() string {
	if hash := r.Revision[strings.LastIndexByte(r.Revision, ':')+1:]; isHash(hash) {
		return hash
	}
	return ""
}

func isHash(text string) bool { return len(text) >= 40 && strings.Trim(text, "0123456789abcdef") == "" }

// short is a revision with a short hash: "main@sha1:3f9c2e1".
func short(revision string) string {
	i := strings.LastIndexByte(revision, ':') + 1
	if isHash(revision[i:]) {
		return revision[:i+7]
	}
	return revision
}

// origin is where an app's manifests come from.
type origin struct {
	// repository is its git.IdentityOf.
	repository, path string
	// values are the values files of a chart, beside its own.
	values []string
}

// Read returns the apps among objects, which need the GitRepositories too. Objects that it does not
// understand are left out.
func Read(objects []object.Object) []App {
	repositories := map[object.Ref]object.Object{}
	for _, o := range objects {
		if r := o.Ref(); r.Kind == "GitRepository" {
			repositories[object.Ref{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name}] = o
		}
	}
	var apps []App
	for _, o := range objects {
		switch r := o.Ref(); {
		case r.Kind == "Application" && r.Group == "argoproj.io":
			apps = append(apps, application(o))
		case r.Kind == "Kustomization" && r.Group == "kustomize.toolkit.fluxcd.io":
			apps = append(apps, kustomization(o, repositories))
		case r.Kind == "HelmRelease" && r.Group == "helm.toolkit.fluxcd.io":
			apps = append(apps, helmRelease(o, repositories))
		}
	}
	return apps
}

// Place is one environment: where its manifests are, and where it runs.
type Place struct {
	// Repository is its git.Identity, and Path the project's directory in it.
	Repository, Path string
	Environment      project.Environment
	// Namespace is the one that the environment is deployed to.
	Namespace string
}

// Deploys says that an app renders what the environment is rendered from, into its namespace.
func (a App) Deploys(p Place) bool {
	if a.away || p.Repository == "" || a.namespace != "" && a.namespace != p.Namespace {
		return false
	}
	return slices.ContainsFunc(a.sources, func(s origin) bool {
		if s.repository != p.Repository {
			return false
		}
		in := func(name string) string { return path.Join(p.Path, name) }
		if slices.ContainsFunc(p.Environment.Paths, func(d string) bool { return in(d) == s.path }) {
			return true
		}
		return slices.ContainsFunc(p.Environment.Charts, func(c project.Chart) bool {
			var values []string
			for _, v := range c.Values {
				values = append(values, in(v))
			}
			return c.Repository == "" && in(c.Path) == s.path && slices.Equal(values, s.values)
		})
	})
}

func text(o object.Object, at ...string) string {
	s, _ := o.At(at...).(string)
	return s
}

func field(m map[string]any, key string) string {
	s, _ := m[key].(string)
	return s
}

func moment(s string) time.Time {
	t, _ := time.Parse(time.RFC3339, s) // zero where it says none
	return t
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// oneLine is the first line of a message.
func oneLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}

func repositoryOf(address string) string {
	if address == "" {
		return ""
	}
	return git.IdentityOf(address)
}
