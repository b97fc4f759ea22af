package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/deploy"
	"slipway/internal/finding"
	"slipway/internal/git"
	"slipway/internal/image"
	"slipway/internal/project"
	"slipway/internal/promote"
	"slipway/internal/release"
)

// notBuiltError says that no registry has what is to be promoted.
type notBuiltError struct{ Environment, Reference string }

func (e *notBuiltError) Error() string {
	return fmt.Sprintf("promote to %s: %s is in no registry, and a promotion builds nothing", e.Environment, e.Reference)
}

// notStatedError says that nobody knows what an environment runs.
type notStatedError struct{ Environment, Image, Why string }

func (e *notStatedError) Error() string {
	return fmt.Sprintf("promote from %s: its manifests state no digest of %s, and %s", e.Environment, e.Image, e.Why)
}

// olderError says that what is stated is from a later commit.
type olderError struct{ Environment, Image, Is, Would string }

func (e *olderError) Error() string {
	return fmt.Sprintf("promote %s to %s: %s is there, and %s is from an earlier commit", e.Image, e.Environment, e.Is, e.Would)
}

// changedError says that somebody else has promoted since.
type changedError struct{ Environment, Image, Was, Is string }

func (e *changedError) Error() string {
	return fmt.Sprintf("promote %s to %s: it was %s, and somebody else has made it %s since", e.Image, e.Environment, e.Was, e.Is)
}

// uncleanError says that a file to edit has changes that are not committed.
type uncleanError struct{ Files []string }

func (e *uncleanError) Error() string {
	return "there are changes in " + list(e.Files) + " that are not committed"
}

// unpushedError says that a push would send more than the promotion.
type unpushedError struct {
	Branch, Upstream string
	Commits          int
}

func (e *unpushedError) Error() string {
	return fmt.Sprintf("%s has %s that %s has not", e.Branch, count(e.Commits, "commit"), e.Upstream)
}

type promoteOptions struct {
	from                string
	commit, push, older bool
	out                 *format
}

func newPromoteCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "promote ENV", Short: "Write which images an environment runs into its files, and commit that", Args: a.envArgs(0),
		Long: `Finds this commit's images in the registry, or with --from what another environment states, and writes
tag and digest into the environment's own kustomization or values file: only these values change, byte
for byte. Rendering proves that exactly the places that name the image are different then, and no other
environment; what cannot be decided is refused, and nothing is written. Nothing is built, and no cluster
is changed: whoever keeps the environment deploys the commit.

With --commit the files are committed, and nothing else that has changed; with --push the commit goes
on top of the upstream branch, never by force, and again when others were faster.`,
	}
	o := promoteOptions{out: outputFlag(cmd, asText, asJSON)}
	f := cmd.Flags()
	f.StringVar(&o.from, "from", "", "what this environment states, or runs in its last healthy release, instead of this commit's images")
	f.BoolVar(&o.commit, "commit", false, "commit the edited files")
	f.BoolVar(&o.push, "push", false, "commit, and push to the branch's upstream")
	f.BoolVar(&o.older, "older", false, "also where a later commit is stated")
	cmd.RunE = func(c *cobra.Command, args []string) error { return runPromote(c.Context(), a, args[0], o) }
	return cmd
}

func runPromote(ctx context.Context, a *app, name string, o promoteOptions) error {
	t, err := a.buildTarget(ctx, name)
	if err != nil {
		return err
	}
	p := promoter{app: a, promoteOptions: o, images: a.imageOptions(t), target: t}
	p.target.Cluster = nil // it is asked nothing
	if o.from != "" {
		err = p.stated(ctx)
	} else {
		err = p.built(ctx)
	}
	if err != nil {
		return err
	}
	if o.commit || o.push {
		return p.record(ctx)
	}
	result, err := promote.Plan(ctx, t.Source.Project, t.Environment, p.pins, t.Render)
	if err != nil {
		return err
	}
	if repository, err := git.Open(ctx, t.Source.Project.Dir); err == nil {
		if err := p.newer(ctx, repository, result); err != nil {
			return err
		}
	}
	if err := writeAll(ctx, t.Source.Project.Dir, result.Files); err != nil {
		return err
	}
	return p.report(result, "", "")
}

// promoter is one run of the verb.
type promoter struct {
	*app
	promoteOptions
	target deploy.Target
	images image.Options
	pins   []image.Pin
}

// built are this commit's images, whatever else has changed in the tree.
func (p *promoter) built(ctx context.Context) (err error) {
	t := p.target
	if t.Source.Dirty && t.Source.Commit != "" {
		repository, err := git.Open(ctx, t.Source.Project.Dir)
		if err != nil {
			return err
		}
		remove, err := p.apart(ctx, repository, t.Source.Commit, &t)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, remove()) }()
		t.Source.Tag, t.Source.Dirty = "sha-"+t.Source.Commit[:7], false
	}
	prepared, err := deploy.Prepare(ctx, t, deploy.PrepareOptions{Image: p.images, Anew: true, Unsigned: true})
	if err != nil {
		return err
	}
	for _, pin := range prepared.Images {
		if pin.Digest == "" {
			return &notBuiltError{t.Environment.Name, pin.Reference()}
		}
	}
	p.pins = prepared.Images
	return nil
}

