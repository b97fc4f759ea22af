package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render"
	"slipway/internal/render/helm"
	"slipway/internal/render/kustomize"
	"slipway/internal/render/tree"
)

// renderDropin renders one overlay or chart without a project, as kustomize and helm would.
type renderDropin struct {
	kustomize  string
	restrictor string
	chart      project.Chart
	helm       helm.Options
}

const (
	rootOnly     = "LoadRestrictionsRootOnly"
	unrestricted = "LoadRestrictionsNone"
)

func (d *renderDropin) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&d.kustomize, "kustomize", "", "render this overlay as kustomize build does")
	f.StringVar(&d.restrictor, "load-restrictor", rootOnly, "with --kustomize: "+unrestricted+
		" also reads files outside the kustomization's directory")
	f.StringVar(&d.chart.Path, "chart", "", "render this chart as helm template does")
	f.StringVar(&d.chart.Release, "release", "release-name", "with --chart: the release's name")
	f.StringArrayVarP(&d.chart.Values, "values", "f", nil, "with --chart: a values file; later files win")
	f.StringArrayVar(&d.chart.SetJSON, "set-json", nil,
		"with --chart: values as key=JSON; wins over values files")
	f.StringArrayVar(&d.chart.Set, "set", nil, "with --chart: values as key=value; wins over --set-json")
	f.StringArrayVar(&d.chart.SetString, "set-string", nil,
		"with --chart: values as key=string; wins over --set")
	f.StringArrayVar(&d.chart.SetFile, "set-file", nil,
		"with --chart: values as key=file; wins over --set-string")
	f.StringArrayVar(&d.chart.SetLiteral, "set-literal", nil,
		"with --chart: values as key=text, taken literally; wins over all others")
	f.StringVar(&d.helm.KubeVersion, "kube-version", "", "with --chart: Kubernetes version")
	f.StringSliceVarP(&d.helm.APIVersions, "api-versions", "a", nil,
		"with --chart: additional API versions of the cluster")
	f.BoolVar(&d.helm.IncludeCRDs, "include-crds", false, "with --chart: include the chart's crds directory")
	f.BoolVar(&d.helm.SkipTests, "skip-tests", false, "with --chart: leave out test hooks")
	f.BoolVar(&d.helm.NoHooks, "no-hooks", false, "with --chart: leave out hooks")
	f.BoolVar(&d.helm.IsUpgrade, "is-upgrade", false,
		"with --chart: .Release.IsUpgrade instead of .Release.IsInstall")
	f.StringArrayVarP(&d.helm.ShowOnly, "show-only", "s", nil, "with --chart: only these templates")
}

// dropinError says that an overlay or chart does not render.
type dropinError struct {
	at  string
	err error
}

func (e *dropinError) Error() string { return fmt.Sprintf("render %s: %v", e.at, e.err) }
func (e *dropinError) Unwrap() error { return e.err }

func (d *renderDropin) asked() bool { return d.kustomize != "" || d.chart.Path != "" }

// check refuses flags without effect.
func (d *renderDropin) check(cmd *cobra.Command) error {
	var err error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		with, _, ok := strings.Cut(strings.TrimPrefix(f.Usage, "with "), ":")
		if ok && strings.HasPrefix(with, "--") && !cmd.Flags().Changed(with[2:]) && err == nil {
			err = fmt.Errorf("--%s needs %s", f.Name, with)
		}
	})
	if d.restrictor != rootOnly && d.restrictor != unrestricted {
		return fmt.Errorf("--load-restrictor: want %s or %s, not %q", rootOnly, unrestricted, d.restrictor)
	}
	return err
}

func runDropin(ctx context.Context, a *app, o renderFlags) error {
	d := o.dropin
	at := d.kustomize + d.chart.Path
	root, err := render.RootOf(at, given(a.dir))
	if err != nil {
		return err
	}
	options := a.renderOptions("render")
	options.Encrypted = d.kustomize != "" && !o.show // kustomize knows nothing of SOPS
	d.helm.WholeLists = !o.digest && o.out.dir == "" // those name single objects
	r, err := render.Open(root, options)
	if err != nil {
		return err
	}
	defer r.Close()
	var out render.Output
	if d.kustomize != "" {
		var dir string
		if dir, err = render.RealPath(d.kustomize); err == nil {
			out, err = r.Kustomize(ctx, dir, kustomize.Options{LoadRestrictionsNone: d.restrictor == unrestricted})
		}
	} else {
		out, err = d.renderChart(ctx, a, r)
	}
	if refused := (*tree.RefusedError)(nil); errors.As(err, &refused) &&
		strings.Contains(refused.Why+refused.What, "outside") {
		err = fmt.Errorf("%w; files are read from %s and below; use --dir for another directory", err, root)
	}
	if err != nil {
		return &dropinError{at, err}
	}
	for _, w := range out.Warnings {
		a.warn("warning: %s", w)
	}
	if !o.show {
		out.Objects = hidden(out.Objects, out.Concealed)
	}
	return o.printObjects(a, at, out.Objects)
}

func (d *renderDropin) renderChart(ctx context.Context, a *app, r *render.Renderer) (render.Output, error) {
	c := d.chart
	var err error
	if c.Path, err = render.RealPath(c.Path); err != nil {
		return render.Output{}, err
	}
	for i, v := range c.Values {
		if c.Values[i], err = render.RealPath(v); err != nil {
			return render.Output{}, err
		}
	}
	for i, v := range c.SetFile {
		key, file, _ := strings.Cut(v, "=")
		if file, err = render.RealPath(file); err != nil {
			return render.Output{}, err
		}
		c.SetFile[i] = key + "=" + file
	}
	d.helm.Namespace = a.namespace
	return r.Chart(ctx, c, d.helm)
}

func (o renderFlags) printObjects(a *app, name string, objects []object.Object) error {
	switch {
	case o.digest:
		var set object.Set
		for _, obj := range objects {
			if err := set.Add(obj); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintf(a.stdout, "%s  %s\n", set.Digest(), name)
		return err
	case o.out.kind == asJSON:
		return jsonLines(a.stdout, objects)
	case o.out.dir != "":
		return writeDirectory(a.cli, o.out.dir, objects)
	}
	return object.WriteYAML(a.stdout, objects)
}

// given is the value of --dir, empty where it has its default.
func given(dir string) string {
	if dir == "." {
		return ""
	}
	return dir
}
