package finding

import (
	"testing"

	"slipway/internal/object"
)

var tiered = []Finding{
	{Rule: "a", Severity: Error, Tier: Fault}, {Rule: "b", Severity: Warning, Tier: Gap},
	{Rule: "c", Severity: Warning, Tier: Hardening}, {Rule: "b", Severity: Warning, Tier: Gap},
	{Rule: "d", Severity: Warning},
}

func TestCount(t *testing.T) {
	if got, want := Count(tiered), (Counts{Errors: 1, Warnings: 4, Gaps: 2, Hardening: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A finding without a tier asks for attention as a fault does: no report hides it.
func TestDivide(t *testing.T) {
	d := Divide(tiered, false)
	if len(d.Full) != 2 || d.Full[1].Rule != "d" || len(d.Gaps) != 1 || len(d.Gaps[0]) != 2 ||
		len(d.Hardening) != 1 {
		t.Errorf("divided: %+v", d)
	}
	if d := Divide(tiered, true); len(d.Full) != len(tiered) || len(d.Gaps)+len(d.Hardening) != 0 {
		t.Errorf("everything: %+v", d)
	}
}

func TestSole(t *testing.T) {
	ref := &object.Ref{Kind: "Deployment", Name: "web"}
	for _, test := range []struct {
		name string
		of   Fold
		want bool
	}{
		{"of files", Fold{{Message: "m"}, {Message: "m"}}, true},
		{"different", Fold{{Message: "m"}, {Message: "n"}}, false},
		{"of an object", Fold{{Message: "m"}, {Message: "m", Object: ref}}, false},
	} {
		if message, ok := test.of.Sole(); ok != test.want || ok && message != "m" {
			t.Errorf("%s: %q %v", test.name, message, ok)
		}
	}
}
