package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"slipway/internal/ci"
	"slipway/internal/git"
	"slipway/internal/image"
	"slipway/internal/project"
	"slipway/internal/render"
)

// errGitOps says that there would be nothing to commit.
var errGitOps = errors.New("--gitops: the project builds no image, so nothing is promoted")

// notOursError says that a workflow is not written over.
type notOursError struct{ File string }

func (e *notOursError) Error() string {
	return e.File + " was not written by `slipway ci`, was written for another project, or was changed " +
		"outside of the parts that are yours"
}

// errNoStage says that there is nothing that a pipeline would deploy, or that it cannot be named in one.
var errNoStage = errors.New("nothing for a pipeline to deploy")

func newCICommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "ci github|gitlab", Short: "Write the workflow that checks, builds, plans and deploys this project",
		Long: `Writes .github/workflows/slipway.yml or .gitlab-ci.yml: pull requests are checked and get a plan as a
comment, which forks do not; a push to the main branch is built once and passes the environments in the
order of slipway.yaml, those of class production last and behind an environment that you protect. What
only you know, such as how a job logs in to a cluster with OIDC, stands between marks: fill it in once.
Written again, what is between the marks is kept. A file that was changed elsewhere is never written
over: the difference is shown.

With --gitops no job reaches a cluster: each environment's ends with "slipway promote", a commit that says
which images it runs.`,
		ValidArgs: []string{string(ci.GitHub), string(ci.GitLab)},
		Args: func(cmd *cobra.Command, args []string) error {
			err := named("the name of a platform: github or gitlab")(cmd, args)
			if err == nil && !slices.Contains(cmd.ValidArgs, args[0]) {
				err = fmt.Errorf("%s writes for github or gitlab, not for %q", cmd.CommandPath(), args[0])
			}
			return err
		},
	}
	var show, gitops bool
	cmd.Flags().BoolVar(&show, "print", false, "print what would be written")
	cmd.Flags().BoolVar(&gitops, "gitops", false, "end at a commit instead of a deploy")
	cmd.RunE = func(c *cobra.Command, args []string) error {
		return runCI(c.Context(), a, ci.Platform(args[0]), show, gitops)
	}
	return cmd
}

// toFill is how the workflows say that a part must be filled in.
const toFill = "FILL IN"

func (a *app) fillIn(file string) {
	a.warn("next: fill in what stands between %q marks in %s; `grep -n %q` finds it", "yours", file, toFill)
}

func runCI(ctx context.Context, a *app, platform ci.Platform, show, gitops bool) error {
	p, root, err := a.pipeline(ctx)
	if err != nil {
		return err
	}
	if p.GitOps = gitops; gitops && !p.Builds {
		return errGitOps
	}
	text, err := platform.Workflow(p)
	if err != nil {
		return err
	}
	if show {
		fmt.Fprint(a.stdout, text)
		return nil
	}
	top, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer top.Close()
	file := platform.File(p)
	old, err := top.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := project.CreateFile(top, file, text); err != nil {
			return err
		}
		fmt.Fprintln(a.stdout, "wrote", file)
		a.fillIn(file)
		return nil
	case err != nil:
		return err
	}
	renewed, ours := ci.Renew(string(old), text)
	switch {
	case !ours:
		for _, l := range differing(string(old), text) {
			fmt.Fprintln(a.stdout, styleOf(a.stdout).mark(l[:1], clean(l)))
		}
		return &notOursError{file}
	case renewed == string(old):
		fmt.Fprintln(a.stdout, file, "is as it should be")
		return nil
	}
	if err := replaceFile(top, file, renewed); err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, "wrote", file, "again, with what is yours in it")
	if strings.Count(renewed, toFill) > strings.Count(string(old), toFill) {
		a.fillIn(file)
	}
	return nil
}

// replaceFile leaves the old file or the new one, never a part.
func replaceFile(top *os.Root, file, text string) error {
	beside := file + ".new"
	if err := top.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := project.CreateFile(top, beside, text); err != nil {
		return err
	}
	return top.Rename(beside, file)
}

