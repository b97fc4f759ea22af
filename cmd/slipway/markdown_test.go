package main

import "testing"

// Nothing in a plan ends the block that it stands in.
func TestFenced(t *testing.T) {
	if got := fenced("diff", "a\n````\nb"); got != "`````diff\na\n````\nb\n`````\n" {
		t.Errorf("%q", got)
	}
}
