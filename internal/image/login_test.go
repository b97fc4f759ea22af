package image

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// Registries of Google get the identity that the metadata server of the machine or pod hands out, also when
// it did not answer at first, and other registries do not.
func TestGoogleIdentity(t *testing.T) {
	ready := false
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Metadata-Flavor", "Google")
		switch {
		case strings.HasSuffix(r.URL.Path, "/token") && ready:
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte(`{"access_token":"of-the-pod","expires_in":3600,"token_type":"Bearer"}`))
		case strings.HasSuffix(r.URL.Path, "/token"):
			http.NotFound(w, r)
		}
	}))
	defer metadata.Close()
	t.Setenv("GCE_METADATA_HOST", strings.TrimPrefix(metadata.URL, "http://"))
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	password := func(host string) string {
		t.Helper()
		registry, err := name.NewRegistry(host)
		if err != nil {
			t.Fatal(err)
		}
		auth, err := logins{}.ResolveContext(t.Context(), registry)
		if err != nil {
			t.Fatal(err)
		}
		config, err := authn.Authorization(t.Context(), auth)
		if err != nil {
			t.Fatal(err)
		}
		return config.Password
	}
	if got := password("europe-docker.pkg.dev"); got != "" {
		t.Errorf("without a token: %q", got)
	}
	ready = true
	for host, want := range map[string]string{
		"europe-docker.pkg.dev": "of-the-pod", "eu.gcr.io": "of-the-pod", "ghcr.io": "", "pkg.dev.example.com": "",
	} {
		if got := password(host); got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}
