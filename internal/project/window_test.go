package project

import (
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

func TestNextOpen(t *testing.T) {
	for name, c := range map[string]struct{ windows, at, want string }{
		"no window":       {`[]`, "2026-11-30T03:00:00Z", "2026-11-30T03:00:00Z"},
		"within":          {`[{from: "08:00", to: "16:00"}]`, "2026-11-30T08:00:01Z", "2026-11-30T08:00:01Z"},
		"before":          {`[{from: "08:00", to: "16:00"}]`, "2026-11-30T07:59:59Z", "2026-11-30T08:00:00Z"},
		"at its end":      {`[{from: "08:00", to: "16:00"}]`, "2026-11-30T16:00:00Z", "2026-12-01T08:00:00Z"},
		"end of the week": {`[{days: [Mon], from: "08:00", to: "16:00"}]`, "2026-11-30T17:00:00Z", "2026-12-07T08:00:00Z"},
		"over midnight":   {`[{days: [sunday], from: "22:00", to: "04:00"}]`, "2026-11-30T03:00:00Z", "2026-11-30T03:00:00Z"},
		"the night after": {`[{days: [Mon], from: "22:00", to: "04:00"}]`, "2026-11-30T03:00:00Z", "2026-11-30T22:00:00Z"},
		"a zone":          {`[{from: "08:00", to: "09:00", zone: Europe/Berlin}]`, "2026-11-30T06:30:00Z", "2026-11-30T07:00:00Z"},
		"summer":          {`[{from: "08:00", to: "09:00", zone: Europe/Berlin}]`, "2026-07-01T05:30:00Z", "2026-07-01T06:00:00Z"},
		"an hour that does not exist": {`[{from: "02:30", to: "05:00", zone: Europe/Berlin}]`,
			"2026-03-29T00:00:00Z", "2026-03-29T01:30:00Z"},
		"the first of two": {`[{from: "20:00", to: "21:00"}, {from: "10:00", to: "24:00"}]`, "2026-11-30T09:00:00Z",
			"2026-11-30T10:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			var windows []Window
			if err := yaml.Unmarshal([]byte(c.windows), &windows); err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339, c.at)
			if err != nil {
				t.Fatal(err)
			}
			if got := NextOpen(windows, at).UTC().Format(time.RFC3339); got != c.want {
				t.Errorf("at %s: opens at %s, want %s", c.at, got, c.want)
			}
		})
	}
}

func TestWindowErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{days: [Mo], from: "08:00", to: "16:00"}`:      `line 1: want a day such as Mon, not "Mo"`,
		`{days: Mon, from: "08:00", to: "16:00"}`:       `line 1: want a list of days such as [Mon, Tue]`,
		`{from: "8", to: "16:00"}`:                      `line 1: want a time such as 08:30, not "8"`,
		`{from: "25:00", to: "16:00"}`:                  `line 1: want a time such as 08:30, not "25:00"`,
		`{from: "08:00"}`:                               `line 1: a window needs from and to, which differ`,
		`{days: [Mon]}`:                                 `line 1: a window needs from and to, which differ`,
		`{from: "08:00", to: "16:00", zone: Mars/Base}`: `line 1: unknown time zone Mars/Base`,
		`{from: "08:00", too: "16:00"}`:                 `line 1: unknown key "too" of a window (known: days, from, to, zone)`,
	} {
		var w Window
		err := yaml.Unmarshal([]byte(text), &w)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

func TestLastClosed(t *testing.T) {
	for name, c := range map[string]struct{ windows, at, want string }{
		"today":     {`[{from: "08:00", to: "16:00"}]`, "2026-11-30T17:00:00Z", "2026-11-30T16:00:00Z"},
		"yesterday": {`[{from: "08:00", to: "16:00"}]`, "2026-11-30T07:00:00Z", "2026-11-29T16:00:00Z"},
		"a week ago": {`[{days: [Mon], from: "08:00", to: "16:00"}]`, "2026-11-30T07:00:00Z",
			"2026-11-23T16:00:00Z"},
		"over midnight": {`[{days: [Sun], from: "22:00", to: "04:00"}]`, "2026-11-30T05:00:00Z",
			"2026-11-30T04:00:00Z"},
		"the last of two": {`[{from: "01:00", to: "02:00"}, {from: "03:00", to: "04:00"}]`, "2026-11-30T05:00:00Z",
			"2026-11-30T04:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			var windows []Window
			if err := yaml.Unmarshal([]byte(c.windows), &windows); err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339, c.at)
			if err != nil {
				t.Fatal(err)
			}
			if got := LastClosed(windows, at).UTC().Format(time.RFC3339); got != c.want {
				t.Errorf("at %s: closed at %s, want %s", c.at, got, c.want)
			}
		})
	}
}
