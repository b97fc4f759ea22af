package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render"
)

// renderFlags are the flags of render; renderDropin has those of --kustomize and --chart.
type renderFlags struct {
	out         renderOutput
	all, digest bool
	show        bool
	dropin      renderDropin
	skaffold    renderSkaffold
	push        renderPush
}

func newRenderCommand(a *app) *cobra.Command {
	o := renderFlags{out: renderOutput{kind: asYAML}}
	cmd := &cobra.Command{
		Use: "render ENV... | --all | --kustomize DIR | --chart DIR", Short: "Render an environment's manifests",
		Long: `Prints the objects of an environment's overlay, charts or directory on stdout. It contacts
no cluster and no registry. Images and Secret values are printed as written; values that SOPS decrypted
are hidden. The result is cached in the user's cache directory until one of the files it depends on
changes; SLIPWAY_CACHE=off disables the cache.

Without a project, --kustomize DIR prints the output of "kustomize build DIR", and --chart DIR prints
that of "helm template NAME DIR", with the flags of the same names. Neither is cached. --kustomize
leaves files that SOPS encrypted as they are, unless --show-secrets decrypts them.

--push checks the environment at a commit as a deploy does, resolves its images, and pushes the objects
with their source lines to a registry. The same commit gives the same digest, and TAG moves to it.
--sign signs the objects in the format of cosign 3; an agent deploys only signed ones. Objects with
values that SOPS decrypted are not pushed.`,
	}
	f := cmd.Flags()
	f.VarP(&o.out, "output", "o", "yaml, json (one object per line), or a directory such as ./out for one "+
		"file per object")
	f.BoolVar(&o.all, "all", false, "render every environment")
	f.BoolVar(&o.digest, "digest", false,
		"print only the digest of each set, which does not depend on order or formatting")
	f.BoolVar(&o.show, "show-secrets", false, "print decrypted values instead of "+object.Hidden)
	o.dropin.flags(cmd)
	o.skaffold.flags(cmd)
	o.push.flags(cmd)
	cmd.Args = func(_ *cobra.Command, args []string) error { return o.oneSource(a, cmd, args) }
	cmd.RunE = func(c *cobra.Command, args []string) error {
		if o.dropin.asked() {
			return runDropin(c.Context(), a, o)
		}
		if o.push.to != "" {
			return o.push.run(c.Context(), a, args[0])
		}
		return runRender(c.Context(), a, args, o)
	}
	return cmd
}

// oneSource refuses a command line that does not select exactly one source.
func (o *renderFlags) oneSource(a *app, cmd *cobra.Command, args []string) error {
	given := 0
	for _, asked := range []bool{len(args) > 0, o.all, o.dropin.Kustomize != "", o.dropin.Chart.Path != "",
		len(o.skaffold.profiles) > 0} {
		if asked {
			given++
		}
	}
	switch {
	case given == 0:
		return a.envArgs(0)(cmd, args)
	case given > 1:
		return fmt.Errorf("%s takes one of: environments, --all, -p, --kustomize, --chart", cmd.CommandPath())
	}
	if err := o.push.check(*o, args); err != nil {
		return err
	}
	return o.dropin.check(cmd)
}

// renderOptions are the options of this machine; command selects Skaffold profiles by `activation.command`.
func (a *app) renderOptions(command string) render.Options {
	o := render.Options{Version: version + buildID(), Command: command, KubeContext: a.context,
		Env: os.LookupEnv}
	if os.Getenv("SLIPWAY_CACHE") != "off" {
		if dir, err := os.UserCacheDir(); err == nil {
			o.Cache = filepath.Join(dir, "slipway")
		}
	}
	return o
}

// buildID differs between two builds of one version, so that a developer's build does not read the other's
// cache.
func buildID() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" %d %d", info.Size(), info.ModTime().UnixNano())
}

func runRender(ctx context.Context, a *app, names []string, o renderFlags) error {
	open := func() (project.Project, error) { return a.projectOf(names...) }
	if o.all {
		open = a.project
	}
	p, err := open()
	if err != nil {
		return err
	}
	envs, err := p.Chosen(names, o.skaffold.profiles)
	if err != nil {
		return err
	}
	for i := range envs {
		envs[i].Namespace = cmp.Or(a.namespace, envs[i].Namespace)
	}
	r, err := render.OpenProject(p, a.renderOptions("render"))
	if err != nil {
		return err
	}
	defer r.Close()
	if o.skaffold.explain {
		return o.skaffold.run(ctx, a, r, envs, o.out)
	}
	var errs []error
	form := render.Form{Text: o.out.kind == asYAML && !o.digest, Digest: o.digest, Secrets: o.show}
	for result := range r.Each(ctx, envs, form) {
		errs = append(errs, o.print(a, result, len(envs) > 1, len(errs) > 0))
	}
	return errors.Join(errs...)
}

// print prints a result, or returns its error.
func (o renderFlags) print(a *app, r render.Rendered, several, later bool) error {
	for _, w := range r.Warnings {
		a.warn("warning: %s", w)
	}
	if r.Err != nil {
		return r.Err
	}
	switch {
	case o.digest:
		_, err := fmt.Fprintf(a.stdout, "%s  %s\n", r.Digest, r.Environment.Name)
		return err
	case o.out.kind == asJSON:
		return jsonLines(a.stdout, r.Objects)
	case o.out.dir != "":
		dir := o.out.dir
		if several {
			dir = filepath.Join(dir, r.Environment.Name)
		}
		return writeDirectory(a.cli, dir, r.Objects)
	}
	var head string
	if later {
		head = "---\n"
	}
	if several {
		head += fmt.Sprintf("# environment %s, %d objects\n", r.Environment.Name, r.Text.Objects)
	}
	if _, err := io.WriteString(a.stdout, head); err != nil {
		return err
	}
	_, err := a.stdout.Write(r.YAML)
	return err
}

func writeDirectory(c *cli, dir string, objects []object.Object) error {
	if err := render.WriteDirectory(dir, objects); err != nil {
		return err
	}
	c.warn("%s in %s", count(len(objects), "object"), dir)
	return nil
}

func jsonLines(w io.Writer, objects []object.Object) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	for _, o := range objects {
		if err := enc.Encode(o.Body); err != nil {
			return err
		}
	}
	_, err := w.Write(text.Bytes())
	return err
}

// renderOutput is the value of render's --output.
type renderOutput struct {
	kind format
	dir  string
}

func (v *renderOutput) String() string { return v.dir + string(v.kind) }
func (v *renderOutput) Type() string   { return "yaml, json or DIR" }
func (v *renderOutput) Set(s string) error {
	switch {
	case s == string(asYAML) || s == string(asJSON):
		*v = renderOutput{kind: format(s)}
	case strings.ContainsRune(s, filepath.Separator) || s == ".":
		*v = renderOutput{dir: s}
	default:
		return fmt.Errorf("invalid format %q: want yaml, json or a directory such as ./%s", s, s)
	}
	return nil
}
