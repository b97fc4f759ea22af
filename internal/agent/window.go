package agent

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // the image has no zone files

	"go.yaml.in/yaml/v3"
)

// Window is a time of the week in which new commits are deployed. Repairs and ways back do not wait for it.
type Window struct {
	// Days are those on which it opens; none: every day.
	Days []time.Weekday
	// From and To are minutes since midnight. A To that is not after From is on the next day.
	From, To int
	Zone     *time.Location
}

// UnmarshalYAML reads a window: {days: [Mon, Tue], from: "08:00", to: "16:30", zone: Europe/Berlin}. The
// zone is UTC unless given.
func (w *Window) UnmarshalYAML(n *yaml.Node) error {
	given := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		var err error
		given[key.Value] = true
		switch key.Value {
		case "days":
			w.Days, err = readDays(value)
		case "from":
			w.From, err = readMinute(value.Value)
		case "to":
			w.To, err = readMinute(value.Value)
		case "zone":
			w.Zone, err = time.LoadLocation(value.Value)
		default:
			err = fmt.Errorf("unknown key %q of a window (known: days, from, to, zone)", key.Value)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", key.Line, err)
		}
	}
	if w.Zone == nil {
		w.Zone = time.UTC
	}
	if !given["from"] || !given["to"] || w.From == w.To {
		return fmt.Errorf("line %d: a window needs from and to, which differ", n.Line)
	}
	return nil
}

func readDays(n *yaml.Node) ([]time.Weekday, error) {
	var days []time.Weekday
	for _, item := range n.Content {
		found := false
		for d := time.Sunday; d <= time.Saturday; d++ {
			if name := d.String(); strings.EqualFold(item.Value, name) || strings.EqualFold(item.Value, name[:3]) {
				days, found = append(days, d), true
			}
		}
		if !found {
			return nil, fmt.Errorf("want a day such as Mon, not %q", item.Value)
		}
	}
	if len(days) == 0 {
		return nil, errors.New("want a list of days such as [Mon, Tue]")
	}
	return days, nil
}

const minutesOfDay = 24 * 60

// readMinute reads "08:30" as minutes since midnight; "24:00" is the end of the day.
func readMinute(text string) (int, error) {
	hour, minute, ok := strings.Cut(text, ":")
	h, errH := strconv.Atoi(hour)
	m, errM := strconv.Atoi(minute)
	if n := h*60 + m; ok && errH == nil && errM == nil && len(minute) == 2 && h >= 0 && m >= 0 && m < 60 &&
		n <= minutesOfDay {
		return n, nil
	}
	return 0, fmt.Errorf("want a time such as 08:30, not %q", text)
}

// nextOpen returns when the first of the windows is open at or after a time. Without windows, and within one,
// that is the time itself.
func nextOpen(windows []Window, at time.Time) time.Time {
	if len(windows) == 0 {
		return at
	}
	var next time.Time
	for _, w := range windows {
		if t := w.next(at); next.IsZero() || t.Before(next) {
			next = t
		}
	}
	return next
}

// next returns at where the window is open then, or else when it opens.
func (w Window) next(at time.Time) time.Time {
	local := at.In(w.Zone)
	for day := -1; ; day++ { // yesterday's window may still be open; one opens within a week
		opens := clock(local, day, w.From)
		closes := clock(local, day, w.To)
		if w.To <= w.From {
			closes = clock(local, day+1, w.To)
		}
		weekday := clock(local, day, minutesOfDay/2).Weekday()
		if len(w.Days) > 0 && !slices.Contains(w.Days, weekday) || !at.Before(closes) {
			continue
		}
		if opens.Before(at) {
			return at
		}
		return opens
	}
}

// clock returns the clock time of a day, counted from that of a time. Where clocks are set forward, a time
// that does not exist is the one an hour later.
func clock(t time.Time, days, minutes int) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day()+days, 0, minutes, 0, 0, t.Location())
}

// awaitWindow says whether a commit waits for a window, and judges it so.
func (e *environment) awaitWindow() bool {
	now := time.Now()
	if e.opens = nextOpen(e.policy.Windows, now); !e.opens.After(now) {
		e.opens = time.Time{}
		return false
	}
	e.judge(Waiting, "commit %s waits for the window that opens on %s", short(e.commit),
		e.opens.Format("Mon 2006-01-02 at 15:04 MST"))
	return true
}
