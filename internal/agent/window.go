package agent

import (
	"time"

	"slipway/internal/project"
)

// awaitWindow says whether a commit waits for a window, and judges it so.
func (e *environment) awaitWindow() bool {
	if e.opens = opening(e.policy.Windows, e.now()); e.opens.IsZero() {
		return false
	}
	e.judge(Waiting, "commit %s waits for the window that opens on %s", short(e.commit),
		e.opens.Format("Mon 2006-01-02 at 15:04 MST"))
	return true
}

// opening is when the next of some windows opens; zero: one is open, or there are none.
func opening(windows []project.Window, now time.Time) time.Time {
	if opens := project.NextOpen(windows, now); opens.After(now) {
		return opens
	}
	return time.Time{}
}
