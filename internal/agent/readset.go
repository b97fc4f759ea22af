package agent

import (
	"context"
	"fmt"
	"slices"

	"slipway/internal/deploy"
	"slipway/internal/image"
	"slipway/internal/project"
)

// keyOf is the key of the files that the objects of the commit were made from, so that a later commit with
// the same is not rendered. It is empty where they depend on more than files: on the commit itself, or on the
// cluster.
func (c checkout) keyOf(p deploy.Proposal) string {
	src := c.target.Source
	isOfCommit := func(pin image.Pin) bool { return pin.Tag == src.Tag }
	asksCluster := func(c project.Chart) bool { return c.Lookup }
	if src.Bundled || slices.ContainsFunc(p.Prepared.Images, isOfCommit) ||
		slices.ContainsFunc(c.target.Environment.Charts, asksCluster) {
		return ""
	}
	return c.files.key(src.Path, *c.reads)
}

// advance takes a commit that has the same files as the one that runs, as far as the environment was rendered
// from them. It reports whether that is so. The caller calls done when it has read the commit itself where it
// is not.
func (e *environment) advance(ctx context.Context, commit string) (same bool, done func(), err error) {
	none := func() {}
	if e.key == "" || !e.looked || e.settled != e.commit || e.Status().Verdict != Synced {
		return false, none, nil
	}
	if err := e.trust(ctx, commit); err != nil {
		return false, none, err
	}
	files, err := e.mirror.remote.take(ctx, e.mirror.Branch, commit)
	if err != nil {
		return false, none, fmt.Errorf("read commit %s: %w", short(commit), err)
	}
	give := func() { e.mirror.remote.give(files) }
	if files.key(e.target.Source.Path, *e.reads) != e.key {
		return false, give, nil
	}
	src, err := e.mirror.source(ctx, files)
	if err != nil {
		return false, give, fmt.Errorf("read commit %s: %w", short(commit), err)
	}
	e.remove()
	e.remove, e.files, e.target.Source, e.target.Isolate = give, files, src, e.isolate(files, e.reads)
	e.commit, e.settled, e.wanted = commit, commit, ""
	e.turnTo(commit, e.target)
	is := e.Status()
	e.update(func(s *Status) { s.Seen = commit })
	e.judgeUnchanged(is.Release, is.Applied)
	return true, none, nil
}

// judgeUnchanged says that the newest commit has the objects of a release that was made from another one.
func (r *reporter) judgeUnchanged(release int, of string) {
	r.judge(Synced, "commit %s changes nothing of %s: release %d is of commit %s", short(r.about.commit), r.name,
		release, short(of))
}
