package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/check/finding"
	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/image"
	"slipway/internal/project"
	"slipway/internal/promote"
	"slipway/internal/release"
)

var (
	errNotBuilt  = errors.New("is in no registry, and a promotion builds nothing")
	errNotStated = errors.New("nobody says what it runs")
	errOlder     = errors.New("is from an earlier commit")
	errMeanwhile = errors.New("somebody else has promoted it")
	errUnclean   = errors.New("not committed")
	errUnpushed  = errors.New("not pushed")
)

type promoteOptions struct {
	from                string
	commit, push, older bool
	out                 *format
}

func newPromoteCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "promote ENV", Short: "Write which images an environment runs into its files, and commit that",
		Args: a.envArgs(0),
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
	f.StringVar(&o.from, "from", "",
		"what this environment states, or runs in its last healthy release, instead of this commit's images")
	f.BoolVar(&o.commit, "commit", false, "commit the edited files")
	f.BoolVar(&o.push, "push", false, "commit, and push to the branch's upstream")
	f.BoolVar(&o.older, "older", false, "also where a later commit is stated")
	cmd.RunE = func(c *cobra.Command, args []string) error { return runPromote(c.Context(), a, args[0], o) }
	return cmd
}

func runPromote(ctx context.Context, a *app, name string, o promoteOptions) (err error) {
	t, err := a.buildTarget(ctx, name)
	if err != nil {
		return err
	}
	o.commit = o.commit || o.push
	p := promoter{app: a, promoteOptions: o, images: a.imageOptions(t), target: t}
	p.target.Cluster = nil // it is asked nothing
	if t = p.target; t.Source.Dirty && t.Source.Commit != "" && (o.commit || o.from == "") {
		// What else has changed in the tree is no part of it.
		remove, apartErr := p.apart(ctx, t.Source.Commit, &t)
		if apartErr != nil {
			return apartErr
		}
		defer func() { err = errors.Join(err, remove()) }()
	}
	if o.from != "" {
		err = p.stated(ctx, t)
	} else {
		err = p.built(ctx, t)
	}
	switch {
	case err != nil:
		return err
	case o.commit:
		return p.record(ctx)
	}
	result, err := promote.Plan(ctx, p.target.Source.Project, p.target.Environment, p.pins, t.Render)
	if err != nil {
		return err
	}
	if repository, openErr := git.Open(ctx, p.target.Source.Project.Dir); openErr == nil {
		err = p.newer(ctx, repository, result)
	}
	if err == nil {
		err = project.ReplaceFiles(ctx, p.target.Source.Project.Dir, result.Files)
	}
	if err != nil {
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

// built are the images of this commit.
func (p *promoter) built(ctx context.Context, t deploy.Target) error {
	prepared, err := deploy.Prepare(ctx, t, deploy.PrepareOptions{Image: p.images, Anew: true, Unsigned: true})
	if err != nil {
		return err
	}
	for _, pin := range prepared.Images {
		if pin.Digest == "" {
			return fmt.Errorf("promote to %s: %s %w", t.Environment.Name, pin.Reference(), errNotBuilt)
		}
	}
	p.pins = prepared.Images
	return nil
}

// stated are the images that another environment's manifests state, or else its last healthy release.
func (p *promoter) stated(ctx context.Context, t deploy.Target) error {
	env, err := t.Source.Project.Environment(p.from)
	if err != nil {
		return err
	}
	pins, not, err := promote.Stated(ctx, t.Source.Project, env, t.Render)
	if p.pins = pins; err != nil || len(not) == 0 {
		return err
	}
	running, err := p.healthy(ctx, t.Source, env)
	why := "no healthy release of it is recorded"
	if err != nil {
		why = "its cluster cannot say: " + err.Error()
	}
	for _, name := range not {
		i := slices.IndexFunc(running, func(pin image.Pin) bool { return pin.Name == name && pin.Digest != "" })
		if i < 0 {
			return fmt.Errorf("promote from %s: %w: its manifests state no digest of %s, and %s", p.from,
				errNotStated, name, why)
		}
		p.pins = append(p.pins, running[i])
	}
	return nil
}

// healthy are the images of an environment's last healthy release.
func (p *promoter) healthy(ctx context.Context, src project.Source, env project.Environment) (
	[]image.Pin, error) {
	t, err := p.connector(src)(env)
	if err != nil {
		return nil, err
	}
	history, err := t.Records().History(ctx)
	if i := slices.IndexFunc(history, func(r release.Release) bool {
		return r.Status == release.Healthy
	}); i >= 0 {
		return history[i].Images, nil
	}
	return nil, err
}

// More often than this others are not faster by chance.
const maxPushes = 5

// record commits on top of this commit, or of the upstream branch: there again where others push meanwhile,
// as long as that is not another promotion.
func (p *promoter) record(ctx context.Context) error {
	base, done := p.target.Source.Commit, "committed "
	if base == "" {
		return deploy.ErrNoCommit
	}
	r, err := git.Open(ctx, p.target.Source.Project.Dir)
	if err != nil {
		return err
	}
	var up git.Upstream
	if p.push {
		if up, err = r.Upstream(ctx); err != nil {
			return err
		}
		done = "pushed to " + up.Name() + ": "
	}
	var first promote.Promotion
	for try := 1; ; try++ {
		if p.push {
			if base, err = p.fetch(ctx, r, up); err != nil {
				return err
			}
		}
		result, commit, err := p.on(ctx, r, base)
		if try == 1 {
			first = result
		}
		if err == nil {
			err = p.meanwhile(first.Before, result.Before)
		}
		if err == nil && p.push && commit != base {
			err = r.Push(ctx, up, commit)
		}
		if errors.Is(err, git.ErrMoved) && try < maxPushes {
			p.progress(deploy.Event{Step: "push", Message: err.Error() + ": once more on top of it"})
			continue
		}
		if err != nil {
			return err
		}
		if commit != base {
			err = r.Forward(ctx, commit)
		}
		if err != nil && p.push {
			p.warn("note: this checkout stays at its commit: %v", err)
		} else if err != nil {
			return err
		}
		return p.report(result, commit, done+commit[:7])
	}
}

// fetch gets the upstream's commit, which has all that is here: nothing else is pushed along.
func (p *promoter) fetch(ctx context.Context, r git.Repository, up git.Upstream) (string, error) {
	base, err := r.Fetch(ctx, up)
	if err != nil {
		return "", err
	}
	more, _, err := r.Between(ctx, base, p.target.Source.Commit)
	if err == nil && more > 0 {
		err = fmt.Errorf("%s has %s that are %w to %s", up.Branch, count(more, "commit"), errUnpushed, up.Name())
	}
	return base, err
}

// meanwhile refuses to write over what somebody else has promoted since.
func (p *promoter) meanwhile(first, now []image.Pin) error {
	for _, is := range now {
		i := slices.IndexFunc(first, func(was image.Pin) bool { return was.Name == is.Name })
		if i >= 0 && first[i] != is {
			return fmt.Errorf("promote %s to %s: it was %s and is %s now: %w", is.Name, p.target.Environment.Name,
				first[i].Reference(), is.Reference(), errMeanwhile)
		}
	}
	return nil
}

// apart makes a target of what a commit has, in a folder that the returned function removes.
func (p *promoter) apart(ctx context.Context, commit string,
	t *deploy.Target) (remove func() error, err error) {
	here, err := git.Open(ctx, t.Source.Project.Dir)
	if err != nil {
		return nil, err
	}
	folder, err := below(here.Dir, t.Source.Project.Dir)
	if err != nil {
		return nil, err
	}
	other, remove, err := here.Apart(ctx, commit)
	if err != nil {
		return nil, err
	}
	if t.Source.Project, err = project.Open(filepath.Join(other, filepath.FromSlash(folder))); err == nil {
		t.Environment, err = t.Source.Project.Environment(t.Environment.Name)
	}
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	if t.Source.Dirty {
		t.Source.Tag, t.Source.Dirty = "sha-"+t.Source.Commit[:7], false
	}
	return remove, nil
}

// on makes the commit on top of another; where nothing changes it is that one.
func (p *promoter) on(ctx context.Context, r git.Repository, base string) (result promote.Promotion,
	commit string, err error) {
	t := p.target
	remove, err := p.apart(ctx, base, &t)
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
	files := slices.Sorted(maps.Keys(result.Files))
	unclean, err := r.Unclean(ctx, p.target.Source.Project.Dir, files)
	if err == nil && len(unclean) > 0 {
		err = fmt.Errorf("changes in %s are %w", list(unclean), errUnclean)
	}
	if err == nil {
		err = project.ReplaceFiles(ctx, dir, result.Files)
	}
	if err == nil {
		err = p.bring(ctx, t)
	}
	if err != nil {
		return result, "", err
	}
	commit, err = r.Commit(ctx, dir, p.message(ctx, r, result), files)
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
			return fmt.Errorf("promote %s to %s: %s is there, and %s %w", was.Name, p.target.Environment.Name,
				was.Reference(), result.After[i].Tag, errOlder)
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
	return fmt.Sprintf("Promote %s to %s\n\n%s", what, p.target.Environment.Name, strings.Join(lines, "\n"))
}

// report prints each edit, and what became of them.
func (p *promoter) report(result promote.Promotion, commit, done string) error {
	for _, n := range result.Notes {
		p.warn("note: %s", n)
	}
	p.tell(func() (string, []ciValue) {
		return imagesMarkdown("slipway promote "+p.target.Environment.Name, result.After),
			append(imageValues(result.Images), ciValue{"commit", commit})
	})
	edits := make([]finding.Edit, len(result.Changes))
	for i, c := range result.Changes {
		edits[i] = c.Edit
	}
	switch {
	case *p.out == asJSON:
		return p.json(map[string]any{"environment": p.target.Environment.Name, "edits": edits,
			"images": result.Images, "commit": commit})
	case len(edits) == 0:
		fmt.Fprintln(p.stdout, p.target.Environment.Name, " nothing to change")
		return nil
	}
	for i, e := range edits {
		printEdit(p.stdout, result.Changes[i].Text, e)
	}
	if done != "" {
		fmt.Fprintln(p.stdout, p.target.Environment.Name, "", done)
	}
	return nil
}
