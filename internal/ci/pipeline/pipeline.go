// Package pipeline makes the CI workflow of a project: it describes the project to the template of a
// platform, and writes the file. It never overwrites a file that it did not write.
package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"slipway/internal/ci"
	"slipway/internal/git"
	"slipway/internal/image"
	"slipway/internal/project"
	"slipway/internal/render"
)

var (
	// ErrNoStage says that no environment of the project can be deployed by a pipeline.
	ErrNoStage = errors.New("a pipeline has nothing to deploy")
	// ErrNoImage says that a workflow that promotes has nothing to commit.
	ErrNoImage = errors.New("the project builds no image, so nothing can be promoted")
)

// ForeignError says that a file was not written by `slipway ci` for this project, or was edited outside the
// parts that belong to the user. It is not overwritten.
type ForeignError struct{ File, Old, New string }

func (e *ForeignError) Error() string {
	return e.File + " was not written by `slipway ci` for this project, or was edited outside its " +
		"\"yours\" marks"
}

// Workflow is the workflow of a project for one platform.
type Workflow struct {
	// File is relative to Root, the root of the repository.
	Root, File, Text string
	// Warnings say what could not be filled in.
	Warnings []string
}

// Options say how to make a workflow.
type Options struct {
	// GitOps: the last step is a commit that says which images run, not a deploy.
	GitOps bool
	// Releases is the URL below which versions of Slipway are published, and Version the one that jobs download.
	// Without Releases the user fills in what they download.
	Releases, Version string
	Render            render.Options
}

// Make makes the workflow of a project. It renders the environments to learn which registries their images
// are in, and fails with ErrNoStage or ErrNoImage where the workflow would do nothing.
func Make(ctx context.Context, p project.Project, platform ci.Platform, o Options) (Workflow, error) {
	repository, err := git.Open(ctx, p.Dir)
	if err != nil {
		return Workflow{}, err
	}
	d := ci.Project{Name: p.Name, Builds: len(p.Images) > 0, GitOps: o.GitOps}
	if d.GitOps && !d.Builds {
		return Workflow{}, ErrNoImage
	}
	if d.Branch, err = repository.Main(ctx); err != nil {
		return Workflow{}, err
	}
	if d.Directory, err = project.Subdirectory(repository.Dir, p.Dir); err != nil {
		return Workflow{}, err
	}
	envs := deployed(p.Environments)
	if d.Stages, err = stages(p.Name, envs); err != nil {
		return Workflow{}, err
	}
	if d.Signing, err = signing(envs); err != nil {
		return Workflow{}, err
	}
	if err := addRegistries(ctx, &d, p, envs, o.Render); err != nil {
		return Workflow{}, err
	}
	w := Workflow{Root: repository.Dir, File: platform.File(d)}
	if o.Releases != "" {
		if d.Install, err = published(ctx, o.Releases, o.Version); err != nil {
			w.Warnings = append(w.Warnings,
				fmt.Sprintf("cannot look up the checksum of %s, fill it in: %v", o.Version, err))
		}
	}
	w.Text, err = platform.Workflow(d)
	return w, err
}

// deployed are the environments that a pipeline deploys: those of class production last, local ones never.
func deployed(all []project.Environment) []project.Environment {
	var envs, production []project.Environment
	for _, e := range all {
		switch e.Class {
		case project.Local:
		case project.Production:
			production = append(production, e)
		default:
			envs = append(envs, e)
		}
	}
	return append(envs, production...)
}

// plainWord is a name that needs no quotes in scripts.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

func stages(name string, envs []project.Environment) ([]ci.Stage, error) {
	var stages []ci.Stage
	for _, e := range envs {
		if !plainWord.MatchString(e.Name) || !plainWord.MatchString(name) {
			return nil, fmt.Errorf("%w: the name %q of %q needs quotes in a script", ErrNoStage, e.Name, name)
		}
		s := ci.Stage{Name: e.Name, Context: cmp.Or(e.Context, e.Name), Production: e.Class == project.Production}
		stages = append(stages, s)
	}
	if len(stages) == 0 {
		const why = "every environment is local, and a pipeline cannot reach a laptop's cluster"
		return nil, fmt.Errorf("%w: %s", ErrNoStage, why)
	}
	return stages, nil
}

// signing is the way of signing that all environments accept which require signatures.
func signing(envs []project.Environment) (ci.Signing, error) {
	requiring := slices.DeleteFunc(slices.Clone(envs), func(e project.Environment) bool {
		return len(e.Signatures) == 0
	})
	if len(requiring) == 0 {
		return "", nil
	}
	all := func(accepted func(project.Signature) bool) bool {
		return !slices.ContainsFunc(requiring, func(e project.Environment) bool {
			return !slices.ContainsFunc(e.Signatures, accepted)
		})
	}
	switch {
	case all(func(s project.Signature) bool { return s.Identity != "" }):
		return ci.Keyless, nil
	case all(func(s project.Signature) bool { return s.Key != "" }):
		return ci.Key, nil
	}
	const why = "some environments require the signature of a key, others of an identity, and a build makes one"
	return "", fmt.Errorf("%w: %s", ErrNoStage, why)
}

// addRegistries adds the registries that the environments' images are in.
func addRegistries(
	ctx context.Context, d *ci.Project, p project.Project, envs []project.Environment, o render.Options,
) error {
	r, err := render.OpenProject(p, o)
	if err != nil {
		return err
	}
	defer r.Close()
	repositories := map[string]string{} // by image
	for _, env := range envs {
		result, err := r.Render(ctx, env)
		if err != nil {
			return err
		}
		matched, err := image.Match(p.Images, result.Set)
		if err != nil {
			return err
		}
		for _, m := range matched {
			repository, err := name.NewRepository(m.In(env))
			if err != nil {
				return err
			}
			if first, ok := repositories[m.Image.Name]; ok && first != repository.Name() {
				d.Copies = true
			}
			repositories[m.Image.Name] = repository.Name()
			if host := repository.RegistryStr(); !slices.Contains(d.Registries, host) {
				d.Registries = append(d.Registries, host)
			}
		}
	}
	return nil
}

// Change is what Write did.
type Change string

// What Write did: nothing, a new file, or a new text that keeps the user's parts of the old one.
const (
	Unchanged Change = "unchanged"
	Created   Change = "created"
	Renewed   Change = "renewed"
)

// Write writes the workflow, and keeps what the user filled in. toFill tells whether the file has parts that
// still must be filled in and that the old one did not have.
func (w Workflow) Write() (change Change, toFill bool, err error) {
	root, err := os.OpenRoot(w.Root)
	if err != nil {
		return Unchanged, false, err
	}
	defer root.Close()
	old, err := root.ReadFile(w.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Created, true, project.CreateFile(root, w.File, w.Text)
	case err != nil:
		return Unchanged, false, err
	}
	text, ours := ci.Renew(string(old), w.Text)
	switch {
	case !ours:
		return Unchanged, false, &ForeignError{File: w.File, Old: string(old), New: w.Text}
	case text == string(old):
		return Unchanged, false, nil
	}
	toFill = strings.Count(text, ci.ToFill) > strings.Count(string(old), ci.ToFill)
	return Renewed, toFill, project.ReplaceFile(root, w.File, []byte(text))
}
