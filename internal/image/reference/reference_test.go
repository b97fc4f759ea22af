package reference_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/image/reference"
)

func TestParse(t *testing.T) {
	for text, c := range map[string]struct {
		want                    reference.Reference
		fixed, mutable, mayMove bool
	}{
		"myapp": {reference.Reference{Repository: "myapp"}, false, true, true},
		"myapp:latest": {reference.Reference{Repository: "myapp", Tag: "latest"},
			false, true, true},
		"myapp:dev":  {reference.Reference{Repository: "myapp", Tag: "dev"}, false, true, true},
		"myapp:MAIN": {reference.Reference{Repository: "myapp", Tag: "MAIN"}, false, true, true},
		"myapp:stable": {reference.Reference{Repository: "myapp", Tag: "stable"},
			false, false, true},
		"myapp:dev-1.2.3": {reference.Reference{Repository: "myapp", Tag: "dev-1.2.3"},
			false, false, false},
		"reg:5000/myapp": {reference.Reference{Repository: "reg:5000/myapp"}, false, true, true},
		"reg:5000/myapp:sha-3f9c2e1": {reference.Reference{Repository: "reg:5000/myapp", Tag: "sha-3f9c2e1"},
			true, false, false},
		"reg:5000/myapp:sha-3f9c": {reference.Reference{Repository: "reg:5000/myapp", Tag: "sha-3f9c"},
			false, false, false},
		"myapp:v1.2.3": {reference.Reference{Repository: "myapp", Tag: "v1.2.3"},
			true, false, false},
		"myapp:1.2.3-rc.1": {reference.Reference{Repository: "myapp", Tag: "1.2.3-rc.1"},
			true, false, false},
		"myapp:1.2": {reference.Reference{Repository: "myapp", Tag: "1.2"}, false, false, false},
		"myapp:latest@sha256:aa": {reference.Reference{Repository: "myapp", Tag: "latest",
			Digest: "sha256:aa"}, true, false, false},
		"reg:5000/myapp@sha256:aa": {reference.Reference{Repository: "reg:5000/myapp", Digest: "sha256:aa"},
			true, false, false},
		"reg:5000/myapp:a.b@sha256:aa": {reference.Reference{Repository: "reg:5000/myapp", Tag: "a.b",
			Digest: "sha256:aa"}, true, false, false},
	} {
		got := reference.Parse(text)
		if diff := cmp.Diff(c.want, got); diff != "" || got.String() != text {
			t.Errorf("%s: printed %s: %s", text, got, diff)
		}
		if got.IsFixed() != c.fixed || got.IsMutable() != c.mutable || got.MayMove() != c.mayMove {
			t.Errorf("%s: fixed %v, mutable %v, may move %v", text, got.IsFixed(), got.IsMutable(), got.MayMove())
		}
	}
}

func TestMovingTags(t *testing.T) {
	for text, want := range map[string]string{
		"web:latest-alpine": "mutable", "web:production-latest": "mutable", "web:LATEST_prod": "mutable",
		"web:v1-latest": "mutable", "web:latest-3f9c2e1": "", "web:latest-20260101": "", "web:main-alpine": "mutable",
		"web:main-3f9c2e1": "", "web:latest-1.2.3": "", "web:not-the-latest": "mutable",
		"web:stable-alpine3.19": "may move", "web:lts-bookworm-slim": "may move", "web:stable-1.2.3": "",
		"web:release-candidate": "", "web:alpine": "", "postgres:16": "series", "postgres:16-alpine": "series",
		"docker.io/library/redis:7.2": "series", "nginx:1.27.3-alpine": "", "acme/web:16": "", "web:16": "",
		"postgres:16@sha256:aa": "", "node:20-bookworm-slim": "series", "web:2026": "", "postgres:17.6": "", "postgres:17": "series", "web:decade": "",
	} {
		r, got := reference.Parse(text), ""
		switch {
		case r.IsMutable():
			got = "mutable"
		case r.MayMove():
			got = "may move"
		case r.IsSeries():
			got = "series"
		}
		if got != want {
			t.Errorf("%s is %q, not %q", text, got, want)
		}
	}
}

func TestHosts(t *testing.T) {
	for repository, want := range map[string]string{
		"localhost:5000/web": "laptop", "k3d-registry.localhost:5000/web": "laptop", "k3d-reg:5000/web": "laptop",
		"kind-registry:5000/web": "laptop", "127.0.0.1/web": "laptop", "127.0.0.1:5000/web": "laptop",
		"[::1]:5000/web":                "laptop",
		"host.docker.internal:5000/web": "laptop", "reg.k3d.internal/web": "laptop", "ko.local/web": "laptop",
		"10.0.0.4:5000/web": "private", "192.168.1.7:5000/web": "private", "harbor.corp.local/web": "private",
		"k3d-tools/web": "", "web": "", "localhost": "", "ghcr.io/localhost/web": "", "8.8.8.8/web": "",
		"k3d-io/k3d":                "",
		"localhost.example.com/web": "", "registry.example.com:5000/web": "",
	} {
		got, host := "", reference.Host(repository)
		switch {
		case reference.IsLaptop(host):
			got = "laptop"
		case reference.IsPrivate(host):
			got = "private"
		}
		if got != want {
			t.Errorf("%s is %q, not %q", repository, got, want)
		}
	}
}
