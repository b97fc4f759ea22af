package agent

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"slipway/internal/deploy"
	"slipway/internal/render/tree"
)

// incoming are the commits after the one to deploy: found by a poll, or read as well. Any goroutine may offer
// one; that of the environment alone uses the rest.
type incoming struct {
	*state
	slot
	wake   chan string // the newest commit; holds the last one
	wanted string      // a newer commit that was not read yet
	next   *checkout   // a newer commit that was read while a deploy ran
}

// offer hands over a commit, in place of one that was not taken.
func (in *incoming) offer(commit string) {
	select {
	case <-in.wake:
	default:
	}
	in.wake <- commit
}

// any says whether there is a newer commit.
func (in *incoming) any() bool { return in.wanted != "" || in.next != nil }

// goAhead waits until the environment may look at a commit. It gives way when it waits for a rollout, and
// after a while.
func (in *incoming) goAhead(ctx context.Context) error {
	return in.enter(ctx, &in.agent.queue, cmp.Or(in.target.Environment.Context, in.policy.Context))
}

// receive takes a commit that came while the environment waited.
func (in *incoming) receive() {
	if in.next != nil {
		return
	}
	select {
	case in.wanted = <-in.wake:
	default:
	}
}

// read returns the newest commit, ready to be deployed. It returns nil where there is none, and where the one
// to deploy has become that commit, as the environment is rendered from the same files in both.
func (in *incoming) read(ctx context.Context) (*checkout, error) {
	if in.next != nil || in.wanted == "" {
		return in.next, nil
	}
	same, done, err := in.advance(ctx, in.wanted)
	defer done()
	if same || err != nil {
		return nil, err
	}
	return in.prepare(ctx, in.wanted)
}

// prepare reads a commit.
func (in *incoming) prepare(ctx context.Context, commit string) (*checkout, error) {
	in.update(func(s *Status) { s.Seen = commit })
	if err := in.trust(ctx, commit); err != nil {
		return nil, err
	}
	src, files, err := in.mirror.at(ctx, commit)
	if err != nil {
		return nil, fmt.Errorf("read commit %s: %w", short(commit), err)
	}
	remove := func() { in.mirror.remote.give(files) }
	t, err := in.connect(src)
	if err != nil {
		remove()
		return nil, fmt.Errorf("read commit %s: %w", short(commit), err)
	}
	reads := new([]tree.Read)
	t.Notify = func(ev deploy.Event) {
		in.log.Debug(ev.Message, "step", ev.Step)
		if ev.Step == deploy.Watch {
			in.giveWay()
		}
	}
	t.Isolate = in.isolate(files, reads)
	return &checkout{commit, time.Now(), t, remove, files, reads}, nil
}

// trust verifies who has signed a commit and the ones before it.
func (in *incoming) trust(ctx context.Context, commit string) error {
	who, err := in.mirror.verify(ctx, commit, cmp.Or(in.settled, in.past.Latest.Commit))
	if err != nil {
		in.judge(Refused, "commit %s is refused: %v", short(commit), err)
		return err
	}
	in.update(func(s *Status) { s.SignedBy = who })
	return nil
}

// advance takes a commit that has the same files as the one that runs, as far as the environment was rendered
// from them. It reports whether that is so. The caller calls done when it has read the commit itself where it
// is not.
func (in *incoming) advance(ctx context.Context, commit string) (same bool, done func(), err error) {
	none := func() {}
	if in.key == "" || !in.looked || in.settled != in.commit || in.Status().Verdict != Synced {
		return false, none, nil
	}
	if err := in.trust(ctx, commit); err != nil {
		return false, none, err
	}
	files, err := in.mirror.remote.take(ctx, in.mirror.Branch, commit)
	if err != nil {
		return false, none, fmt.Errorf("read commit %s: %w", short(commit), err)
	}
	give := func() { in.mirror.remote.give(files) }
	if files.key(in.target.Source.Path, *in.reads) != in.key {
		return false, give, nil
	}
	src, err := in.mirror.source(ctx, files)
	if err != nil {
		return false, give, fmt.Errorf("read commit %s: %w", short(commit), err)
	}
	in.checkout.close()
	in.remove, in.files, in.target.Source, in.target.Isolate = give, files, src, in.isolate(files, in.reads)
	in.commit, in.settled, in.wanted = commit, commit, ""
	in.turnTo(commit, in.target)
	is := in.Status()
	in.update(func(s *Status) { s.Seen = commit })
	in.judgeUnchanged(is.Release, is.Applied)
	return true, none, nil
}

// replaceNext notes a commit that was read, in place of an older one.
func (in *incoming) replaceNext(c *checkout) {
	in.next.close()
	in.next = c
}

// clear notes that the newest commit was adopted.
func (in *incoming) clear() { in.wanted, in.next = "", nil }

func (in *incoming) close() { in.next.close() }
