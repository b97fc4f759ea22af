package rollout

import (
	"errors"
	"slices"
	"testing"
	"time"

	"slipway/internal/object"
)

// Another object of the same name is not the one that was deleted: the controller that aggregates
// ClusterRoles applies them, and so creates one again that was deleted meanwhile.
func TestWaitGoneRemade(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	apply(t, p.admin, p.Parse(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"))
	ref := object.Ref{Kind: "ConfigMap", Namespace: p.Namespace, Name: "a"}
	live, _, err := p.admin.Get(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := live.At("metadata", "uid").(string)
	for _, test := range []struct {
		uid    string
		remade []object.Ref
		there  bool
	}{
		{"that-of-the-deleted-one", []object.Ref{ref}, false}, {uid, nil, true}, {"", nil, true},
	} {
		uids := map[object.Ref]string{ref: test.uid}
		remade, err := WaitGone(t.Context(), p.admin, []object.Ref{ref}, uids, 100*time.Millisecond)
		if !slices.Equal(remade, test.remade) || errors.As(err, new(*StillThereError)) != test.there {
			t.Errorf("UID %q: %v, %v", test.uid, remade, err)
		}
	}
}
