package registry_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"slipway/sandbox/access"
	"slipway/sandbox/registry"
)

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// client speaks the distribution protocol, with or without credentials.
type client struct {
	t              *testing.T
	base, host     string
	user, password string
}

func serve(t *testing.T, dir string, rule access.Rule) (client, func()) {
	t.Helper()
	reg := registry.New(dir, rule, slog.New(slog.DiscardHandler))
	srv := httptest.NewServer(reg)
	stop := func() {
		srv.Close()
		if err := reg.Close(); err != nil {
			t.Error(err)
		}
	}
	return client{t: t, base: srv.URL}, stop
}

func (c client) as(user, password string) client { c.user, c.password = user, password; return c }

func (c client) do(method, path, kind string, body []byte) (int, http.Header, []byte) {
	c.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = c.base + path
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, path, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Host = c.host
	req.Header.Set("Content-Type", kind)
	if c.user != "" {
		req.SetBasicAuth(c.user, c.password)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, b
}

func (c client) want(code int, method, path, kind string, body []byte) http.Header {
	c.t.Helper()
	got, h, b := c.do(method, path, kind, body)
	if got != code {
		c.t.Fatalf("%s %s: %d, want %d: %s", method, path, got, code, b)
	}
	return h
}

func digest(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

func (c client) blob(repo string, b []byte) map[string]any {
	c.t.Helper()
	h := c.want(202, "POST", "/v2/"+repo+"/blobs/uploads/", "", nil)
	sep := "?"
	if strings.Contains(h.Get("Location"), "?") {
		sep = "&"
	}
	c.want(201, "PUT", h.Get("Location")+sep+"digest="+digest(b), "application/octet-stream", b)
	return map[string]any{"mediaType": "application/octet-stream", "digest": digest(b), "size": len(b)}
}

// push puts a small image and gives its manifest.
func (c client) push(repo, tag string, subject map[string]any) []byte {
	c.t.Helper()
	m := map[string]any{
		"schemaVersion": 2, "mediaType": manifestType, "artifactType": "application/x.test",
		"config": c.blob(repo, []byte("{}")), "layers": []any{c.blob(repo, []byte(repo+tag))},
	}
	if subject != nil {
		m["subject"] = subject
	}
	b, err := json.Marshal(m)
	if err != nil {
		c.t.Fatal(err)
	}
	if tag == "" {
		tag = digest(b)
	}
	c.want(201, "PUT", "/v2/"+repo+"/manifests/"+tag, manifestType, b)
	return b
}

func TestTagsAndReferrersSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	c, stop := serve(t, dir, access.Rule{})
	image := c.push("acme/myapp", "v1", nil)
	c.push("acme/myapp", "", map[string]any{"mediaType": manifestType, "digest": digest(image),
		"size": len(image)})
	stop()

	c, stop = serve(t, dir, access.Rule{})
	defer stop()
	if _, _, b := c.do("GET", "/v2/acme/myapp/manifests/v1", "", nil); !bytes.Equal(b, image) {
		t.Errorf("manifest by tag: %s", b)
	}
	_, _, b := c.do("GET", "/v2/acme/myapp/referrers/"+digest(image), "", nil)
	var index struct{ Manifests []any }
	if err := json.Unmarshal(b, &index); err != nil || len(index.Manifests) != 1 {
		t.Errorf("referrers: %s", b)
	}
}

func TestDeleteIsAllowed(t *testing.T) {
	c, stop := serve(t, t.TempDir(), access.Rule{})
	defer stop()
	image := c.push("myapp", "v1", nil)
	c.want(202, "DELETE", "/v2/myapp/manifests/"+digest(image), "", nil)
	c.want(404, "GET", "/v2/myapp/manifests/v1", "", nil)
}

func TestAnyHostName(t *testing.T) {
	c, stop := serve(t, t.TempDir(), access.Rule{})
	defer stop()
	c.host = "k3d-registry.localhost:5000"
	c.push("myapp", "v1", nil)
	c.want(200, "HEAD", "/v2/myapp/manifests/v1", "", nil)
}

func TestPrivateRepositoriesAskForCredentials(t *testing.T) {
	c, stop := serve(t, t.TempDir(), access.Rule{})
	defer stop()
	in := c.as(access.PrivateUser, access.PrivatePassword)
	layer := []byte("private/myappv1")
	in.push("private/myapp", "v1", nil)
	in.want(200, "GET", "/v2/private/myapp/manifests/v1", "", nil)
	c.want(200, "GET", "/v2/", "", nil)

	h := c.want(401, "GET", "/v2/private/myapp/manifests/v1", "", nil)
	if got := h.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Basic ") {
		t.Errorf("challenge %q", got)
	}
	c.want(401, "POST", "/v2/private/myapp/blobs/uploads/", "", nil)
	c.want(401, "GET", "/v2/private/myapp/tags/list", "", nil)
	c.as("sandbox", "wrong").want(401, "GET", "/v2/private/myapp/manifests/v1", "", nil)
	for _, way := range []string{"/v2/open/../private/myapp/manifests/v1", "/v2//private/myapp/manifests/v1",
		"/v2/private%2Fmyapp/manifests/v1"} {
		if code, _, b := c.do("GET", way, "", nil); code < 300 || code >= 500 {
			t.Errorf("%s: %d %s", way, code, b)
		}
	}
	for _, from := range []string{"private/myapp", "x/../private/myapp", "/private/myapp", "./private/myapp"} {
		c.want(401, "POST", "/v2/open/blobs/uploads/?mount="+digest(layer)+"&from="+from, "", nil)
	}
	in.want(201, "POST", "/v2/open/blobs/uploads/?mount="+digest(layer)+"&from=private/myapp", "", nil)
}

func TestAWholeRegistryCanAskForCredentials(t *testing.T) {
	c, stop := serve(t, t.TempDir(), access.Rule{User: "ann", Password: "secret"})
	defer stop()
	c.want(401, "GET", "/v2/", "", nil)
	c.want(401, "POST", "/v2/myapp/blobs/uploads/", "", nil)
	c.as("ann", "secret").push("myapp", "v1", nil)
	c.as("ann", "secret").want(200, "GET", "/v2/myapp/manifests/v1", "", nil)
	c.as("ann", "no").want(401, "GET", "/v2/myapp/manifests/v1", "", nil)
}
