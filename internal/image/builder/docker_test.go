package builder

import (
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote"

	"slipway/internal/image/imagetest"
)

func TestBuildWithDocker(t *testing.T) {
	e, err := dockerEndpoint()
	if err != nil || !e.isSet() {
		t.Skip("no Docker on this machine: ", err)
	}
	b, err := openDocker(t.Context(), e)
	if err != nil {
		t.Skip("no Docker on this machine: ", err)
	}
	defer b.Close()
	repository := imagetest.Start(t) + "/myapp"
	res, err := b.Build(t.Context(), Request{
		Context:    write(t, t.TempDir(), map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}),
		Repository: repository, Tag: "v1",
		Labels:   map[string]string{"a": "b"},
		Progress: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	pull(t, repository, res.Digest)
	if res.Tagged != b.classic {
		t.Errorf("tagged %v with a classic store %v", res.Tagged, b.classic)
	}
	if res.Tagged {
		desc, err := remote.Head(mustRepository(t, repository).Tag("v1"), remote.WithContext(t.Context()))
		if err != nil || desc.Digest.String() != res.Digest {
			t.Errorf("v1 is %v (%v), want %s", desc, err, res.Digest)
		}
	}
}
