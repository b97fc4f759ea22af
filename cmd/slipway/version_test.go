package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
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
		err := checkVersion(t.Context(), &out, url)
		if version = before; err != nil || out.String() != want {
			t.Errorf("%s: %q, %v", running, out.String(), err)
		}
	}
	if err := checkVersion(t.Context(), io.Discard, server.URL+"/other"); err == nil {
		t.Error("a page that leads nowhere is a version")
	}
}

// A published binary writes pipelines that download its own version, by the checksum of its release.
func TestPublishedPipeline(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	mux := http.NewServeMux()
	mux.HandleFunc("/v0.2.0/checksums.txt", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "%s  slipway_0.2.0_linux_arm64.tar.gz\n%s  slipway_0.2.0_linux_amd64.tar.gz\n",
			strings.Repeat("cd", 32), sum)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	t.Chdir(filepath.Join("..", "..", "examples", "kustomize"))
	beforeVersion, beforeReleases := version, releases
	t.Cleanup(func() { version, releases = beforeVersion, beforeReleases })
	version, releases = "v0.2.0", server.URL
	for _, platform := range []string{"github", "gitlab"} {
		var out, errs bytes.Buffer
		if code := run([]string{"ci", platform, "--print"}, os.Stdin, &out, &errs); code != 0 {
			t.Fatal(errs.String())
		}
		for _, want := range []string{
			`SLIPWAY_URL: "` + server.URL + `/v0.2.0/slipway_0.2.0_linux_amd64.tar.gz"`,
			`SLIPWAY_SHA256: "` + sum + `"`,
		} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s lacks %s", platform, want)
			}
		}
	}
	version = "v0.3.0"
	var out, errs bytes.Buffer
	run([]string{"ci", "github", "--print"}, os.Stdin, &out, &errs)
	if !strings.Contains(errs.String(), "fill it in") || !strings.Contains(out.String(), `SLIPWAY_URL: ""`) {
		t.Errorf("a version that is not published: %s", errs.String())
	}
}
