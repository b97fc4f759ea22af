package release

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/object"
)

// A later version of the agent has written a record in the middle of a deploy, and this one goes on with it:
// what it does not know stays in the record and in its summary, for the version that comes back.
func TestFault49Versions(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	r := begin(t, s, "one")
	written := later{
		fields: map[string]json.RawMessage{"canary": json.RawMessage(`{"step":3,"of":10}`)},
		parts:  map[string]json.RawMessage{"trace": json.RawMessage(`["a","b"]`)},
	}
	r.later = written
	if _, err := s.write(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for step, change := range map[string]func(Release) error{
		"finish": func(r Release) error { r.Status = Healthy; _, err := s.Finish(t.Context(), r); return err },
		"hold":   func(r Release) error { _, err := s.Hold(t.Context(), r.Revision, "bad", nil); return err },
	} {
		read, err := s.Get(t.Context(), r.Revision)
		if err != nil {
			t.Fatal(err)
		}
		if err := change(read); err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		stored, _, err := readRecord(t.Context(), s.Cluster, s.name(r.Revision))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(stored.summary), `"canary":{"step":3,"of":10}`) {
			t.Errorf("%s: the summary is %s", step, stored.summary)
		}
		now, err := decode(stored.data, object.Set{})
		if diff := cmp.Diff(written, now.later, cmp.AllowUnexported(later{})); err != nil || diff != "" {
			t.Errorf("%s: %v, %s", step, err, diff)
		}
		if now.Objects.Digest() != r.Objects.Digest() {
			t.Errorf("%s: other objects", step)
		}
	}
}
