package promote

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"slipway/internal/check/finding"
	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/git/forge"
	"slipway/internal/image"
	"slipway/internal/project"
	"slipway/internal/project/source"
	"slipway/internal/release"
	"slipway/internal/render"
)

var (
	// ErrNotBuilt refuses an image that no registry has: a promotion builds nothing.
	ErrNotBuilt = errors.New("is not in its registry, and promote does not build images")
	// ErrNotStated says that neither the manifests nor a release of the other environment name an image's
	// digest.
	ErrNotStated = errors.New("its digest is unknown")
)

// Options say which images are promoted, and what happens to the edited files.
type Options struct {
	// From is the environment whose images are promoted. Empty: the images that were built from this commit.
	From string
	// Proven promotes the images of From's newest release, and fails with a *GateError unless that is healthy.
	// The gates of the environment demand that too.
	Proven bool
	// Images are references of images, which are promoted in place of those that were built from this commit.
	Images []string
	// Follow promotes what the tags of registries say for the images of the environment that follow them.
	Follow bool
	// PastGates is why the gates of the environment do not hold this time; it goes into the commit.
	PastGates string
	// Commit commits the edited files. Push commits them on top of the branch's upstream, and pushes.
	Commit, Push bool
	// Forge returns where a pull request is opened for a repository, in place of a push to the branch itself;
	// nil: none is.
	Forge func(repository string) (forge.Forge, error)
	// Checks returns where the checks of a repository's commits are read; nil: at the forge of its URL, with
	// the token of the user's environment.
	Checks func(repository string) (forge.Forge, error)
	// Older permits replacing an image by one of an earlier commit or version.
	Older bool
	// Decided receives what the gates say, and ends the promotion with its error; nil: Decision.Err does.
	Decided func(Decision) error
	// Consent receives the result before anything is written, and ends the promotion with its error; nil: it
	// needs none.
	Consent func(Result) error
	// Connect is how the cluster of From is reached, which is asked for its last healthy release where
	// its manifests do not name each image by digest.
	Connect deploy.ConnectOptions

	proof   *Proof
	reasons []string
}

// Result is what a promotion did.
type Result struct {
	Environment string `json:"environment"`
	Promotion
	// Commit holds the edits; empty where they are only in the working tree.
	Commit string `json:"commit"`
	// Upstream is the branch that the commit was pushed to, such as "origin/main"; empty where it was not
	// pushed.
	Upstream string `json:"-"`
	// PullRequest is the page of the pull request; Opened: it is a new one.
	PullRequest string `json:"pullRequest,omitempty"`
	Opened      bool   `json:"-"`

	base    string // the commit that it is made on; empty: the working tree is edited
	message message
}

// Run writes the images that an environment is to run into its files, and commits and pushes them as the
// options say. It changes no cluster.
func Run(ctx context.Context, t deploy.Target, o Options) (Result, error) {
	o.Commit = o.Commit || o.Push || o.Forge != nil
	held, unasked := quarantine(ctx, t, o.Connect)
	t.Cluster = nil // only registries are asked about images
	t.Notify = distinct(t.Notify)
	committed := t
	if t.Source.Dirty && t.Source.Commit != "" && (o.Commit || o.From == "") {
		src, remove, err := source.At(ctx, t.Source.Project.Dir, t.Source.Commit)
		if err != nil {
			return Result{}, err
		}
		defer remove()
		if committed, err = inSource(t, src); err != nil {
			return Result{}, err
		}
	}
	file, err := uncommitted(ctx, t, committed)
	if err != nil {
		return Result{}, err
	}
	from, must, err := gated(t, o)
	if err != nil {
		return Result{}, err
	}
	var pins []image.Pin
	var notes []string
	switch {
	case o.Follow:
		var f Following
		f, err = followHere(ctx, committed, held)
		o.reasons, pins, notes = f.Reasons, f.Pins, f.Notes
	case must:
		var p Proof
		p, err = proveFor(ctx, t, from, held, o)
		o.proof, pins, notes = &p, p.Images, p.notes
	case len(o.Images) > 0:
		pins, notes, err = given(ctx, committed, o.Images)
	default:
		pins, notes, err = wanted(ctx, committed, o)
	}
	if none := new(NoImageError); errors.As(err, &none) && len(t.Source.Project.Images) > len(none.Images) {
		none.Uncommitted = file
	}
	if err != nil {
		return Result{}, err
	}
	if o.Follow && len(pins) == 0 {
		none := Promotion{Changes: []finding.Change{}, Notes: notes}
		return Result{Environment: t.Environment.Name, Promotion: none}, nil
	}
	if rel, pin, ok := held.QuarantinedImage(pins); ok {
		return Result{}, &deploy.QuarantinedError{Environment: t.Environment.Name, Release: rel,
			Image: pin.Reference(), Promoting: true}
	}
	notes = append(notes, unasked...)
	act := edit
	if o.Commit {
		act = commit
	}
	result, err := act(ctx, t, pins, o)
	result.Notes = append(notes, result.Notes...)
	if file != "" {
		result.Notes = append(result.Notes, file+" is not committed as it is: promote reads the committed one")
	}
	return result, err
}

