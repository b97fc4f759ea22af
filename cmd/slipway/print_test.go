package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/deploy"
	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/rollout"
)

func TestValues(t *testing.T) {
	a, b := strings.Repeat("a", 64), strings.Repeat("b", 64)
	for name, test := range map[string]struct {
		before, after any
		want          string
	}{
		"texts":           {"info", "debug", "info → debug"},
		"text and number": {"80", int64(80), `"80" → 80`},
		"nothing":         {nil, "x", "∅ → x"},
		"empty text":      {"", "x", `"" → x`},
		"spaces":          {"x", "x ", `x → "x "`},
		"one repository": {"ghcr.io/acme/api:v1@sha256:" + a, "ghcr.io/acme/api:v2@sha256:" + b,
			"v1@sha256:aaaaaaaaaaaa → v2@sha256:bbbbbbbbbbbb"},
		"not pinned yet": {"ghcr.io/acme/api:v1@sha256:" + a, "ghcr.io/acme/api:v2",
			"v1@sha256:aaaaaaaaaaaa → v2"},
		"another repository": {"ghcr.io/acme/api:v1@sha256:" + a, "nginx:v2",
			"ghcr.io/acme/api:v1@sha256:aaaaaaaaaaaa → nginx:v2"},
		"a port is not a tag": {"localhost:5000/api@sha256:" + a, "localhost:5000/web@sha256:" + b,
			"localhost:5000/api@sha256:aaaaaaaaaaaa → localhost:5000/web@sha256:bbbbbbbbbbbb"},
		"small map": {nil, map[string]any{"a": "<b>"}, `∅ → {"a":"<b>"}`},
		"large map": {map[string]any{"a": strings.Repeat("x", 200)}, nil, "{1 field} → ∅"},
		"long text": {nil, strings.Repeat("x", 200), "∅ → " + strings.Repeat("x", 119) + "…"},
		"escape":    {nil, "\x1b[2J", `∅ → "\u001b[2J"`},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := values(test.before, test.after)
			if diff := cmp.Diff(test.want, from+" → "+to); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLineDiff(t *testing.T) {
	got := lineDiff("a\nb\nc\nd", "a\nB\nC\nd")
	if diff := cmp.Diff([]string{"- b", "- c", "+ B", "+ C"}, got); diff != "" {
		t.Error(diff)
	}
	var long []string
	for i := range 30 {
		long = append(long, fmt.Sprint(i))
	}
	got = lineDiff("", strings.Join(long, "\n"))
	if last := got[len(got)-1]; last != "+ … 20 more lines" {
		t.Error(last)
	}
}

func TestEvidenceSaysThingsOnce(t *testing.T) {
	got := evidenceLines(rollout.Evidence{
		Pod: "web-1", Container: "web", Reason: "ImagePullBackOff", Message: "Back-off pulling image: not found",
		Events: []string{"Failed: not found", "Failed: Error: ImagePullBackOff", "FailedMount: no such volume"},
	})
	want := []string{"pod web-1  container web  ImagePullBackOff", "Back-off pulling image: not found",
		"event  FailedMount: no such volume"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		".data.a: expected string, got &value.valueUnstructured{Value:1}": ".data.a: expected string, got 1",
		"\x1b[2Jgone\r": "[2Jgone",
	} {
		if got := clean(text); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// The mode of a file is printed as people write it, and as the API has it. Other numbers stay.
func TestFieldValue(t *testing.T) {
	const volume = "spec.template.spec.volumes[name=keys]."
	for _, c := range []struct {
		field string
		value any
		want  string
	}{
		{volume + "secret.defaultMode", int64(0o400), "0400 (256)"},
		{volume + "secret.items[0].mode", float64(0o644), "0644 (420)"},
		{volume + "secret.defaultMode", nil, "∅"},
		{"spec.mode", int64(420), "420"},
		{"spec.replicas", int64(3), "3"},
		{"data.mode", "0644", "0644"},
	} {
		if got := value(fieldValue(c.field, c.value, ""), true); got != c.want {
			t.Errorf("%s: got %s, want %s", c.field, got, c.want)
		}
	}
}

// --quiet keeps warnings. What was done to an object has its mark; a message of the same words has none.
func TestProgress(t *testing.T) {
	ref := &object.Ref{Kind: "Service", Name: "web"}
	events := []deploy.Event{
		{Step: deploy.Act, Ref: ref, Message: "created", Done: plan.Create},
		{Step: deploy.Image, Message: "warning: the tag was moved", Warning: true},
		{Step: deploy.Verify, Message: "created"},
	}
	for quiet, want := range map[bool]string{
		false: "  + Service web  created\n  · warning: the tag was moved\n  · created\n",
		true:  "  · warning: the tag was moved\n",
	} {
		var stderr strings.Builder
		c := &cli{stderr: &stderr, quiet: quiet}
		for _, e := range events {
			c.progress(e)
		}
		if stderr.String() != want {
			t.Errorf("quiet %v: %q", quiet, stderr.String())
		}
	}
}
