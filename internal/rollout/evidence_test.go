package rollout

import (
	"slices"
	"testing"
)

// An event that repeats the message, or gives the reason alone, says nothing new.
func TestFurtherEvents(t *testing.T) {
	for _, test := range []struct {
		name string
		of   Evidence
		want []string
	}{
		{"the message", Evidence{Reason: "BackOff", Message: "pull image a: not found",
			Events: []string{"Failed: Error: pull image a: not found", "BackOff: back-off"}},
			[]string{"BackOff: back-off"}},
		{"the reason", Evidence{Reason: "ErrImagePull", Message: "not found",
			Events: []string{"Failed: Error: ErrImagePull"}}, nil},
		{"another event without a message", Evidence{Reason: "ErrImagePull",
			Events: []string{"Failed: Error: ErrImagePull", "ErrImagePull: "}},
			[]string{"Failed: Error: ErrImagePull"}},
	} {
		if got := test.of.FurtherEvents(); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
