package agent

import (
	"fmt"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/words"
)

// now is the time by the clock of the environment's API server, which all replicas and the people's windows
// share: that of this machine may be wrong, or be set while the agent runs.
func (c checkout) now() time.Time {
	if c.target.Cluster == nil {
		return time.Now()
	}
	return c.target.Cluster.Now()
}

// noteClock puts into the status that the clocks differ.
func (r *reporter) noteClock(c *cluster.Cluster) {
	text := ""
	if c != nil {
		text = skewText(c.Skew())
	}
	switch isNew := r.set(func(s *Status) *string { return &s.Clock }, text); {
	case !isNew:
	case text != "":
		r.log.Warn(text)
	default:
		r.log.Info("this machine's clock agrees with the API server's again")
	}
}

// skewText says how far the API server's clock is ahead; empty: it is not.
func skewText(ahead time.Duration) string {
	direction := "behind"
	switch {
	case ahead == 0:
		return ""
	case ahead < 0:
		direction = "ahead of"
	}
	return fmt.Sprintf("this machine's clock is %s %s the API server's: windows and pauses follow the server's",
		words.Duration(ahead.Abs().Round(10*time.Second)), direction)
}
