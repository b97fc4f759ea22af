package cluster

import (
	"errors"
	"testing"
)

func TestDuplicate(t *testing.T) {
	server := errors.New(`failed to create typed patch object (shop/web; apps/v1, Kind=Deployment): ` +
		`.spec.template.spec.containers[name="web"].env: duplicate entries for key [name="LEVEL"]`)
	const want = `spec.template.spec.containers[name="web"].env has two entries with name="LEVEL", ` +
		`which server-side apply refuses`
	if got := duplicate(server); got.Error() != want || !errors.Is(got, server) {
		t.Errorf("%v", got)
	}
	other := errors.New("field is immutable")
	if got := duplicate(other); got != other {
		t.Errorf("%v", got)
	}
}
