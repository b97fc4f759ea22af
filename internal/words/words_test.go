package words

import (
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                              "0s",
		30 * time.Minute:               "30m",
		time.Hour:                      "1h",
		10 * time.Hour:                 "10h",
		time.Hour + 5*time.Second:      "1h5s",
		time.Hour + 30*time.Minute:     "1h30m",
		29*time.Minute + time.Second:   "29m1s",
		20*time.Minute + time.Second/2: "20m0.5s",
		100 * time.Millisecond:         "100ms",
		10 * time.Second:               "10s",
	} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%v) is %q, want %q", d, got, want)
		}
	}
}
