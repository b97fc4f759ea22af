package helm_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"slipway/internal/image/imagetest"
	"slipway/internal/project"
	"slipway/internal/render/helm"
	"slipway/internal/render/tree"
)

func packedDB(t *testing.T, note string) []byte {
	return pack(t, map[string]string{
		"db/Chart.yaml": "apiVersion: v2\nname: db\nversion: 1.2.3\n",
		"db/templates/c.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: db}\ndata: {note: " + note +
			"}\n",
	})
}

// repository serves files and records the requests.
func repository(t *testing.T) (files map[string]string, asked *[]string, address string) {
	t.Helper()
	files, asked = map[string]string{}, new([]string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.URL.Path)
		text, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		io.WriteString(w, text)
	}))
	t.Cleanup(server.Close)
	return files, asked, server.URL
}

func index(file string, text []byte) string {
	sum := sha256.Sum256(text)
	return fmt.Sprintf("apiVersion: v1\nentries:\n  db:\n  - {name: db, version: 1.2.3, digest: %s, urls: "+
		"[%q]}\n  - {name: db, version: 1.2.4, urls: [x]}\n", hex.EncodeToString(sum[:]), file)
}

func TestRepository(t *testing.T) {
	files, asked, address := repository(t)
	text := packedDB(t, "one")
	files["/stable/index.yaml"], files["/stable/files/db-1.2.3.tgz"] = index("files/db-1.2.3.tgz",
		text), string(text)
	dir, cache := chartDir(t, meta), t.TempDir()
	from := func(repository, version string, remotes ...string) (string, error) {
		root, err := tree.Open(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		r, err := helm.New(helm.Config{Remotes: remotes, Cache: cache}).Render(root.View(t.Context()),
			project.Chart{Path: "db", Repository: repository, Version: version, Release: "rel"}, helm.Options{})
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%v from %s", r.Objects[0].At("data", "note"), r.Objects[0].Origin), nil
	}
	stable := address + "/stable"
	for _, c := range []struct{ repository, version, remote, want string }{
		{stable, "1.2.3", "https://other",
			"charts are fetched only from the addresses under remotes: in slipway.yaml"},
		{stable, "1.2.3", address + "/sta", "charts are fetched only from"},
		{stable, "1.2.3", strings.Replace(address, "http:", "https:", 1), "charts are fetched only from"},
		{stable, "^1.0.0", address, `"^1.0.0" is not an exact version`},
		{stable, "", address, "is not an exact version"},
		{stable, "1.2.4", address, "the repository's index has no URL or no digest for it"},
		{stable, "9.9.9", address, "not in the repository's index"},
		{address + "/none", "1.2.3", address, "returned 404 Not Found"},
		{strings.Replace(stable, "//", "//me:pass@", 1), "1.2.3", address, "is not a repository URL"},
	} {
		if _, err := from(c.repository, c.version, c.remote); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: got %v, want %s", c.repository, c.version, err, c.want)
		}
	}
	var refused *tree.RefusedError
	if _, err := from(stable, "1.2.3"); !errors.As(err, &refused) {
		t.Errorf("not refused: %v", err)
	}
	want := "one from " + stable + "/db-1.2.3.tgz/templates/c.yaml"
	if got, err := from(stable, "1.2.3", stable); got != want {
		t.Fatalf("got %q, %v", got, err)
	}
	*asked = nil
	if got, err := from(stable, "1.2.3", address); got != want || len(*asked) > 0 {
		t.Errorf("from the cache: %q, %v, after asking for %v", got, err, *asked)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 1 {
		t.Errorf("the project holds %v", left)
	}

	// A damaged cache is repaired; a changed repository is refused.
	packed, _ := filepath.Glob(filepath.Join(cache, "sha256", "*.tgz"))
	if err := os.WriteFile(packed[0], []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := from(stable, "1.2.3", address); got != want {
		t.Errorf("mended: %q, %v", got, err)
	}
	if err := os.Remove(packed[0]); err != nil {
		t.Fatal(err)
	}
	two := packedDB(t, "two")
	files["/stable/files/db-1.2.3.tgz"] = string(two)
	if _, err := from(stable, "1.2.3", address); err == nil || !strings.Contains(err.Error(),
		"but the repository lists") {
		t.Errorf("another content under the same digest: %v", err)
	}
	files["/stable/index.yaml"] = index("files/db-1.2.3.tgz", two)
	if _, err := from(stable, "1.2.3", address); err == nil || !strings.Contains(err.Error(),
		"its digest changed") {
		t.Errorf("another content: %v", err)
	}
}

func TestLockedDependency(t *testing.T) {
	files, _, address := repository(t)
	text := packedDB(t, "locked")
	files["/index.yaml"], files["/db.tgz"] = index("db.tgz", text), string(text)
	chart := "-- Chart.yaml --\napiVersion: v2\nname: web\nversion: 1.0.0\ndependencies:\n- name: db\n  " +
		"version: ^1.0.0\n  repository: " + address + "\n"
	locked := chart + "-- Chart.lock --\ndependencies:\n- name: db\n  version: 1.2.3\n  repository: " + address +
		"\n"
	at := func(text string, remotes ...string) error {
		root, err := tree.Open(chartDir(t, text), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		r, err := helm.New(helm.Config{Remotes: remotes, Cache: t.TempDir()}).Render(root.View(t.Context()),
			project.Chart{Path: ".", Release: "rel"}, helm.Options{})
		if err == nil && len(r.Objects) != 1 {
			t.Errorf("%d objects", len(r.Objects))
		}
		return err
	}
	if err := at(locked, address); err != nil {
		t.Error(err)
	}
	for want, err := range map[string]error{
		"Chart.yaml:5: dependency db": at(chart, address),
		"Chart.yaml:5: chart " + address + "/db-1.2.3.tgz: charts are fetched only from": at(locked),
		"Chart.lock has no version of it: run helm dependency update":                    at(chart, address),
		"Chart.yaml:5: dependency db ^2.0.0: " + address + " is db 1.2.3": at(strings.Replace(locked,
			"^1.0.0", "^2.0.0", 1), address),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestRegistry(t *testing.T) {
	host := imagetest.Start(t)
	image, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), mutate.Addendum{
		Layer: static.NewLayer(packedDB(t, "pulled"), "application/vnd.cncf.helm.chart.content.v1.tar+gzip"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for tag, image := range map[string]v1.Image{"charts/db:1.2.3": image,
		"charts/db:9.9.9": mutate.MediaType(empty.Image, types.OCIManifestSchema1)} {
		imagetest.Push(host+"/"+tag, image)
	}
	root, err := tree.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	engine := helm.New(helm.Config{Remotes: []string{"oci://" + host + "/charts"}, Cache: t.TempDir()})
	for version, want := range map[string]string{"1.2.3": "pulled", "9.9.9": "not a Helm chart",
		"7.7.7": "MANIFEST_UNKNOWN"} {
		r, err := engine.Render(root.View(t.Context()), project.Chart{Path: "db", Repository: "oci://" + host +
			"/charts", Version: version, Release: "rel"}, helm.Options{})
		if err == nil {
			if got := r.Objects[0].At("data", "note"); got != want {
				t.Errorf("%s: %v", version, got)
			}
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", version, err)
		}
	}
}
