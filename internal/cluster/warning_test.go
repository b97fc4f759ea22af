package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWarningsComeOnce(t *testing.T) {
	var got []string
	w := warner{to: func(s string) { got = append(got, s) }}
	for _, text := range []string{"a", "b", "a", ""} {
		w.HandleWarningHeaderWithContext(t.Context(), 299, "", text)
	}
	w.HandleWarningHeaderWithContext(t.Context(), 199, "", "another code")
	if diff := cmp.Diff([]string{"a", "b"}, got); diff != "" {
		t.Error(diff)
	}
	(&warner{}).HandleWarningHeaderWithContext(t.Context(), 299, "", "without a listener")
}
