package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"slipway/internal/cluster"
	"slipway/internal/image"
	"slipway/internal/image/signature"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/release"
	"slipway/internal/render"
)

// ErrDirty says that production needs a committed working tree.
var ErrDirty = errors.New("the working tree has uncommitted changes")

// ErrNoCommit says that production needs a commit.
var ErrNoCommit = errors.New("this directory is not in a Git commit")

// Prepared are the desired objects of an environment, with the digests of their images.
type Prepared struct {
	Set    object.Set
	Images []image.Pin
	Commit string
	Tag    string
	Dirty  bool
	// Unstable are the fields that differ on each render.
	Unstable []render.Unstable
	// RollbackOf is the revision of these objects, 0 when they come from source.
	RollbackOf int
	// Revert: these are the objects of the newest release, which were changed in the cluster since.
	Revert bool
	// Crossed are the barriers that a rollback goes back behind on purpose.
	Crossed []string
	// Override: images of the set were promoted without a commit.
	Override *release.Override
	// Delete: the empty set deletes the environment.
	Delete bool
	// Review is what check says about the set, Direction whether it goes back in the history of Git.
	Review    Review
	Direction Direction
	Permits
	// Added are objects that others added since the release, to be deleted although no release made them.
	Added []object.Ref
	// Left are such objects that stay.
	Left []object.Ref
}

// doing describes the deploy in a few words.
func (p Prepared) doing() string {
	switch {
	case p.Delete:
		return "delete"
	case p.Revert:
		return fmt.Sprintf("revert to release %d", p.RollbackOf)
	case p.RollbackOf > 0:
		return fmt.Sprintf("rollback to release %d", p.RollbackOf)
	}
	return "deploy " + p.Tag
}

// PrepareOptions are the options of Prepare.
type PrepareOptions struct {
	// Build images that are in no registry yet. Without it they keep their tag alone, and production may have
	// uncommitted changes.
	Build bool
	// Anew ignores the versions in the manifests: the images are those of this commit.
	Anew bool
	// Image says how to build. Client, Mirror and Notify are the target's.
	Image image.Options
	// Sign signs each image; nil does not.
	Sign *signature.Signer
	// Unsigned accepts images without the signatures that the environment demands: they may be signed later.
	Unsigned bool
	// ordered fails for hooks and orders that a deploy cannot honour, before an image is built.
	ordered bool
}

// Prepare renders the environment, resolves or builds its images, and sets their digests. It reads the
// cluster only for charts that ask for it.
func Prepare(ctx context.Context, t Target, o PrepareOptions) (Prepared, error) {
	r, err := renderTarget(ctx, t, o)
	if err != nil {
		return Prepared{}, err
	}
	defer r.close()
	return pinTarget(ctx, t, r, o)
}

// rendering is an environment as it was rendered, with the version and namespace of its cluster.
type rendering struct {
	renderer *render.Renderer // nil: another process rendered it
	env      project.Environment
	result   render.Result
	others   []other // of another process
}

// close releases the renderer.
func (r rendering) close() error {
	if r.renderer == nil {
		return nil
	}
	return r.renderer.Close()
}

// renderTarget renders the environment. The caller closes the renderer.
func renderTarget(ctx context.Context, t Target, o PrepareOptions) (rendering, error) {
	if err := committed(t); err != nil && o.Build {
		return rendering{}, fmt.Errorf("prepare %s: %w", t.Environment.Name, err)
	}
	renderer, err := render.OpenProject(t.Source.Project, t.Render)
	if err != nil {
		return rendering{}, &render.Error{Environment: t.Environment.Name, Err: err}
	}
	if t.opened != nil {
		t.opened(renderer)
	}
	r, err := renderEnvironment(ctx, t, renderer, t.Environment)
	if err == nil && o.ordered {
		err = schedulable(t.Environment.Name, r.result.Set)
	}
	if err != nil {
		return rendering{}, errors.Join(err, renderer.Close())
	}
	for _, ref := range r.result.LeftOut {
		t.say(Rendering, &ref, "left out: it is a hook, and noHooks is set")
	}
	return r, nil
}

