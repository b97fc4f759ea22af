package agent

import (
	"time"

	"slipway/internal/project"
)

// awaitWindow says whether a commit waits for a window, and judges it so.
func (e *environment) awaitWindow() bool {
	now := e.now()
	if e.opens = project.NextOpen(e.policy.Windows, now); !e.opens.After(now) {
		e.opens = time.Time{}
		return false
	}
	e.judge(Waiting, "commit %s waits for the window that opens on %s", short(e.commit),
		e.opens.Format("Mon 2006-01-02 at 15:04 MST"))
	return true
}