// uncommitted returns the project file where it is not as in the commit that is promoted from; else empty.
func uncommitted(ctx context.Context, t, committed deploy.Target) (string, error) {
	if t.Source.Project.Dir == committed.Source.Project.Dir {
		return "", nil
	}
	dir := t.Source.Project.Dir
	r, err := git.Open(ctx, dir)
	if err != nil {
		return "", err
	}
	unclean, err := r.Unclean(ctx, dir, []string{project.File})
	if err != nil || len(unclean) == 0 {
		return "", err
	}
	return project.File, nil
}

// distinct passes each message about images on once: they are looked up for the edit, and again in the files
// that have it.
func distinct(notify func(deploy.Event)) func(deploy.Event) {
	if notify == nil {
		return nil
	}
	said := map[string]bool{}
	var mu sync.Mutex
	return func(e deploy.Event) {
		mu.Lock()
		again := e.Step == deploy.Image && said[e.Message]
		said[e.Message] = true
		mu.Unlock()
		if !again {
			notify(e)
		}
	}
}

// inSource is the target with another state of its source.
func inSource(t deploy.Target, src project.Source) (deploy.Target, error) {
	env, err := src.Project.Environment(t.Environment.Name)
	t.Source, t.Environment = src, env
	return t, err
}

// wanted returns the images to promote: those of this commit, or those of another environment.
func wanted(ctx context.Context, t deploy.Target, o Options) (pins []image.Pin, notes []string, err error) {
	if o.From != "" {
		return imagesOf(ctx, t, o)
	}
	if len(t.Source.Project.Images) == 0 {
		return nil, nil, noImage(ctx, t, t.Environment)
	}
	prepared, err := deploy.Prepare(ctx, t, deploy.PrepareOptions{Anew: true, Unsigned: true})
	if err != nil {
		return nil, nil, err
	}
	if len(prepared.Images) == 0 {
		return nil, nil, noImage(ctx, t, t.Environment)
	}
	for _, pin := range prepared.Images {
		if pin.Digest == "" {
			return nil, nil, fmt.Errorf("promote to %s: %s %w", t.Environment.Name, pin.Reference(), ErrNotBuilt)
		}
	}
	return prepared.Images, nil, nil
}

// noImage is the error of an environment that uses no image of the project.
func noImage(ctx context.Context, t deploy.Target, env project.Environment) error {
	e := &NoImageError{Environment: env.Name}
	for _, img := range t.Source.Project.Images {
		e.Images = append(e.Images, img.Name)
	}
	result, err := render.Render(ctx, t.Source.Project, env, t.Render)
	if err != nil {
		return err
	}
	e.Used = repositories(result.Set)
	return e
}

// imagesOf returns the images that an environment's manifests name by digest, and for the others those of its
// last healthy release.
func imagesOf(ctx context.Context, t deploy.Target, o Options) (
	pins []image.Pin, notes []string, err error) {
	env, err := t.Source.Project.Environment(o.From)
	if err != nil {
		return nil, nil, err
	}
	pins, missing, err := Stated(ctx, t.Source.Project, env, t.Render)
	if err != nil {
		return nil, nil, err
	}
	if len(pins)+len(missing) == 0 { // the project deploys what others build
		pins, err := named(ctx, t.Source.Project, t.Environment, env, t.Render)
		if err != nil {
			return nil, nil, err
		}
		return resolvedFrom(ctx, t, env, pins)
	}
	if len(missing) == 0 {
		return pins, nil, nil
	}
	running, err := running(ctx, t.Source, env, o.Connect)
	why := "no healthy release is recorded"
	if err != nil {
		why = "reading the releases failed: " + err.Error()
	}
	for _, name := range missing {
		i := slices.IndexFunc(running, func(pin image.Pin) bool { return pin.Name == name && pin.Digest != "" })
		if i < 0 {
			return nil, nil, fmt.Errorf("promote from %s: %s: %w: the manifests do not name it, and %s",
				o.From, name, ErrNotStated, why)
		}
		pins = append(pins, running[i])
	}
	return pins, nil, nil
}

