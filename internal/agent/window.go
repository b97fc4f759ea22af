package agent

import (
	"time"

	"slipway/internal/project"
)

// opening is when the next of some windows opens; zero: one is open, or there are none.
func opening(windows []project.Window, now time.Time) time.Time {
	if opens := project.NextOpen(windows, now); opens.After(now) {
		return opens
	}
	return time.Time{}
}
