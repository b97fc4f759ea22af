package agent

import (
	"context"
	"errors"
	"strings"
	"time"

	"slipway/internal/image"
	"slipway/internal/promote"
)

// followEvery is how often a registry is asked for its tags at most.
const followEvery = Duration(time.Minute)

const (
	// askTime limits how long registries are asked: meanwhile the environment deploys nothing.
	askTime = 20 * time.Second
	// maxLimit is the longest time that a registry may have itself left alone for.
	maxLimit = time.Hour
)

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
	wait := backoff(every, p.memory.failures)
	if limited := (*image.RateLimitedError)(nil); errors.As(err, &limited) {
		wait = max(wait, min(limited.Wait, maxLimit))
	}
	p.memory.ask = time.Now().Add(wait)
	return nil
}

func (p promoter) followOnce(ctx context.Context) error {
	a, err := p.promoteJob(ctx, p.agent.children, promote.Job{Followed: true})
	if err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	f, err := promote.Follow(asking, p.target, a.Images, p.past)
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