// resolveTime limits how long a registry may take to resolve a tag.
const resolveTime = 5 * time.Second

// resolved are pins with the digests that their tags have now, so that what was tested is what is promoted.
// It fails with an *image.NotFoundError for a tag that does not exist. Where a registry does not answer, the
// tag stands alone, and a note says so.
func resolved(ctx context.Context, t deploy.Target, env project.Environment, pins []image.Pin) (
	[]image.Pin, []string, error) {
	var notes []string
	for i, pin := range pins {
		if pin.Digest != "" {
			continue
		}
		at := reached(env, pin)
		within, cancel := context.WithTimeout(ctx, resolveTime)
		found, err := image.Resolve(within, at.Reference(), t.Reach(image.Options{}))
		cancel()
		if missing := new(image.NotFoundError); errors.As(err, &missing) || ctx.Err() != nil {
			return nil, nil, err
		}
		if err != nil {
			notes = append(notes, fmt.Sprintf("%s is promoted without its digest: %v", pin.Reference(), err))
		}
		pins[i].Digest = found.Digest
	}
	return pins, notes, nil
}

// resolvedFrom is resolved for the images of another environment.
func resolvedFrom(ctx context.Context, t deploy.Target, from project.Environment, pins []image.Pin) (
	[]image.Pin, []string, error) {
	pins, notes, err := resolved(ctx, t, from, pins)
	if err != nil {
		err = fmt.Errorf("promote from %s: %w", from.Name, err)
	}
	return pins, notes, err
}

// running returns the images of an environment's last healthy release.
func running(
	ctx context.Context, src project.Source, env project.Environment, o deploy.ConnectOptions,
) ([]image.Pin, error) {
	t, err := deploy.Connect(src, env, o)
	if err != nil {
		return nil, err
	}
	history, err := t.Records().History(ctx)
	i := slices.IndexFunc(history, release.Release.Proven)
	if i < 0 {
		return nil, err
	}
	return history[i].Images, nil
}

// askTime limits how long the cluster of the target may take to say what is in quarantine.
const askTime = 5 * time.Second

// quarantine reads the record of the environment that is promoted to, which holds bad images back. Where it
// cannot be read, a note says so: the deploy will read it.
func quarantine(ctx context.Context, t deploy.Target, o deploy.ConnectOptions) (release.Past, []string) {
	to, err := deploy.Connect(t.Source, t.Environment, o)
	var past release.Past
	if err == nil {
		within, cancel := context.WithTimeout(ctx, askTime)
		defer cancel()
		past.Releases, err = to.Records().History(within)
	}
	if err != nil {
		return past, []string{fmt.Sprintf("the quarantine of %s was not read: %v", t.Environment.Name, err)}
	}
	return past, nil
}

func (r Result) consented(o Options) error {
	if o.Consent == nil {
		return nil
	}
	return o.Consent(r)
}

// edit writes the promotion into the working tree.
func edit(ctx context.Context, t deploy.Target, pins []image.Pin, o Options) (Result, error) {
	dir := t.Source.Project.Dir
	promotion, err := Plan(ctx, t.Source.Project, t.Environment, pins, t.Render)
	result := Result{Environment: t.Environment.Name, Promotion: promotion}
	if err != nil {
		return result, err
	}
	repository, err := git.Open(ctx, dir)
	isNone := errors.Is(err, git.ErrNone) || errors.Is(err, git.ErrNoProgram)
	if err != nil && !isNone {
		return result, err
	}
	past := past{t: t}
	if !isNone {
		past.repository = &repository
	}
	if err := past.refuseOlder(ctx, &result, o); err != nil {
		return result, err
	}
	if err := result.consented(o); err != nil {
		return result, err
	}
	return result, project.ReplaceFiles(ctx, dir, promotion.Files)
}
