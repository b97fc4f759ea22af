package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"slipway/internal/cluster"
	"slipway/internal/image"
	"slipway/internal/image/signature"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/release"
	"slipway/internal/render"
	"slipway/internal/render/helm"
)

// ErrDirty refuses what no commit describes.
var ErrDirty = errors.New("the working tree has changes that are not committed")

// ErrNoCommit refuses what has no commit at all.
var ErrNoCommit = errors.New("no commit names this state of the source")

// MutableImageError refuses images whose content may change under their name.
type MutableImageError struct {
	Environment string
	Uses        []image.Use
}

func (e *MutableImageError) Error() string {
	u := e.Uses[0]
	more := ""
	if n := len(e.Uses) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}
	return fmt.Sprintf("%s in production environment %s runs %q, which can change without a deploy%s", u.Ref,
		e.Environment, u.Reference, more)
}

// Prepared is what an environment should hold: objects with their digests in place.
type Prepared struct {
	Set    object.Set
	Images []image.Pin
	Commit string
	Tag    string
	Dirty  bool
	// RollbackOf is the revision whose objects these are, 0 for what comes from source.
	RollbackOf int
	// Delete: the empty set is meant.
	Delete bool
}

// doing says in a few words what is done with it.
func (p Prepared) doing() string {
	switch {
	case p.Delete:
		return "delete"
	case p.RollbackOf > 0:
		return fmt.Sprintf("rollback to release %d", p.RollbackOf)
	}
	return "deploy " + p.Tag
}

// PrepareOptions says how far preparing may go.
type PrepareOptions struct {
	// Build what is in no registry yet. Without it such images keep their tag alone, and production
	// may be looked at from a tree with changes.
	Build bool
	// Anew passes over the versions that the manifests state: what this commit's images are is asked.
	Anew bool
	// Image says how to build. Client, Mirror and Notify are the target's.
	Image image.Options
	// Sign signs each image; nil: none.
	Sign *signature.Signer
	// Unsigned images are what somebody may yet sign: the environment's demand for signatures does not hold.
	Unsigned bool
}

// Prepare renders the environment, finds or builds its images, and puts their digests in. It asks
// registries, but no cluster.
func Prepare(ctx context.Context, t Target, o PrepareOptions) (Prepared, error) {
	o.Image = t.reach(o.Image)
	if err := committed(t); err != nil && o.Build {
		return Prepared{}, fmt.Errorf("prepare %s: %w", t.Environment.Name, err)
	}
	options := t.Render
	options.Remotes = t.Source.Project.Remotes
	r, err := render.Open(t.Source.Project.Dir, options)
	if err != nil {
		return Prepared{}, &render.Error{Environment: t.Environment.Name, Err: err}
	}
	defer r.Close()
	set, err := renderEnvironment(ctx, t, r, t.Environment)
	if err != nil {
		return Prepared{}, err
	}
	pins, err := pinImages(ctx, t, r, set, o)
	if err != nil {
		return Prepared{}, err
	}
	if set, err = image.Put(set, pins); err != nil {
		return Prepared{}, fmt.Errorf("prepare %s: %w", t.Environment.Name, err)
	}
	if uses := image.Mutables(set); t.Environment.Class == project.Production && len(uses) > 0 {
		return Prepared{}, &MutableImageError{Environment: t.Environment.Name, Uses: uses}
	}
	return Prepared{Set: set, Images: pins, Commit: t.Source.Commit, Tag: t.Source.Tag, Dirty: t.Source.Dirty},
		nil
}

