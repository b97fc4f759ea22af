package agent

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

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
		sleep(ctx, min(time.Until(polled.Add(time.Second)), time.Duration(r.interval())))
		return true
	}
	return false
}

// tip is what a poll found for a branch.
type tip struct {
	commit string
	digest string // of a rendered set: several may be of one commit
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
			found[b] = tip{err: fmt.Errorf("%w as %s at %s", git.ErrNoBranch, b, r.clone.url)}
		case commit == known[b]:
			found[b] = tip{commit: commit}
		default:
			r.children.Warm() // it starts while git fetches
			commit, err := r.clone.fetch(ctx, b)
			found[b] = tip{commit: commit, err: err}
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
	r.children.Warm()
	err, commit := r.clone.open(ctx), ""
	if err == nil {
		commit, err = r.clone.fetch(ctx, branches[0])
	}
	return map[string]tip{branches[0]: {commit: commit, err: err}}
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
	f.note(found.err, log)
	for _, e := range f.environments {
		e.noteSource(found.err)
	}
	is := found.commit + found.digest
	if found.err != nil || f.offered == is {
		return
	}
	f.offered = is
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
		log.Error("poll "+f.mirror.String()+": "+text, "environments", "keep what they run")
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