// apart makes a target of what a commit has, in a folder that the returned function removes.
func (p *promoter) apart(ctx context.Context, r git.Repository, commit string, t *deploy.Target) (remove func() error, err error) {
	folder, err := below(r.Dir, t.Source.Project.Dir)
	if err != nil {
		return nil, err
	}
	other, remove, err := r.Apart(ctx, commit)
	if err != nil {
		return nil, err
	}
	if t.Source.Project, err = project.Open(filepath.Join(other.Dir, filepath.FromSlash(folder))); err == nil {
		t.Environment, err = t.Source.Project.Environment(t.Environment.Name)
	}
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	return remove, nil
}

// stated are the images of another environment.
func (p *promoter) stated(ctx context.Context) error {
	src := p.target.Source
	env, err := src.Project.Environment(p.from)
	if err != nil {
		return err
	}
	pins, not, err := promote.Stated(ctx, src.Project, env, p.target.Render)
	if err != nil {
		return err
	}
	if p.pins = pins; len(not) == 0 {
		return nil
	}
	running, err := p.healthy(ctx, src, env)
	if err != nil {
		return &notStatedError{p.from, not[0], "its cluster cannot say: " + err.Error()}
	}
	for _, name := range not {
		i := slices.IndexFunc(running, func(pin image.Pin) bool { return pin.Name == name && pin.Digest != "" })
		if i < 0 {
			return &notStatedError{p.from, name, "no healthy release of it is recorded"}
		}
		p.pins = append(p.pins, running[i])
	}
	return nil
}

