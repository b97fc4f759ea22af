package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
)

// The page of the latest release redirects to its tag, on GitHub, GitLab and Gitea.
func TestCheckVersion(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/acme/slipway/releases/latest",
		http.RedirectHandler("/acme/slipway/releases/tag/v0.2.0", http.StatusFound))
	server := httptest.NewServer(mux)
	defer server.Close()
	url := server.URL + "/acme/slipway/releases/download"
	for running, want := range map[string]string{
		"v0.2.0": "slipway v0.2.0 is the newest version\n",
		"v0.1.0": "slipway v0.2.0 is published, this is v0.1.0: " + url + "/v0.2.0\n",
	} {
		var out bytes.Buffer
		before := version
		version = running
		err := (&app{stdout: &out}).checkVersion(t.Context(), url)
		if version = before; err != nil || out.String() != want {
			t.Errorf("%s: %q, %v", running, out.String(), err)
		}
	}
	if err := (&app{}).checkVersion(t.Context(), server.URL+"/other"); err == nil {
		t.Error("a page that leads nowhere is a version")
	}
}
