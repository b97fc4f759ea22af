package agent

import (
	"context"
	"strings"
	"time"

	"slipway/internal/promote"
)

// followEvery is how often a registry is asked for its tags at most.
const followEvery = Duration(time.Minute)

// followTags promotes what the registries have for the images that follow tags. A registry that does not
// answer, or limits requests, is asked again later and later; nothing else waits for it.
func (p promoter) followTags(ctx context.Context) error {
	if time.Now().Before(p.memory.ask) {
		return nil
	}
	every := min(4*p.mirror.Interval, followEvery)
	err := p.followOnce(ctx)
	if err == nil {
		p.memory.failures = 0
	} else if ctx.Err() == nil {
		p.memory.failures++
		p.notePromotion("no promotion: %v", err)
	}
	p.memory.ask = time.Now().Add(backoff(every, p.memory.failures))
	return nil
}

func (p promoter) followOnce(ctx context.Context) error {
	a, err := p.promoteJob(ctx, promote.Job{Followed: true})
	if err != nil {
		return err
	}
	f, err := promote.Follow(ctx, p.target, a.Images, p.past)
	if err != nil {
		return err
	}
	if len(f.Pins) == 0 {
		p.notePromotion("%s", strings.Join(append(f.Notes, "no newer tags"), "; "))
		return nil
	}
	_, err = p.promoteImages(ctx, f.Pins, "the registry", f.Reasons)
	return err
}