// shellWord is what stands in scripts as it is.
var shellWord = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// pipeline is what a workflow needs to know of the project, and the root of its repository.
func (a *app) pipeline(ctx context.Context) (p ci.Project, root string, err error) {
	here, err := project.Open(a.dir)
	if err != nil {
		return p, "", err
	}
	for _, n := range here.Notes {
		a.warn("note: %s", n)
	}
	repository, err := git.Open(ctx, here.Dir)
	if err != nil {
		return p, "", err
	}
	p = ci.Project{Name: here.Name, Builds: len(here.Images) > 0}
	if p.Branch, err = repository.Main(ctx); err != nil {
		return p, "", err
	}
	if p.Folder, err = below(repository.Dir, here.Dir); err != nil {
		return p, "", err
	}
	envs := slices.DeleteFunc(slices.Clone(here.Environments), func(e project.Environment) bool {
		return e.Class == project.Local
	})
	last := func(e project.Environment) bool { return e.Class == project.Production }
	first := slices.DeleteFunc(slices.Clone(envs), last)
	envs = append(first, slices.DeleteFunc(envs, func(e project.Environment) bool { return !last(e) })...)
	for _, e := range envs {
		if !shellWord.MatchString(e.Name) || !shellWord.MatchString(here.Name) {
			return p, "", fmt.Errorf("%w: %q of %q is no name that stands in a script as it is", errNoStage,
				e.Name, here.Name)
		}
		p.Stages = append(p.Stages, ci.Stage{Name: e.Name, Context: cmp.Or(e.Context, e.Name), Production: last(e)})
	}
	if len(p.Stages) == 0 {
		return p, "", fmt.Errorf("%w: every environment is local, and no pipeline reaches a laptop's cluster",
			errNoStage)
	}
	if p.Signing, err = signedBy(envs); err != nil {
		return p, "", err
	}
	err = a.destinations(ctx, here, envs, &p)
	return p, repository.Dir, err
}

// signedBy is the way that all environments accept which demand signatures.
func signedBy(envs []project.Environment) (ci.Signing, error) {
	demanding := slices.DeleteFunc(slices.Clone(envs), func(e project.Environment) bool {
		return len(e.Signatures) == 0
	})
	if len(demanding) == 0 {
		return "", nil
	}
	all := func(accepts func(project.Signature) bool) bool {
		return !slices.ContainsFunc(demanding, func(e project.Environment) bool {
			return !slices.ContainsFunc(e.Signatures, accepts)
		})
	}
	switch {
	case all(func(s project.Signature) bool { return s.Identity != "" }):
		return ci.Keyless, nil
	case all(func(s project.Signature) bool { return s.Key != "" }):
		return ci.Key, nil
	}
	return "", fmt.Errorf("%w: some environments demand the signature of a key, others of an identity, and a "+
		"build makes one", errNoStage)
}

// below is where dir lies in root; empty: it is the same.
func below(root, dir string) (string, error) {
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return "", err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", err
	}
	rel, err := filepath.Rel(root, dir)
	return strings.TrimPrefix(path.Clean(filepath.ToSlash(rel)), "."), err
}

// destinations are where the images of the environments go.
func (a *app) destinations(ctx context.Context, here project.Project, envs []project.Environment,
	p *ci.Project) error {
	options := a.renderOptions("render")
	options.Remotes = here.Remotes
	r, err := render.Open(here.Dir, options)
	if err != nil {
		return err
	}
	defer r.Close()
	where := map[string]string{}
	for _, env := range envs {
		result, err := r.Render(ctx, env)
		if err != nil {
			return err
		}
		matched, err := image.Match(here.Images, result.Set)
		if err != nil {
			return err
		}
		for _, m := range matched {
			repository, err := name.NewRepository(m.In(env))
			if err != nil {
				return err
			}
			if first, ok := where[m.Image.Name]; ok && first != repository.Name() {
				p.Copies = true
			}
			where[m.Image.Name] = repository.Name()
			if host := repository.RegistryStr(); !slices.Contains(p.Registries, host) {
				p.Registries = append(p.Registries, host)
			}
		}
	}
	return nil
}

// differing are the lines that one text has and the other has not, in their order; "…" is where lines
// that both have are left out.
func differing(before, after string) []string {
	a, b := strings.Split(before, "\n"), strings.Split(after, "\n")
	if len(a)*len(b) > 4_000_000 {
		return lineDiff(before, after)
	}
	common := make([][]int, len(a)+1) // how many lines the rests have in common
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if common[i][j] = max(common[i+1][j], common[i][j+1]); a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	lines := []string{"- what is there", "+ what would be written"}
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			if lines[len(lines)-1] != "  …" {
				lines = append(lines, "  …")
			}
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			lines = append(lines, "- "+a[i])
			i++
		default:
			lines = append(lines, "+ "+b[j])
			j++
		}
	}
	return lines
}
