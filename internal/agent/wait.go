package agent

import (
	"context"
	"slices"
	"time"

	"slipway/internal/deploy"
	"slipway/internal/project"
	"slipway/internal/promote"
	"slipway/internal/release"
)

// waits are what the commit waits for before it is deployed.
type waits struct {
	*state
	others bool      // it waits for other environments
	image  bool      // it waits for an image
	opens  time.Time // when the window opens that it waits for; zero: it does not
}

// forCommit says whether the environment waits for a commit of the images that a person has promoted
// without one, and judges it so: while Git states what it stated before, the agent must not take them back. A
// commit that states these images, or others, is deployed.
func (w *waits) forCommit(ctx context.Context) (bool, error) {
	latest := w.past.Latest
	if latest.Override == nil || latest.Status != release.Healthy {
		return false, nil
	}
	a, err := w.promoteJob(ctx, w.agent.children, promote.Job{Pins: latest.Override.Images})
	if err == nil && (len(a.Files) == 0 || !slices.Equal(a.Before, latest.Override.Before)) {
		return false, nil
	}
	w.judge(Waiting, "commit %s is not deployed: %s", short(w.commit), latest.OverrideText())
	w.looked = err == nil
	return true, err
}

// forOthers says whether a commit waits for other environments, and judges it so. One of the same branch
// must run this commit, and one of another branch or repository its own newest.
func (w *waits) forOthers() bool {
	w.others = false
	for _, name := range w.policy.After {
		if why := unready(w.agent.named(name, w.mirror), w.mirror, w.commit); why != "" {
			w.judge(Waiting, "commit %s waits for %s, which %s", short(w.commit), name, why)
			w.others = true
			return true
		}
	}
	return false
}

// forImage says whether a commit waits for an image that CI has not pushed yet, and judges it so: deployed
// without the image it would fail, and then be in quarantine when the image comes.
func (w *waits) forImage(p deploy.Proposal) bool {
	missing := unbuilt(p)
	if w.image = missing != ""; w.image {
		w.judge(Waiting, "commit %s waits until %s is in its registry", short(w.commit), missing)
	}
	return w.image
}

// forWindow says whether a commit waits for a window, and judges it so.
func (w *waits) forWindow() bool {
	if w.opens = opening(w.policy.Windows, w.now()); w.opens.IsZero() {
		return false
	}
	w.judge(Waiting, "commit %s waits for the window that opens on %s", short(w.commit),
		w.opens.Format("Mon 2006-01-02 at 15:04 MST"))
	return true
}

// opening is when the next of some windows opens; zero: one is open, or there are none.
func opening(windows []project.Window, now time.Time) time.Time {
	if opens := project.NextOpen(windows, now); opens.After(now) {
		return opens
	}
	return time.Time{}
}