// changedFiles names a few of the files that no commit describes.
func changedFiles(t Target) string {
	const most = 3
	files := t.Source.Changed
	if len(files) <= most {
		return strings.Join(files, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(files[:most], ", "), len(files)-most)
}

// committed refuses for production what nobody could look up later.
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
) (object.Set, error) {
	if err := capabilities(ctx, t, &env); err != nil {
		return object.Set{}, err
	}
	if t.Cluster != nil {
		env.Namespace = t.Cluster.Namespace()
		r = r.WithLookup(func(apiVersion, kind, namespace, name string) (map[string]any, error) {
			return cluster.Lookup(ctx, t.Cluster, apiVersion, kind, namespace, name)
		})
	}
	result, err := r.Render(ctx, env)
	if err != nil {
		return object.Set{}, err
	}
	for _, w := range result.Warnings {
		t.say(Rendering, nil, "warning: %s", w)
	}
	if len(result.Hooks) > 0 {
		return object.Set{}, &HookError{Environment: env.Name, Hooks: result.Hooks}
	}
	return result.Set, nil
}

// capabilities tells charts which cluster they are rendered for, where the project does not say.
func capabilities(ctx context.Context, t Target, env *project.Environment) error {
	if t.Cluster == nil || env.KubeVersion != "" || len(env.Charts) == 0 && env.Skaffold == nil {
		return nil
	}
	version, apis, err := cluster.Capabilities(ctx, t.Cluster)
	if err != nil {
		return fmt.Errorf("ask the cluster of %s for its version: %w", env.Name, err)
	}
	env.KubeVersion, env.APIVersions = version, append(apis, env.APIVersions...)
	return nil
}

// HookError says that a chart wants objects run at events of its life, which a deploy does not do.
type HookError struct {
	Environment string
	Hooks       map[object.Ref]helm.Hook
}

func (e *HookError) Error() string {
	var hooks []string
	for _, ref := range slices.SortedFunc(maps.Keys(e.Hooks), object.Ref.Compare) {
		hooks = append(hooks, fmt.Sprintf("%s (%s)", ref, strings.Join(e.Hooks[ref].Events, ", ")))
	}
	return fmt.Sprintf("prepare %s: a deploy does not run a chart's hooks: %s", e.Environment,
		strings.Join(hooks, ", "))
}

// NoHealthyError says that there is nothing to go back to.
type NoHealthyError struct{ Environment string }

func (e *NoHealthyError) Error() string {
	return fmt.Sprintf("%s has no earlier healthy release to go back to", e.Environment)
}

// before is the index of the release that a history, newest first, goes back to: the last healthy
// one before the newest. Where the newest is itself a rollback that did well, it is the one before
// what that went back to: a second rollback goes further back, and not to what the first one left.
func before(history []release.Release) int {
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
	return slices.IndexFunc(history, func(rel release.Release) bool {
		return rel.Revision < below && rel.Status == release.Healthy && rel.Digest != current.Digest
	})
}

// pinImages finds or makes the content of each of the project's images.
func pinImages(
	ctx context.Context, t Target, r *render.Renderer, set object.Set, o PrepareOptions,
) ([]image.Pin, error) {
	if len(t.Source.Project.Images) == 0 {
		return nil, nil
	}
	others, err := renderOthers(ctx, t, r)
	if err != nil {
		return nil, err
	}
	matches, err := image.Match(here(t.Source.Project.Images, set, others), set)
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
			t.say(Image, nil, "warning: images of %s are not looked for: %v", env.Name, err)
			continue
		}
		others = append(others, other{env, result.Set})
	}
	return others, nil
}

// here are the project's images without those of other environments alone, whose containers this one
// has not. A container that is there with another image is what an override that matches nothing
// leaves behind, and stays a fault.
func here(images []project.Image, set object.Set, others []other) []project.Image {
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

// siblings are the repositories that the project's other environments use for the same image:
// what was tested there is copied, not built again.
func siblings(img project.Image, others []other) []string {
	var repositories []string
	for _, o := range others {
		matches, err := image.Match([]project.Image{img}, o.set)
		if err != nil {
			continue // an image that only some environments use is no fault of this one
		}
		for _, m := range matches {
			if r := m.In(o.environment); !slices.Contains(repositories, r) {
				repositories = append(repositories, r)
			}
		}
	}
	return repositories
}
