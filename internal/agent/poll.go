package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/git"
)

// follow polls the repository until the context ends.
func (r *remote) follow(ctx context.Context, a *Agent) {
	known, failures, look := map[string]string{}, 0, r.poll
	for ctx.Err() == nil {
		tips := look(ctx, known)
		if ctx.Err() != nil {
			return
		}
		a.counters.update(func(c *counters) { c.gitQueries[r.clone.url]++ })
		if failures++; r.tell(tips, a.options.Log) {
			failures = 0
		}
		for b, found := range tips {
			if found.err == nil {
				known[b] = found.commit
			}
		}
		look = r.poll
		if r.rest(ctx, max(backoff(r.interval(), failures), askedToWait(tips))) {
			look = r.pull
		}
	}
}

// tell hands each follower what a poll found for its branch, and reports whether it found all of them.
func (r *remote) tell(tips map[string]tip, log *slog.Logger) (foundAll bool) {
	foundAll = true
	isLogged := map[string]bool{}
	for _, f := range r.followers {
		branch, to := f.mirror.Branch, log
		if isLogged[branch] { // several entries may be of one branch
			to = slog.New(slog.DiscardHandler)
		}
		isLogged[branch] = true
		f.take(tips[branch], to)
		foundAll = foundAll && tips[branch].err == nil
	}
	return foundAll
}

// askForPoll has the repository polled now. Any goroutine may call it.
func (r *remote) askForPoll() {
	select {
	case r.poke <- struct{}{}:
	default: // asked already
	}
}

// rest waits until the next poll, and reports whether a webhook asked for it.
func (r *remote) rest(ctx context.Context, d time.Duration) (poked bool) {
	polled, wait := time.Now(), time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-ctx.Done():
	case <-wait.C:
	case <-r.poke:
		// However many ask for a poll, there is one a second at most.
		cluster.Sleep(ctx, min(time.Until(polled.Add(time.Second)), time.Duration(r.interval())))
		return true
	}
	return false
}

// tip is what a poll found for a branch.
type tip struct {
	commit string
	digest string // of a rendered set: several may be of one commit
	lost   string // where the branch was before, if this commit does not contain that
	err    error
}

// poll asks for all branches that are followed, and fetches those that are not at a known commit.
func (r *remote) poll(ctx context.Context, known map[string]string) map[string]tip {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.registry != nil {
		return r.registry.poll(ctx)
	}
	found, branches := map[string]tip{}, r.branches()
	err := r.clone.open(ctx)
	var tips map[string]string
	if err == nil {
		tips, err = r.clone.mirror.Tips(ctx, branches...)
	}
	for _, b := range branches {
		switch commit := tips[b]; {
		case err != nil:
			found[b] = tip{err: err}
		case commit == "":
			found[b] = tip{err: r.noBranch(b, known[b])}
		case commit == known[b]:
			found[b] = tip{commit: commit}
		default:
			found[b] = r.fetch(ctx, b, known[b])
		}
	}
	return found
}

// pull is poll after a webhook: the only branch that is followed has most likely moved, and is fetched at
// once.
func (r *remote) pull(ctx context.Context, known map[string]string) map[string]tip {
	branches := r.branches()
	if len(branches) != 1 || known[branches[0]] == "" || r.registry != nil {
		return r.poll(ctx, known)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	branch := branches[0]
	if err := r.clone.open(ctx); err != nil {
		return map[string]tip{branch: {err: err}}
	}
	return map[string]tip{branch: r.fetch(ctx, branch, known[branch])}
}

// fetch fetches a branch that was at a known commit; empty: none is known. The caller holds the lock.
func (r *remote) fetch(ctx context.Context, branch, known string) tip {
	r.children.Warm() // it starts while git fetches
	commit, err := r.clone.fetch(ctx, branch)
	switch {
	case errors.Is(err, git.ErrNoBranch):
		return tip{err: r.noBranch(branch, known)}
	case err != nil:
		return tip{err: err}
	}
	found := tip{commit: commit}
	if known == "" || known == commit {
		return found
	}
	// An error says that the clone was made anew, without the commit before.
	if _, lost, err := r.clone.mirror.Between(ctx, known, commit); err == nil && lost > 0 {
		found.lost = known
	}
	return found
}

// noBranch says that a branch does not exist, and how to get one that was at a known commit back.
func (r *remote) noBranch(branch, known string) error {
	err := fmt.Errorf("%w as %s at %s", git.ErrNoBranch, branch, r.clone.url)
	if known == "" {
		return fmt.Errorf("%w: push it, or name another branch in the agent's configuration", err)
	}
	return fmt.Errorf("%w any more: run `git push origin %s:refs/heads/%s` to restore it, or name another "+
		"branch in the agent's configuration", err, short(known), branch)
}

// branches are those that are followed, each once.
func (r *remote) branches() []string {
	var all []string
	for _, f := range r.followers {
		if !slices.Contains(all, f.mirror.Branch) {
			all = append(all, f.mirror.Branch)
		}
	}
	return all
}

// interval is the shortest of the entries'.
func (r *remote) interval() Duration {
	shortest := r.followers[0].mirror.Interval
	for _, f := range r.followers {
		shortest = min(shortest, f.mirror.Interval)
	}
	return shortest
}

// take hands what a poll found to the environments, a commit only once.
func (f *follower) take(found tip, log *slog.Logger) {
	for _, e := range f.environments {
		e.noteSource(found.err)
	}
	f.note(found.err, log) // who reads the line finds the statuses as it says
	is := found.commit + found.digest
	if found.err != nil || f.offered == is {
		return
	}
	f.offered = is
	if found.lost != "" {
		by := &rewrite{from: found.lost, to: found.commit}
		f.mirror.rewrite.Store(by)
		log.Warn("poll "+f.mirror.String()+": "+by.String(), "environments", "those that it changes refuse it")
	}
	for _, e := range f.environments {
		e.incoming.offer(found.commit)
	}
}

// note says once what a poll failed with, and that it went well again.
func (f *follower) note(err error, log *slog.Logger) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.polled = f.polled || err == nil
	text := ""
	if err != nil {
		text = err.Error()
	}
	switch {
	case text == f.lastFail:
	case text != "":
		log.Error("poll "+f.mirror.String()+": "+text, "environments", "keep their releases")
	default:
		log.Info("poll " + f.mirror.String() + ": it can be read again")
	}
	f.lastFail = text
}

// backoff is how long to wait after so many failures in a row, up to a tenth more: agents that fail together
// must not ask again together.
func backoff(interval Duration, failures int) time.Duration {
	const most = 5 * time.Minute
	d := time.Duration(interval)
	for range failures {
		if d *= 2; d >= most {
			d = most
			break
		}
	}
	return d + rand.N(cmp.Or(d/10, 1))
}