// schedulable fails when an object does not say properly when it is to be applied.
func schedulable(environment string, set object.Set) error {
	for _, obj := range set.Objects() {
		if _, err := obj.Schedule(); err != nil {
			return fmt.Errorf("prepare %s: %w", environment, err)
		}
	}
	return nil
}

// pinTarget resolves or builds the images of what was rendered, and sets their digests.
func pinTarget(ctx context.Context, t Target, r rendering, o PrepareOptions) (Prepared, error) {
	o.Image = t.Reach(o.Image)
	set := r.result.Set
	pins, err := pinImages(ctx, t, r, set, o)
	if err != nil {
		return Prepared{}, err
	}
	if set, err = image.Put(set, pins); err != nil {
		return Prepared{}, fmt.Errorf("prepare %s: %w", t.Environment.Name, err)
	}
	return Prepared{Set: set, Images: pins, Commit: t.Source.Commit, Tag: t.Source.Tag, Dirty: t.Source.Dirty,
		Unstable: r.result.Unstable}, nil
}

// changedFiles names a few of the uncommitted files.
func changedFiles(t Target) string {
	const most = 3
	files := t.Source.Changed
	if len(files) <= most {
		return strings.Join(files, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(files[:most], ", "), len(files)-most)
}

// committed fails for production when the source is not a commit.
func committed(t Target) error {
	switch {
	case t.Environment.Class != project.Production:
		return nil
	case t.Source.Commit == "":
		return ErrNoCommit
	case t.Source.Dirty:
		return fmt.Errorf("%w: %s", ErrDirty, changedFiles(t))
	}
	return nil
}

func renderEnvironment(
	ctx context.Context, t Target, r *render.Renderer, env project.Environment,
) (rendering, error) {
	if err := capabilities(ctx, t, &env); err != nil {
		return rendering{}, err
	}
	if t.Cluster != nil {
		env.Namespace = t.Cluster.Namespace()
		r = r.WithLookup(func(apiVersion, kind, namespace, name string) (map[string]any, error) {
			return cluster.Lookup(ctx, t.Cluster, apiVersion, kind, namespace, name)
		})
	} else if t.lookup != nil {
		r = r.WithLookup(t.lookup)
	}
	result, err := r.Render(ctx, env)
	if err != nil {
		return rendering{}, err
	}
	for _, w := range result.Warnings {
		t.warn(Rendering, nil, "%s", w)
	}
	return rendering{renderer: r, env: env, result: result}, nil
}

// capabilities sets the version and APIs of the cluster for charts, when the project does not state them.
func capabilities(ctx context.Context, t Target, env *project.Environment) error {
	if t.Cluster == nil || env.KubeVersion != "" || len(env.Charts) == 0 && env.Skaffold == nil {
		return nil
	}
	version, apis, err := cluster.Capabilities(ctx, t.Cluster)
	if err != nil {
		return fmt.Errorf("read the version of the cluster of %s: %w", env.Name, err)
	}
	env.KubeVersion, env.APIVersions = version, append(apis, env.APIVersions...)
	return nil
}

// NoHealthyError says that the environment has no release to roll back to.
type NoHealthyError struct{ Environment string }

func (e *NoHealthyError) Error() string {
	return fmt.Sprintf("%s has no earlier healthy release to roll back to", e.Environment)
}

// wayBack returns the index of the release that a rollback restores, in a history with the newest first: the
// last healthy one before the newest that no later release found down, or else the last healthy one. When the
// newest is a healthy rollback, it is the one before the release that was restored: a second rollback goes
// further back.
func wayBack(history []release.Release) int {
	if len(history) == 0 {
		return -1
	}
	current, below := history[0], history[0].Revision
	if current.Status == release.Healthy {
		for _, rel := range history {
			if rel.Revision == below && rel.RollbackOf > 0 {
				below = rel.RollbackOf
			}
		}
	}
	wanted := func(rel release.Release) bool {
		return rel.Revision < below && rel.Proven() && rel.Digest != current.Digest
	}
	stable := slices.IndexFunc(history, func(rel release.Release) bool {
		return wanted(rel) && !release.WasFoundDown(history, rel.Revision)
	})
	if stable >= 0 {
		return stable
	}
	return slices.IndexFunc(history, wanted)
}

// pinImages resolves or builds the images of the project.
func pinImages(
	ctx context.Context, t Target, r rendering, set object.Set, o PrepareOptions,
) ([]image.Pin, error) {
	if len(t.Source.Project.Images) == 0 {
		return nil, nil
	}
	others, err := r.others, error(nil)
	if r.renderer != nil {
		others, err = renderOthers(ctx, t, r.renderer)
	}
	if err != nil {
		return nil, err
	}
	matches, err := image.Match(usedImages(t.Source.Project.Images, set, others), set)
	if err != nil {
		return nil, fmt.Errorf("images of %s: %w", t.Environment.Name, err)
	}
	if o.Anew {
		for i := range matches {
			matches[i].Tag, matches[i].Digest = "", ""
		}
	}
	by, err := authorities(t, o)
	if err != nil {
		return nil, err
	}
	if len(by) == 0 || !o.Build {
		return ensure(ctx, t, matches, others, by, o)
	}
	// All signatures are verified before the first image is copied.
	verify := o
	verify.Build, verify.Image.Notify = false, nil
	verified, err := ensure(ctx, t, matches, others, by, verify)
	if err != nil {
		return nil, err
	}
	pins, err := ensure(ctx, t, matches, others, nil, o)
	isSame := func(a, b image.Pin) bool { return a.Digest == b.Digest }
	if err == nil && !slices.EqualFunc(verified, pins, isSame) {
		_, err = ensure(ctx, t, matches, others, by, verify) // a tag has moved meanwhile
	}
	return pins, err
}

// other is another environment of the project, rendered.
type other struct {
	environment project.Environment
	set         object.Set
}

func renderOthers(ctx context.Context, t Target, r *render.Renderer) ([]other, error) {
	var others []other
	for _, env := range t.Source.Project.Environments {
		if env.Name == t.Environment.Name {
			continue
		}
		result, err := r.Render(ctx, env)
		if ctx.Err() != nil {
			return nil, err
		}
		if err != nil {
			t.warn(Image, nil, "skipped the images of %s: %v", env.Name, err)
			continue
		}
		others = append(others, other{env, result.Set})
	}
	return others, nil
}

// usedImages leaves out images that only other environments use. An image whose container exists here with
// another image stays, and is an error: that is what an override that matches nothing leaves behind.
func usedImages(images []project.Image, set object.Set, others []other) []project.Image {
	containers := map[string]bool{}
	for _, u := range image.Uses(set) {
		containers[u.Container] = true
	}
	return slices.DeleteFunc(slices.Clone(images), func(img project.Image) bool {
		var unused *image.NoMatchError
		if _, err := image.Match([]project.Image{img}, set); !errors.As(err, &unused) {
			return false
		}
		elsewhere := false
		for _, o := range others {
			matches, err := image.Match([]project.Image{img}, o.set)
			if err != nil || len(matches) == 0 {
				continue
			}
			elsewhere = true
			if slices.ContainsFunc(matches[0].Uses, func(u image.Use) bool { return containers[u.Container] }) {
				return false
			}
		}
		return elsewhere
	})
}

// siblings returns the repositories of the same image in other environments: tested content is copied, not
// built again.
func siblings(img project.Image, others []other) []string {
	var repositories []string
	for _, o := range others {
		matches, err := image.Match([]project.Image{img}, o.set)
		if err != nil {
			continue // only some environments use the image
		}
		for _, m := range matches {
			if r := m.In(o.environment); !slices.Contains(repositories, r) {
				repositories = append(repositories, r)
			}
		}
	}
	return repositories
}
