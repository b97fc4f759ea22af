package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"slipway/internal/object"
	"slipway/internal/render"
)

// renderDropin holds the flags of --kustomize and --chart.
type renderDropin struct {
	render.DropIn
	restrictor string
}

const (
	rootOnly     = "LoadRestrictionsRootOnly"
	unrestricted = "LoadRestrictionsNone"
)

func (d *renderDropin) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&d.Kustomize, "kustomize", "", "render this overlay as kustomize build does")
	f.StringVar(&d.restrictor, "load-restrictor", rootOnly, "with --kustomize: "+unrestricted+
		" also reads files outside the kustomization's directory")
	f.StringVar(&d.Chart.Path, "chart", "", "render this chart as helm template does")
	f.StringVar(&d.Chart.Release, "release", "release-name", "with --chart: the release's name")
	f.StringArrayVarP(&d.Chart.Values, "values", "f", nil, "with --chart: a values file; later files win")
	f.StringArrayVar(&d.Chart.SetJSON, "set-json", nil,
		"with --chart: values as key=JSON; wins over values files")
	f.StringArrayVar(&d.Chart.Set, "set", nil, "with --chart: values as key=value; wins over --set-json")
	f.StringArrayVar(&d.Chart.SetString, "set-string", nil,
		"with --chart: values as key=string; wins over --set")
	f.StringArrayVar(&d.Chart.SetFile, "set-file", nil,
		"with --chart: values as key=file; wins over --set-string")
	f.StringArrayVar(&d.Chart.SetLiteral, "set-literal", nil,
		"with --chart: values as key=text, taken literally; wins over all others")
	f.StringVar(&d.Helm.KubeVersion, "kube-version", "", "with --chart: Kubernetes version")
	f.StringSliceVarP(&d.Helm.APIVersions, "api-versions", "a", nil,
		"with --chart: additional API versions of the cluster")
	f.BoolVar(&d.Helm.IncludeCRDs, "include-crds", false, "with --chart: include the chart's crds directory")
	f.BoolVar(&d.Helm.SkipTests, "skip-tests", false, "with --chart: leave out test hooks")
	f.BoolVar(&d.Helm.NoHooks, "no-hooks", false, "with --chart: leave out hooks")
	f.BoolVar(&d.Helm.IsUpgrade, "is-upgrade", false,
		"with --chart: .Release.IsUpgrade instead of .Release.IsInstall")
	f.StringArrayVarP(&d.Helm.ShowOnly, "show-only", "s", nil, "with --chart: only these templates")
}

func (d *renderDropin) asked() bool { return d.Path() != "" }

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
	d := o.dropin.DropIn
	d.LoadRestrictionsNone = o.dropin.restrictor == unrestricted
	d.Secrets, d.Single = o.show, o.digest || o.out.dir != ""
	d.Helm.Namespace, d.Root = a.namespace, given(a.dir)
	out, err := render.RenderDropIn(ctx, d, a.renderOptions("render"))
	if err != nil {
		return err
	}
	for _, w := range out.Warnings {
		a.warn("warning: %s", w)
	}
	return o.printObjects(a, d.Path(), out.Objects)
}

func (o renderFlags) printObjects(a *app, name string, objects []object.Object) error {
	switch {
	case o.digest:
		set, err := object.SetOf(objects)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.stdout, "%s  %s\n", set.Digest(), name)
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
