package node

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/distribution/reference"
)

// hub is a registry of a few documents, asking for credentials where told so.
type hub struct {
	*httptest.Server
	docs  map[string][]byte // digest → manifest or configuration
	tags  map[string]string // repo:tag → digest
	guard func(w http.ResponseWriter, r *http.Request) bool
	asked []string
}

func newHub(t *testing.T) *hub {
	h := &hub{docs: map[string][]byte{}, tags: map[string]string{}}
	h.Server = httptest.NewServer(http.HandlerFunc(h.serve))
	t.Cleanup(h.Close)
	return h
}

func (h *hub) serve(w http.ResponseWriter, r *http.Request) {
	h.asked = append(h.asked, r.URL.Path)
	if h.guard != nil && !h.guard(w, r) {
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/v2/")
	repo, rest, _ := strings.Cut(path, "/manifests/")
	if _, blob, ok := strings.Cut(path, "/blobs/"); ok {
		rest = blob
	}
	if tagged, ok := h.tags[repo+":"+rest]; ok {
		rest = tagged
	}
	doc, ok := h.docs[rest]
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(doc)
}

func (h *hub) put(doc any) (digest string) {
	b, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(b)
	digest = "sha256:" + hex.EncodeToString(sum[:])
	h.docs[digest] = b
	return digest
}

type object = map[string]any

func (h *hub) image(arch string) (digest string) {
	config := h.put(object{"os": "linux", "architecture": arch, "config": object{
		"User": "65532", "Entrypoint": []string{"/srv"}, "Labels": object{behaviorKey: "crash"}}})
	return h.put(object{"config": object{"digest": config, "size": 10},
		"layers": []object{{"digest": "sha256:aa", "size": 90}}})
}

func (h *hub) index(archs ...string) (digest string) {
	var list []object
	for _, a := range archs {
		list = append(list, object{"digest": h.image(a), "platform": object{"os": "linux", "architecture": a}})
	}
	return h.put(object{"manifests": list})
}

func (h *hub) find(t *testing.T, name string, creds ...credential) (image, error) {
	ref, err := parseImage(name)
	if err != nil {
		t.Fatal(err)
	}
	r := &registry{host: strings.TrimPrefix(h.URL, "http://"), http: h.Client(), known: map[string]image{}}
	img, _, err := r.find(t.Context(), ref, creds)
	if err != nil {
		err = fmt.Errorf("%s", pullFailure(ref, err))
	}
	return img, err
}

func TestFindImage(t *testing.T) {
	h := newHub(t)
	plain, index, arm := h.image("amd64"), h.index("arm64", "amd64"), h.index("arm64", "unknown")
	alien := h.image("arm64")
	h.tags = map[string]string{"acme/web:1": plain, "acme/web:latest": plain, "acme/multi:1": index,
		"acme/arm:1":   arm,
		"acme/alien:1": alien, "library/busybox:1": plain, "tool:1": plain}
	missing := "sha256:" + strings.Repeat("0", 64)
	h.docs["sha256:"+strings.Repeat("1", 64)] = []byte(`{"not":"that"}`)
	const unpack = "failed to pull and unpack image %[1]q: "
	const gone = "rpc error: code = NotFound desc = " + unpack +
		"failed to resolve reference %[1]q: %[1]s: not found"
	for _, tc := range []struct{ name, digest, err string }{
		{"ghcr.io/acme/web:1", plain, ""},
		{"acme/web:1", plain, ""},
		{"acme/web", plain, ""},
		{"k3d-registry.localhost:5000/acme/web:other@" + plain, plain, ""},
		{"ghcr.io/acme/multi:1", index, ""},
		{"busybox:1", plain, ""},
		{"tool:1", plain, ""},
		{"ghcr.io/acme/alien:1", alien, ""},
		{"ghcr.io/acme/arm:1", "", fmt.Sprintf("rpc error: code = NotFound desc = "+unpack+
			"no match for platform in manifest: not found", "ghcr.io/acme/arm:1")},
		{"ghcr.io/acme/web:2", "", fmt.Sprintf(gone, "ghcr.io/acme/web:2")},
		{"nothing", "", fmt.Sprintf(gone, "docker.io/library/nothing:latest")},
		{"acme/web@" + missing, "", fmt.Sprintf(gone, "docker.io/acme/web@"+missing)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			img, err := h.find(t, tc.name)
			if tc.err != "" {
				if err == nil || err.Error() != tc.err {
					t.Fatalf("error\n got %v\nwant %s", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if img.digest != tc.digest || img.size != 100 || img.user != "65532" ||
				img.labels[behaviorKey] != "crash" {
				t.Errorf("got %+v, want digest %s", img, tc.digest)
			}
			if want := tc.digest != alien; img.runsHere() != want {
				t.Errorf("runs here: %v, want %v", img.runsHere(), want)
			}
		})
	}
}

func TestFindRefusesAnotherDigest(t *testing.T) {
	h := newHub(t)
	forged := "sha256:" + strings.Repeat("1", 64)
	h.docs[forged] = []byte(`{"config":{}}`)
	if _, err := h.find(t, "acme/web@"+forged); err == nil || !strings.Contains(err.Error(),
		"unexpected digest") {
		t.Errorf("got error %v", err)
	}
}

// A digest's content cannot change, but who may read it can: the manifest is always asked for.
func TestFindRemembersContentNotAccess(t *testing.T) {
	h := newHub(t)
	h.tags["acme/web:1"] = h.image("amd64")
	r := &registry{host: strings.TrimPrefix(h.URL, "http://"), http: h.Client(), known: map[string]image{}}
	ref, err := reference.ParseNormalizedNamed("acme/web:1")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, _, err := r.find(t.Context(), ref, nil); err != nil {
			t.Fatal(err)
		}
	}
	if len(h.asked) != 3 {
		t.Errorf("asked for %v, want manifest, configuration, manifest", h.asked)
	}
	h.guard = func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusForbidden)
		return false
	}
	if _, _, err := r.find(t.Context(), ref, nil); err == nil || !strings.Contains(err.Error(),
		"403 Forbidden") {
		t.Errorf("got error %v", err)
	}
}