// healthy are the images of an environment's last healthy release.
func (p *promoter) healthy(ctx context.Context, src project.Source, env project.Environment) ([]image.Pin, error) {
	t, err := p.targetOf(src, env)
	if err != nil {
		return nil, err
	}
	history, err := t.Records().History(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range history {
		if r.Status == release.Healthy {
			return r.Images, nil
		}
	}
	return nil, nil
}

// More often than this others are not faster by chance.
const maxPushes = 5

// record commits the promotion on a checkout of its own, so that this one stays as it is until all is done.
func (p *promoter) record(ctx context.Context) error {
	repository, err := git.Open(ctx, p.target.Source.Project.Dir)
	if err != nil {
		return err
	}
	base := p.target.Source.Commit
	if base == "" {
		return deploy.ErrNoCommit
	}
	if !p.push {
		result, commit, err := p.on(ctx, repository, base)
		if err == nil && commit != base {
			err = repository.Forward(ctx, commit)
		}
		if err != nil {
			return err
		}
		return p.report(result, commit, "committed "+commit[:7])
	}
	up, err := repository.Upstream(ctx)
	if err != nil {
		return err
	}
	if base, err = repository.Fetch(ctx, up); err != nil {
		return err
	}
	more, _, err := repository.Between(ctx, base, p.target.Source.Commit)
	if err != nil {
		return err
	}
	if more > 0 {
		return &unpushedError{up.Branch, up.Name(), more}
	}
	result, commit, err := p.race(ctx, repository, up, base)
	if err != nil {
		return err
	}
	if err := repository.Forward(ctx, commit); err != nil {
		p.warn("note: this checkout stays at its commit: %v", err)
	}
	return p.report(result, commit, "pushed "+commit[:7]+" to "+up.Name())
}

// race puts the promotion on top of what others push meanwhile, as long as that is not another one.
func (p *promoter) race(ctx context.Context, r git.Repository, up git.Upstream, base string) (first promote.Promotion, commit string, err error) {
	for try := range maxPushes {
		result, commit, err := p.on(ctx, r, base)
		if err != nil {
			return first, "", err
		}
		if try == 0 {
			first = result
		}
		for _, is := range result.Before {
			i := slices.IndexFunc(first.Before, func(was image.Pin) bool { return was.Name == is.Name })
			if i >= 0 && first.Before[i] != is {
				return first, "", &changedError{first.Environment, is.Name, first.Before[i].Reference(), is.Reference()}
			}
		}
		if commit == base {
			return result, commit, nil
		}
		var behind *git.BehindError
		if err = r.Push(ctx, up, commit); !errors.As(err, &behind) || try == maxPushes-1 {
			return result, commit, err
		}
		p.progress(deploy.Event{Step: "push", Message: behind.Error() + ": once more on top of it"})
		if base, err = r.Fetch(ctx, up); err != nil {
			return first, "", err
		}
	}
	return first, commit, err
}

// on makes the commit on top of another; where nothing changes it is that one.
func (p *promoter) on(ctx context.Context, r git.Repository, base string) (result promote.Promotion, commit string, err error) {
	t := p.target
	remove, err := p.apart(ctx, r, base, &t)
	if err != nil {
		return result, "", err
	}
	defer func() { err = errors.Join(err, remove()) }()
	dir := t.Source.Project.Dir
	result, err = promote.Plan(ctx, t.Source.Project, t.Environment, p.pins, t.Render)
	if err != nil || len(result.Changes) == 0 {
		return result, base, err
	}
	if err := p.newer(ctx, r, result); err != nil {
		return result, "", err
	}
	other, err := git.Open(ctx, dir)
	if err != nil {
		return result, "", err
	}
	folder, err := below(other.Dir, dir)
	if err != nil {
		return result, "", err
	}
	var files []string
	for _, name := range slices.Sorted(maps.Keys(result.Files)) {
		files = append(files, path.Join(folder, name))
	}
	unclean, err := r.Unclean(ctx, files)
	if err == nil && len(unclean) > 0 {
		err = &uncleanError{unclean}
	}
	if err == nil {
		err = writeAll(ctx, dir, result.Files)
	}
	if err == nil {
		err = p.bring(ctx, t)
	}
	if err != nil {
		return result, "", err
	}
	commit, err = other.Commit(ctx, p.message(ctx, r, result), files)
	return result, commit, err
}

// bring does what a deploy of the edited files would do first: what was tested elsewhere is copied to where
// they say that it is. All versions are stated now, so nothing is built.
func (p *promoter) bring(ctx context.Context, t deploy.Target) error {
	_, not, err := promote.Stated(ctx, t.Source.Project, t.Environment, t.Render)
	if err != nil {
		return err
	}
	if len(not) > 0 {
		p.warn("note: %s states no digest of %s still", t.Environment.Name, list(not))
		return nil
	}
	t.Source.Dirty = false // it is about to be committed as it is
	_, err = deploy.Prepare(ctx, t, deploy.PrepareOptions{Image: p.images, Build: true})
	return err
}

// newer refuses what is from an earlier commit than what is stated.
func (p *promoter) newer(ctx context.Context, r git.Repository, result promote.Promotion) error {
	for i, was := range result.Before {
		before, found := p.commitOf(ctx, r, was.Tag)
		after, ok := p.commitOf(ctx, r, result.After[i].Tag)
		if !found || !ok || p.older {
			continue
		}
		more, less, err := r.Between(ctx, before.Hash, after.Hash)
		if err != nil {
			return err
		}
		if more == 0 && less > 0 {
			return &olderError{result.Environment, was.Name, was.Reference(), result.After[i].Tag}
		}
	}
	return nil
}

// commitOf is the commit that an image's tag names.
func (p *promoter) commitOf(ctx context.Context, r git.Repository, tag string) (git.Commit, bool) {
	short, ok := strings.CutPrefix(tag, "sha-")
	if !ok {
		return git.Commit{}, false
	}
	short, _, _ = strings.Cut(short, "-")
	return r.Find(ctx, short)
}

// message names what was promoted, where to, and what it was built from.
func (p *promoter) message(ctx context.Context, r git.Repository, result promote.Promotion) string {
	var names, tags, lines []string
	for _, pin := range result.After {
		names, tags = append(names, pin.Name), append(tags, pin.Tag)
		lines = append(lines, pin.Reference())
		if c, ok := p.commitOf(ctx, r, pin.Tag); ok {
			lines[len(lines)-1] += "\n  of commit " + c.Hash
		}
	}
	what := strings.Join(names, ", ")
	if tags = slices.Compact(tags); len(tags) == 1 && tags[0] != "" {
		what += " " + tags[0]
	}
	return fmt.Sprintf("Promote %s to %s\n\n%s", what, result.Environment, strings.Join(lines, "\n"))
}

// report prints each edit, and what became of them.
func (p *promoter) report(result promote.Promotion, commit, done string) error {
	for _, n := range result.Notes {
		p.warn("note: %s", n)
	}
	p.tell(func() (string, []ciValue) {
		return imagesMarkdown("slipway promote "+result.Environment, result.After), append(imageValues(p.pins), ciValue{"commit", commit})
	})
	edits := make([]finding.Edit, len(result.Changes))
	for i, c := range result.Changes {
		edits[i] = c.Edit
	}
	switch {
	case *p.out == asJSON:
		return p.json(map[string]any{"environment": result.Environment, "edits": edits, "images": p.pins, "commit": commit})
	case len(edits) == 0:
		fmt.Fprintln(p.stdout, result.Environment, " nothing to change")
		return nil
	}
	for i, e := range edits {
		printEdit(p.stdout, result.Changes[i].Text, e)
	}
	if done != "" {
		fmt.Fprintln(p.stdout, result.Environment, "", done)
	}
	return nil
}

// writeAll puts new texts in the places of old ones: all of them, or none.
func writeAll(ctx context.Context, dir string, files map[string][]byte) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	done := map[string][]byte{}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		name := filepath.FromSlash(file)
		old, err := root.ReadFile(name)
		if err = errors.Join(err, ctx.Err()); err == nil {
			err = replace(root, name, files[file])
		}
		if err != nil {
			for name, old := range done {
				err = errors.Join(err, replace(root, name, old))
			}
			return fmt.Errorf("write %s: %w", file, err)
		}
		done[name] = old
	}
	return nil
}
