package words

import (
	"slices"
	"strings"
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

// Lines that both texts have are folded where they are; of two large texts only the ends are compared.
func TestDiff(t *testing.T) {
	got := Diff("a\nb\nc\nd\ne", "a\nb\nx\nd\ne\nf")
	if want := []string{"  …", "- c", "+ x", "  …", "+ f"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Diff("same", "same"); !slices.Equal(got, []string{"  …"}) {
		t.Errorf("equal: %q", got)
	}
	large := strings.Repeat("line\n", 3000)
	if got := Diff(large+"a", large+"b"); !slices.Equal(got, []string{"- a", "+ b"}) {
		t.Errorf("large: %q", got)
	}
}
