package image

import (
	"errors"
	"io"
	"log"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"slipway/internal/image/imagetest"
)

// counted is a registry that remembers what it was asked.
type counted struct {
	mu   sync.Mutex
	all  []string
	host string
}

func startCounted(t *testing.T) *counted {
	t.Helper()
	c := &counted{}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true))
	c.host = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.all = append(c.all, r.Method+" "+r.URL.Path)
		c.mu.Unlock()
		inner.ServeHTTP(w, r)
	}))
	return c
}

// take gives what began with one of these since the last time.
func (c *counted) take(methods ...string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := slices.DeleteFunc(c.all, func(r string) bool {
		return !slices.ContainsFunc(methods, func(m string) bool { return strings.HasPrefix(r, m+" ") })
	})
	c.all = nil
	return all
}

// whole pushes an index of two platforms with BuildKit's attestations, and a signature of it. It gives
// the digests of both.
func whole(tag string) (index, signature string) {
	index = imagetest.Push(tag, imagetest.Index(300, map[string]string{LabelRevision: source.Commit},
		"arm64", "amd64"))
	at := imagetest.Must(name.NewTag(tag)).Context().Digest(index)
	return index, imagetest.Attach(at, "application/vnd.dev.cosign.artifact.sig.v1+json", []byte("signed"))
}

func TestCopyWhole(t *testing.T) {
	from, to := startCounted(t), startCounted(t)
	index, signature := whole(from.host + "/acme/api:v1.0.0")
	want := imagetest.Must(Inspect(t.Context(), from.host+"/acme/api:v1.0.0", Options{}))
	from.take()
	p, sent, err := Copy(t.Context(), from.host+"/acme/api:v1.0.0", to.host+"/prod/api", Options{})
	if err != nil || !sent {
		t.Fatal(sent, err)
	}
	if diff := cmp.Diff(Pin{Repository: to.host + "/prod/api", Tag: "v1.0.0", Digest: index}, p); diff != "" {
		t.Error("(-want +got):\n", diff)
	}
	want.Reference = p.Reference()
	if diff := cmp.Diff(want, imagetest.Must(Inspect(t.Context(), to.host+"/prod/api:v1.0.0",
		Options{}))); diff != "" {
		t.Error("what arrived (-want +got):\n", diff)
	}
	if len(want.Platforms) != 2 || len(want.Attestations) != 5 || want.Labels[LabelRevision] != source.Commit {
		t.Errorf("inspected %+v", want)
	}
	writes := to.take("PUT", "POST", "PATCH")
	if last := writes[len(writes)-1]; last != "PUT /v2/prod/api/manifests/v1.0.0" || !slices.Contains(writes,
		"PUT /v2/prod/api/manifests/"+signature) {
		t.Errorf("written %q", writes)
	}
	// Every layer and every configuration is read from here once.
	blobs := slices.DeleteFunc(from.take("GET"), func(r string) bool { return !strings.Contains(r, "/blobs/") })
	if slices.Sort(blobs); len(slices.Compact(slices.Clone(blobs))) < len(blobs) {
		t.Errorf("read twice: %q", blobs)
	}

	if _, sent, err := Copy(t.Context(), from.host+"/acme/api:v1.0.0", to.host+"/prod/api",
		Options{}); err != nil || sent {
		t.Error("the same again: ", sent, err)
	}
	if writes := to.take("PUT", "POST", "PATCH"); len(writes) > 0 {
		t.Errorf("the same again writes %q", writes)
	}
}

func TestCopySendsWhatIsMissing(t *testing.T) {
	from, to := startCounted(t), startCounted(t)
	base := imagetest.Must(random.Image(500, 3))
	more := imagetest.Must(random.Layer(500, types.DockerLayer))
	imagetest.Push(to.host+"/api:v1.0.0", base)
	imagetest.Push(from.host+"/api:v1.1.0", imagetest.Must(mutate.AppendLayers(base, more)))
	to.take()
	if _, _, err := Copy(t.Context(), from.host+"/api:v1.1.0", to.host+"/api", Options{}); err != nil {
		t.Fatal(err)
	}
	if sent := to.take("PATCH"); len(sent) != 2 { // the layer and the configuration
		t.Errorf("sent %q", sent)
	}
}

func TestCopyRefuses(t *testing.T) {
	host := imagetest.Start(t)
	digest, taken := push(host+"/api:v1.0.0"), push(host+"/prod/api:v1.0.0")
	for name, c := range map[string]struct {
		src, dst string
		want     any
	}{
		"a tag that is taken":       {"/api:v1.0.0", "/prod/api:v1.0.0", new(*TagTakenError)},
		"no tag, which is the same": {"/api:v1.0.0", "/prod/api", new(*TagTakenError)},
		"nothing there":             {"/api:v9.9.9", "/prod/api", new(*NotFoundError)},
		"another digest":            {"/api:v1.0.0", "/prod/api@" + taken, new(*ReferenceError)},
		"no tag at all":             {"/api", "/prod/api", new(*ReferenceError)},
		"no name":                   {"/api:v1.0.0", "/prod/API", new(*ReferenceError)},
	} {
		if _, _, err := Copy(t.Context(), host+c.src, host+c.dst, Options{}); !errors.As(err, c.want) {
			t.Errorf("%s: %T: %v", name, err, err)
		}
	}
	if now := digestOf(t, host+"/prod/api:v1.0.0"); now != taken {
		t.Errorf("the tag moved to %s", now)
	}
	p, sent, err := Copy(t.Context(), host+"/api@"+digest, host+"/elsewhere/api", Options{})
	if err != nil || !sent || p.Reference() != host+"/elsewhere/api@"+digest {
		t.Errorf("by digest alone: %s %t %v", p.Reference(), sent, err)
	}
}

func TestPlatformsAndRevision(t *testing.T) {
	host := imagetest.Start(t)
	index, _ := whole(host + "/api:v1.0.0")
	alone := push(host + "/alone:v1.0.0") // says nothing about itself
	for _, c := range []struct {
		pin       Pin
		platforms []string
		revision  string
	}{
		{Pin{Repository: "ghcr.io/api", Digest: index}, []string{"linux/arm64", "linux/amd64"}, source.Commit},
		{Pin{Repository: "ghcr.io/alone", Digest: alone}, nil, ""},
	} {
		platforms := imagetest.Must(Platforms(t.Context(), c.pin, Options{Mirror: host}))
		if diff := cmp.Diff(c.platforms, platforms); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.pin.Repository, diff)
		}
		if revision := imagetest.Must(Revision(t.Context(), c.pin, Options{Mirror: host})); revision != c.revision {
			t.Errorf("%s is of %q", c.pin.Repository, revision)
		}
	}
	if _, err := Platforms(t.Context(), Pin{Repository: host + "/api", Tag: "v2.0.0"}, Options{}); !errors.As(
		err, new(*NotFoundError)) {
		t.Errorf("%T: %v", err, err)
	}
}
