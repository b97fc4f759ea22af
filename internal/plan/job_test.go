package plan

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/object"
)

// A Job cannot be changed, and runs once: what becomes of one whose template is another now.
func TestMakeJobs(t *testing.T) {
	job := parse(
		t, `{apiVersion: batch/v1, kind: Job, metadata: {name: migrate, namespace: prod}, spec: {image: v2}}`)
	running := parse(
		t, `{apiVersion: batch/v1, kind: Job, metadata: {name: migrate, namespace: prod, uid: u1}, spec: {image: v1}, status: {active: 1}}`)
	ended := parse(
		t, `{apiVersion: batch/v1, kind: Job, metadata: {name: migrate, namespace: prod, uid: u1}, spec: {image: v1},
		status: {conditions: [{type: Failed, status: "True"}]}}`)
	ours := []object.Ref{job.Ref()}
	fixed := func(live object.Object) []Observed {
		return []Observed{{Ref: job.Ref(), Live: live, Merged: job, Fixed: true}}
	}
	for name, test := range map[string]struct {
		in   Input
		want string
	}{
		"ended": {Input{Observed: fixed(ended), Owned: ours},
			"replace Job prod/migrate stage 4: cannot be changed: the Job is deleted and created again, " +
				"once it has ended\n  spec.image: \"v1\" → \"v2\"\ncomplete"},
		"ended, and on its way out": {Input{Observed: fixed(with(ended, "2026-11-01T00:00:00Z", "metadata",
			"deletionTimestamp")), Owned: ours},
			"replace Job prod/migrate stage 4: cannot be changed: the Job is deleted and created again, " +
				"once it has ended\n  spec.image: \"v1\" → \"v2\"\ncomplete"},
		"running": {Input{Observed: fixed(running), Owned: ours},
			"replace Job prod/migrate stage 4: cannot be changed: the Job is deleted and created again, " +
				"once it has ended\n  spec.image: \"v1\" → \"v2\"\ncomplete"},
		"somebody else's": {Input{Observed: fixed(ended)},
			"blocked Job prod/migrate stage 4: it cannot be changed, and no release of this environment created it\n  " +
				"spec.image: \"v1\" → \"v2\"\nincomplete"},
		"refused as a new one too": {Input{Observed: []Observed{{Ref: job.Ref(), Live: ended, Fixed: true,
			Err: errors.New("over quota")}}, Owned: ours},
			"blocked Job prod/migrate stage 4: over quota\nincomplete"},
		"on the way back": {Input{Observed: fixed(ended), Owned: ours, Rollback: true},
			"keep Job prod/migrate stage 4: a rollback does not run a Job again\ncomplete"},
		"gone after its time": {Input{Observed: []Observed{{Ref: job.Ref(), Merged: job}}, Owned: ours, Ran: ours},
			"keep Job prod/migrate stage 4: it ran with the last release, and its TTL has deleted " +
				"it\ncomplete"},
		"going after its time": {Input{Observed: []Observed{{Ref: job.Ref(),
			Live: with(ended, "2026-11-01T00:00:00Z", "metadata", "deletionTimestamp"), Merged: job}},
			Owned: ours, Ran: ours},
			"keep Job prod/migrate stage 4: it ran with the last release, and its TTL has deleted " +
				"it\ncomplete"},
		"gone": {Input{Observed: []Observed{{Ref: job.Ref(), Merged: job}}, Owned: ours},
			"create Job prod/migrate stage 4\ncomplete"},
	} {
		t.Run(name, func(t *testing.T) {
			test.in.Desired = set(t, job)
			if diff := cmp.Diff(test.want, text(Make(test.in))); diff != "" {
				t.Error(diff)
			}
		})
	}
}
