// Package helm renders charts as `helm template` does, with the same objects in the same order, without
// running it. It reads the project through a tree, writes only to its cache, and fetches charts only from the
// listed addresses.
package helm

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"text/template"
	"time"

	"helm.sh/helm/v4/pkg/chart/common"

	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render/tree"
)

// defaultKube is the default Kubernetes version for charts: that of our libraries. Helm's own default depends
// on how it was linked.
const (
	defaultKube = "1.37.0"
	helmVersion = "v4.3.1"
)

// Config is what holds for all charts.
type Config struct {
	// Remotes are the URLs that charts may be fetched from; each includes the URLs below it.
	Remotes []string
	// Cache is the directory of fetched charts, by digest. Empty: nothing is fetched.
	Cache string
}

// Engine renders charts. It keeps the charts that it has loaded, with their trees. It may be used from
// several goroutines.
type Engine struct {
	config Config
	funcs  template.FuncMap
	limits limits

	mu     sync.Mutex
	charts map[chartKey]*slot
}

// New makes an engine.
func New(c Config) *Engine {
	return &Engine{config: c, funcs: functions(), limits: defaultLimits, charts: map[chartKey]*slot{}}
}

// Options are the flags of `helm template` except values. The zero value is its default.
type Options struct {
	// Namespace is the release's where the chart names none; empty: "default".
	Namespace string
	// KubeVersion and APIVersions are those of .Capabilities; APIVersions adds to Helm's default set.
	KubeVersion string
	APIVersions []string

	IncludeCRDs, SkipTests, NoHooks, IsUpgrade bool
	// WholeLists keeps a List as one object, in place of its items.
	WholeLists bool
	// ShowOnly selects the output of these templates ("templates/*.yaml"), in this order.
	ShowOnly []string
	// Inline are values that all files override.
	Inline map[string]any
	// Lookup asks the cluster; nil: nothing is found.
	Lookup Lookup
}

// Lookup finds an object, or without a name a list of objects. The map is empty where nothing is found.
type Lookup func(apiVersion, kind, namespace, name string) (map[string]any, error)

// Result is what a chart renders to.
type Result struct {
	// Objects are in Helm's order: definitions, manifests by kind, hooks by kind.
	Objects  []object.Object
	Warnings []string
	// Unstable are the fields that differ on each render.
	Unstable []Unstable
	// Losses are nulls that Helm ignores.
	Losses []object.Loss
}

// Unstable is a field that differs on each render, with the functions of its template that cause it.
type Unstable struct {
	Template  string
	Ref       object.Ref
	Field     string
	Functions string
	// Call is the line that calls the first of the functions.
	Call object.Origin
}

// String prints "templates/secret.yaml: Secret shop/db data.password: randAlphaNum".
func (u Unstable) String() string {
	return fmt.Sprintf("%s: %s %s: %s", u.Template, u.Ref, u.Field, u.Functions)
}

// Render renders one release. It stops soon after the view's context ends.
func (e *Engine) Render(v *tree.View, c project.Chart, o Options) (result Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: the Helm library panicked: %v", c.Path, p)
		}
	}()
	ctx, cancel := context.WithTimeoutCause(v.Context(), e.limits.time, errTooLong)
	defer cancel()
	l, err := e.load(ctx, v, c)
	if err != nil {
		return Result{}, err
	}
	values, err := userValues(v, c, o.Inline)
	if err != nil {
		return Result{}, err
	}
	rel, err := newRelease(l, c, o, values)
	if err != nil {
		return Result{}, err
	}
	docs, used, err := e.once(ctx, rel, 0)
	if err != nil {
		return Result{}, err
	}
	var unstable []Unstable
	if len(used) > 0 {
		second, _, err := e.once(ctx, rel, later)
		if err != nil {
			return Result{}, err
		}
		unstable = compare(docs, second, used)
	}
	result, err = assemble(docs, o)
	result.Unstable, result.Losses = unstable, slices.Concat(l.losses, rel.losses)
	all := slices.Concat(l.warnings, rel.warnings, result.Warnings)
	result.Warnings = nil
	for _, w := range all {
		if !slices.Contains(result.Warnings, w) {
			result.Warnings = append(result.Warnings, w)
		}
	}
	return result, err
}

// release is one chart with one set of values.
type release struct {
	*loaded
	name, namespace string
	options         Options
	values          map[string]any
	capabilities    *common.Capabilities
	warnings        []string
	losses          []object.Loss
}

var releaseName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

func newRelease(l *loaded, c project.Chart, o Options, values map[string]any) (*release, error) {
	r := &release{loaded: l, name: c.Release, namespace: c.Namespace, options: o, values: values}
	if len(r.name) > 53 || !releaseName.MatchString(r.name) {
		return nil, fmt.Errorf("release %q: a release's name has at most 53 lower-case letters, digits, dashes "+
			"and dots", r.name)
	}
	if r.namespace == "" {
		r.namespace = o.Namespace
	}
	if r.namespace == "" {
		r.namespace = "default"
	}
	version := o.KubeVersion
	if version == "" {
		version = defaultKube
	}
	kube, err := common.ParseKubeVersion(version)
	if err != nil {
		return nil, fmt.Errorf("invalid Kubernetes version %q: %w", version, err)
	}
	r.capabilities = common.DefaultCapabilities.Copy()
	r.capabilities.KubeVersion = *kube
	r.capabilities.APIVersions = append(r.capabilities.APIVersions[:len(r.capabilities.APIVersions):len(
		r.capabilities.APIVersions)], o.APIVersions...)
	r.capabilities.HelmVersion.Version = helmVersion
	r.warnings = conflicts(l.chart, values)
	return r, nil
}

// once renders a fresh copy of the chart, with the clock ahead by shift. It also returns the varying
// functions that each template used.
func (e *Engine) once(ctx context.Context, r *release, shift time.Duration) ([]document,
	map[string][]use, error) {
	c := copyChart(r.chart)
	if err := settle(c, r.values); err != nil {
		return nil, nil, &object.ReadError{File: r.origin, Err: err}
	}
	values, err := merger{}.values(c, r.values)
	if err != nil {
		return nil, nil, &object.ReadError{File: r.origin, Err: err}
	}
	r.losses = ignoredNulls(r, c, values)
	warnings, err := validate(r, c, values)
	r.warnings = append(r.warnings, warnings...)
	if err != nil {
		return nil, nil, err
	}
	kube := r.capabilities.KubeVersion
	if want := c.Metadata.KubeVersion; want != "" && !compatible(want, kube.String()) {
		return nil, nil, r.wrong("kubeVersion", fmt.Errorf("the chart requires Kubernetes %s, not %s",
			want, kube.Version))
	}
	parsed, err := templatesOf(r, c, e.funcs)
	if err != nil {
		return nil, nil, err
	}
	run, err := newRun(r, parsed, e.funcs, shift, &meter{ctx: ctx, limits: e.limits})
	if err != nil {
		return nil, nil, err
	}
	texts, err := run.execute(scopesOf(r, c, values))
	if err != nil {
		return nil, nil, err
	}
	docs, err := documents(r, c, texts, parsed.origins)
	return docs, run.used, err
}

var errTooLong = errors.New("it takes too long")
