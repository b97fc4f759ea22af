package release

import (
	"reflect"
	"testing"
)

// A reader decodes a record once, and another one where anything of it has changed.
func TestDecoded(t *testing.T) {
	s := newStore(t)
	r := begin(t, s, "one", "two")
	reader := s
	reader.Decoded = &Decoded{}
	body := func() uintptr {
		first := pastOf(t, reader).Latest.Objects.Objects()[0]
		return reflect.ValueOf(first.Body).Pointer()
	}
	first := body()
	if body() != first {
		t.Error("the same record was decoded twice")
	}
	r.Status, r.Failure = Failed, "it is slow"
	if _, err := s.Finish(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if is := pastOf(t, reader).Latest; is.Failure != r.Failure {
		t.Errorf("a record that has changed is read as it was: %q", is.Failure)
	}
	next := begin(t, s, "three")
	if is := pastOf(t, reader).Latest; is.Revision != next.Revision || is.Objects.Len() != 1 {
		t.Errorf("release %d with %d objects is not the newest one", is.Revision, is.Objects.Len())
	}
	other := newStore(t)
	other.Decoded = reader.Decoded
	if is := pastOf(t, other).Latest; is.Revision != 0 {
		t.Error("another environment has its releases")
	}
}
