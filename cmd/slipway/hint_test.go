package main

import (
	"strings"
	"testing"
)

func TestWithoutOwn(t *testing.T) {
	const render = "Correct the manifests, and run `slipway render ENV` to look at them."
	for _, c := range []struct{ args, hint, want string }{
		{"render dev", render, "Correct the manifests."},
		{"render --all", render, "Correct the manifests."},
		{"plan dev", render, render},
		{"rollback prod", "Fix the cause and deploy again, or run `slipway rollback prod`.",
			"Fix the cause and deploy again."},
		{"history dev", "Run `slipway deploy ENV` to make the first release. `slipway history ENV` lists them.",
			"Run `slipway deploy ENV` to make the first release."},
		{"render dev", "Correct the file. Run `slipway render -p PROFILE --explain` to see the result.",
			"Correct the file. Run `slipway render -p PROFILE --explain` to see the result."},
		{"render -p x --explain", "Correct the file. Run `slipway render -p PROFILE --explain` to see the result.",
			"Correct the file."},
		{"sandbox status", "Run `slipway sandbox up` to start one.", "Run `slipway sandbox up` to start one."},
		{"sandbox up", "Run `slipway sandbox up` to start one.", ""},
		{"check --explain x", "Run `slipway check --explain` for all.", "Run `slipway check --explain` for all."},
		{"promote prod --from dev", "Run `slipway promote` to dev first.", "Run `slipway promote` to dev first."},
		{"check", "Run `slipway check --explain` for a list of the rules.",
			"Run `slipway check --explain` for a list of the rules."},
		{"", render, render},
	} {
		if got := withoutOwn(c.hint, strings.Fields(c.args)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.args, got, c.want)
		}
	}
}
