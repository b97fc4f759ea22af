package project

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // the agent's image has no zone files

	"go.yaml.in/yaml/v3"
)

// Window is a time of the week in which commits are promoted, or deployed by an agent. Repairs and ways back
// do not wait for it.
type Window struct {
	// Days are those on which it opens; none: every day.
	Days []time.Weekday
	// From and To are minutes since midnight. A To that is not after From is on the next day.
	From, To int
	// Zone is the name of a time zone; empty: UTC.
	Zone string
}

// UnmarshalYAML reads a window: {days: [Mon, Tue], from: "08:00", to: "16:30", zone: Europe/Berlin}. The
// zone is UTC unless given.
func (w *Window) UnmarshalYAML(n *yaml.Node) error {
	if line, err := w.read(n); err != nil {
		return fmt.Errorf("line %d: %w", line, err)
	}
	return nil
}

// read reads a window, and returns the line of an error.
func (w *Window) read(n *yaml.Node) (line int, err error) {
	given := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		given[key.Value] = true
		switch key.Value {
		case "days":
			w.Days, err = readDays(value)
		case "from":
			w.From, err = readMinute(value.Value)
		case "to":
			w.To, err = readMinute(value.Value)
		case "zone":
			w.Zone = value.Value
			_, err = time.LoadLocation(value.Value)
		default:
			err = fmt.Errorf("unknown key %q of a window (known: days, from, to, zone)", key.Value)
		}
		if err != nil {
			return key.Line, err
		}
	}
	if !given["from"] || !given["to"] || w.From == w.To {
		return n.Line, errors.New("a window needs from and to, which differ")
	}
	return 0, nil
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

// NextOpen returns when the first of the windows is open at or after a time. Without windows, and within one,
// that is the time itself.
func NextOpen(windows []Window, at time.Time) time.Time {
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

// LastClosed returns when the last of the windows closed, at a time when all are closed.
func LastClosed(windows []Window, at time.Time) time.Time {
	var last time.Time
	for _, w := range windows {
		local := at.In(w.zone())
		for day := 0; day >= -8; day-- { // a window of one day closes at most eight days ago
			if _, closes, ok := w.on(local, day); ok && !closes.After(at) {
				if closes.After(last) {
					last = closes
				}
				break
			}
		}
	}
	return last
}

// next returns at where the window is open then, or else when it opens.
func (w Window) next(at time.Time) time.Time {
	local := at.In(w.zone())
	for day := -1; ; day++ { // yesterday's window may still be open; one opens within a week
		opens, closes, ok := w.on(local, day)
		if !ok || !at.Before(closes) {
			continue
		}
		if opens.Before(at) {
			return at
		}
		return opens
	}
}

// on returns when the window opens on a day, counted from that of a time, and when it closes. It returns
// false where it does not open on that day of the week.
func (w Window) on(local time.Time, day int) (opens, closes time.Time, ok bool) {
	opens, closes = clock(local, day, w.From), clock(local, day, w.To)
	if w.To <= w.From {
		closes = clock(local, day+1, w.To)
	}
	weekday := clock(local, day, minutesOfDay/2).Weekday()
	return opens, closes, len(w.Days) == 0 || slices.Contains(w.Days, weekday)
}

// zone is the time zone, whose name was read before.
func (w Window) zone() *time.Location {
	zone, err := time.LoadLocation(w.Zone)
	if err != nil {
		return time.UTC
	}
	return zone
}

// clock returns the clock time of a day, counted from that of a time. Where clocks are set forward, a time
// that does not exist is the one an hour later.
func clock(t time.Time, days, minutes int) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day()+days, 0, minutes, 0, 0, t.Location())
}
