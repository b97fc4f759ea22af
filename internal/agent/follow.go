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
func (e *environment) followTags(ctx context.Context) error {
	p := &e.promotion
	if time.Now().Before(p.ask) {
		return nil
	}
	every := min(4*e.mirror.Interval, followEvery)
	err := e.followOnce(ctx)
	if err == nil {
		p.failures = 0
	} else if ctx.Err() == nil {
		p.failures++
		e.notePromotion("no promotion: %v", err)
	}
	p.ask = time.Now().Add(backoff(every, p.failures))
	return nil
}

func (e *environment) followOnce(ctx context.Context) error {
	a, err := e.promoteJob(ctx, promote.Job{Followed: true})
	if err != nil {
		return err
	}
	f, err := promote.Follow(ctx, e.target, a.Images, e.past)
	if err != nil {
		return err
	}
	if len(f.Pins) == 0 {
		e.notePromotion("%s", strings.Join(append(f.Notes, "no newer tags"), "; "))
		return nil
	}
	_, err = e.promoteImages(ctx, f.Pins, "the registry", f.Reasons)
	return err
}
