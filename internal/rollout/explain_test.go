package rollout

import (
	"errors"
	"strings"
	"testing"
	"time"

	"slipway/internal/object"
)

// The line with which a crash begins is kept when the rest of the log is longer than what is read of its end.
func TestLongStack(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	log := "listening\\npanic: nil map\\n" + strings.Repeat("g\\n", maxReadLines+100) + "exit status 2"
	set := p.Parse(t, strings.Replace(deployment("api", "crash", probe, ""),
		`connecting with hunter2hunter2\ncannot open the database`, log, 1))
	apply(t, p.admin, set)
	var sick *NotHealthyError
	if err := Wait(t.Context(), p.editor, set, Options{Timeout: patience}); !errors.As(err, &sick) {
		t.Fatal(err)
	}
	got := sick.Failures[0].LogLines
	if len(got) != maxLogLines || got[0] != "panic: nil map" || got[1] != "…" || got[14] != "exit status 2" {
		t.Errorf("%d lines: %q", len(got), got)
	}
}

// Who may not read nodes learns from the pod that its node is silent.
func TestSilentSince(t *testing.T) {
	now := time.Date(2026, 11, 1, 10, 5, 0, 0, time.UTC)
	const bound = `{type: PodScheduled, status: "True", lastTransitionTime: "2026-11-01T10:00:00Z"}`
	for _, c := range []struct{ name, pod, want string }{
		{"not started", `{status: {conditions: [` + bound + `]}}`, "10:00 its kubelet has not started the pod"},
		{"started", `{status: {startTime: "2026-11-01T10:00:01Z", conditions: [` + bound + `]}}`, ""},
		{"just bound", `{status: {conditions: [{type: PodScheduled, status: "True", lastTransitionTime:
			"2026-11-01T10:04:50Z"}]}}`, ""},
		{"marked by the controller", `{status: {startTime: "2026-11-01T10:00:01Z", conditions: [` + bound + `,
			{type: Ready, status: "False", lastTransitionTime: "2026-11-01T10:02:00Z"},
			{type: ContainersReady, status: "True"}]}}`, "10:02 its kubelet does not report the pod any more"},
		{"not ready itself", `{status: {startTime: "2026-11-01T10:00:01Z", conditions: [` + bound + `,
			{type: Ready, status: "False", reason: ContainersNotReady}, {type: ContainersReady, status: "False"}]}}`, ""},
		{"behind a gate", `{status: {startTime: "2026-11-01T10:00:01Z", conditions: [` + bound + `,
			{type: Ready, status: "False", reason: ReadinessGatesNotReady}, {type: ContainersReady, status: "True"}]}}`, ""},
		{"never ended", `{metadata: {deletionTimestamp: "2026-11-01T10:03:00Z"}}`,
			"10:03 its kubelet has not stopped the pod"},
	} {
		got := ""
		if at, message := silentSince(podOf(t, c.pod), now); message != "" {
			got = at.UTC().Format("15:04 ") + message
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// A message names a field by its path, or quotes its value.
func TestMentioned(t *testing.T) {
	list, err := object.Read(strings.NewReader(`apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  replicas: 3
  template:
    spec:
      containers: [{name: app, image: "acme/app:v1", ports: [{name: http, containerPort: 80}]}, {name: side, image: side}]
      volumes: [{name: side, emptyDir: {}}]
`), "a.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for message, want := range map[string]string{
		"denied: spec.replicas must be at most 2":                        "spec.replicas",
		"spec.template.spec.containers[0].image: Invalid value":          "spec.template.spec.containers[name=app].image",
		`pods "api-x" is forbidden: spec.containers[0].image is too old`: "spec.template.spec.containers[name=app].image",
		`the image "acme/app:v1" is not signed`:                          "spec.template.spec.containers[name=app].image",
		"spec.selector: Required value":                                  "",
		`"side" is not allowed`:                                          "", // three fields say so
		"denied the request":                                             "",
	} {
		if got := Mentioned(list[0], message); got != want {
			t.Errorf("%s: %q, want %q", message, got, want)
		}
	}
}

// What restarted since the release counts until it has run for longer than before, a crash loop for longer.
func TestRestartOf(t *testing.T) {
	at := func(clock string) time.Time {
		moment, err := time.Parse(time.RFC3339, "2026-11-01T"+clock+"Z")
		if err != nil {
			t.Fatal(err)
		}
		return moment
	}
	now, since := at("10:05:00"), at("09:00:00")
	for _, c := range []struct {
		name, restarts, started, finished string
		want                              Restart
	}{
		{"running between two crashes", "3", "10:04:00", "10:04:30", Restart{Loop: true,
			Text: "the container app of the pod api-1 restarted 3 times, the last time after exit code 7"}},
		{"restarted once", "1", "10:03:50", "10:04:40", Restart{Left: 30 * time.Second,
			Text: "the container app of the pod api-1 restarted 1 time, the last time after exit code 7"}},
		{"died at once", "1", "10:04:54", "10:04:55", Restart{Left: 10 * time.Second,
			Text: "the container app of the pod api-1 restarted 1 time, the last time after exit code 7"}},
		{"runs for longer than before", "1", "10:04:10", "10:04:35", Restart{}},
		{"before the release", "3", "08:59:00", "08:59:30", Restart{}},
		{"an hour ago", "9", "09:01:00", "09:01:30", Restart{}},
		{"after a long run", "9", "09:01:00", "10:04:30", Restart{Left: 9*time.Minute + 30*time.Second,
			Text: "the container app of the pod api-1 restarted 9 times, the last time after exit code 7"}},
	} {
		pod := podOf(t, `{metadata: {name: api-1}, status: {containerStatuses: [{name: app, restartCount: `+
			c.restarts+`, state: {running: {startedAt: "2026-11-01T`+c.finished+`Z"}}, lastState: {terminated: {`+
			`exitCode: 7, startedAt: "2026-11-01T`+c.started+`Z", finishedAt: "2026-11-01T`+c.finished+`Z"}}}]}}`)
		got, _ := restartOf(pod, since, 15*time.Second, now)
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	done := podOf(t, `{metadata: {name: api-1}, status: {initContainerStatuses: [{name: wait, restartCount: 2, `+
		`state: {terminated: {exitCode: 0, startedAt: "2026-11-01T10:04:00Z", finishedAt: "2026-11-01T10:04:30Z"}}}]}}`)
	if got, ok := restartOf(done, since, time.Minute, now); ok {
		t.Errorf("an init container that has done its work: %+v", got)
	}
}