func TestFindWithCredentials(t *testing.T) {
	good, bad := credential{"bob", "secret"}, credential{"eve", "guess"}
	knows := func(r *http.Request) bool {
		user, password, _ := r.BasicAuth()
		return credential{user, password} == good
	}
	basic := func(*hub) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if knows(r) {
				return true
			}
			w.Header().Set("WWW-Authenticate", `Basic realm="sandbox"`)
			w.WriteHeader(http.StatusUnauthorized)
			return false
		}
	}
	bearer := func(h *hub) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			switch {
			case r.URL.Path == "/token" && knows(r):
				fmt.Fprintf(w, `{"token":%q}`, "for "+r.URL.Query().Get("service")+" "+r.URL.Query().Get("scope"))
				return false
			case r.URL.Path == "/token":
				w.WriteHeader(http.StatusUnauthorized)
				return false
			case r.Header.Get("Authorization") == "Bearer for hub repository:acme/web:pull":
				return true
			}
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+h.URL+`/token",service="hub"`)
			w.WriteHeader(http.StatusUnauthorized)
			return false
		}
	}
	const denied = "pull access denied, repository does not exist or may require authorization: "
	for _, tc := range []struct {
		name  string
		guard func(*hub) func(http.ResponseWriter, *http.Request) bool
		creds []credential
		want  string
	}{
		{"basic, none", basic, nil, denied + "authorization failed: no basic auth credentials"},
		{"basic, wrong", basic, []credential{bad}, denied + "authorization failed"},
		{"basic, right", basic, []credential{good}, ""},
		{"basic, the second is right", basic, []credential{bad, good}, ""},
		{"bearer, none", bearer, nil, denied + "failed to fetch token: unexpected status from GET request to "},
		{"bearer, wrong", bearer, []credential{bad}, denied + "failed to fetch token: "},
		{"bearer, right", bearer, []credential{good}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHub(t)
			h.tags["acme/web:1"] = h.image("amd64")
			h.guard = tc.guard(h)
			_, err := h.find(t, "ghcr.io/acme/web:1", tc.creds...)
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("got error %v", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("got error %v, want %s", err, tc.want)
			}
		})
	}
}
