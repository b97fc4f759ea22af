package helm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"sigs.k8s.io/yaml"

	"slipway/internal/object"
	"slipway/internal/render/tree"
)

// The limits of downloads. The largest public indexes have about 25 MiB.
const (
	maxPacked = 16 << 20
	maxIndex  = 48 << 20
)

// wanted is one version of one chart of a repository.
type wanted struct{ repository, name, version string }

func (w wanted) String() string {
	if strings.HasPrefix(w.repository, "oci://") {
		return strings.TrimSuffix(w.repository, "/") + "/" + w.name + ":" + w.version
	}
	return strings.TrimSuffix(w.repository, "/") + "/" + w.name + "-" + w.version + ".tgz"
}

// fetched reads a chart of a repository, from the cache if possible. A name and a version always mean the
// same content.
func (r *reader) fetched(w wanted, at object.Origin) (*chart.Chart, error) {
	refuse := func(format string, args ...any) error {
		return &tree.RefusedError{Origin: at, What: "chart " + w.String(), Why: fmt.Sprintf(format, args...)}
	}
	repository, err := url.Parse(w.repository)
	if err != nil || repository.Host == "" || repository.User != nil {
		return nil, refuse("%q is not a repository URL", w.repository)
	}
	if strings.Contains(w.name, "..") || strings.ContainsAny(w.name, ":@?#\\ ") {
		return nil, refuse("%q is not a chart name", w.name)
	}
	if _, err := semver.NewVersion(w.version); err != nil {
		return nil, refuse("%q is not an exact version: charts are fetched by exact version", w.version)
	}
	if !covered(repository.JoinPath(w.name), r.config.Remotes) {
		return nil, refuse("charts are fetched only from the addresses under remotes: in slipway.yaml; " +
			"vendor it (helm dependency build, helm pull)")
	}
	if r.config.Cache == "" {
		return nil, refuse("the cache is disabled")
	}
	text, err := cached(r.ctx, r.config.Cache, w, repository)
	if err != nil {
		return nil, fmt.Errorf("chart %s: %w", w, err)
	}
	c, err := r.archive(w.String(), text)
	if err != nil {
		return nil, err
	}
	if c.Name() != w.name[strings.LastIndex(w.name, "/")+1:] {
		return nil, fmt.Errorf("chart %s: the archive contains %s", w, c.Name())
	}
	return c, nil
}

// covered reports whether a URL is in a list, or below an entry.
func covered(at *url.URL, list []string) bool {
	for _, s := range list {
		above, err := url.Parse(s)
		if err != nil || above.Scheme != at.Scheme || !strings.EqualFold(above.Host, at.Host) {
			continue
		}
		if strings.HasPrefix(path.Join("/", at.Path)+"/", strings.TrimSuffix(path.Join("/", above.Path), "/")+"/") {
			return true
		}
	}
	return false
}

// cached returns a chart archive by its digest, which is stored when the archive is first fetched.
func cached(ctx context.Context, cache string, w wanted, repository *url.URL) ([]byte, error) {
	note := filepath.Join(cache, "names", digestOf([]byte(w.String())))
	known, err := os.ReadFile(note)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	want, _, _ := strings.Cut(string(known), " ")
	if want != "" {
		text, err := os.ReadFile(archiveFile(cache, want))
		if err == nil && digestOf(text) == want {
			return text, nil
		}
	}
	fetch := fetchHTTP
	if repository.Scheme == "oci" {
		fetch = fetchOCI
	}
	text, said, err := fetch(ctx, w)
	if err != nil {
		return nil, err
	}
	switch got := digestOf(text); {
	case got != strings.TrimPrefix(said, "sha256:"):
		return nil, fmt.Errorf("its digest is sha256:%s, but the repository lists %s", got, said)
	case want != "" && got != want:
		return nil, fmt.Errorf("its digest changed from sha256:%s to sha256:%s: remove %s if that is expected",
			want, got, note)
	case want != "":
		return text, write(archiveFile(cache, got), text)
	default:
		if err := write(archiveFile(cache, got), text); err != nil {
			return nil, err
		}
		return text, write(note, []byte(got+" "+w.String()+"\n"))
	}
}

func archiveFile(cache, digest string) string {
	return filepath.Join(cache, "sha256", digest+".tgz")
}

func digestOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// write replaces a file atomically, because several processes may write it.
func write(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

const chartLayer = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"

func fetchOCI(ctx context.Context, w wanted) (text []byte, digest string, err error) {
	repository, version := strings.TrimPrefix(strings.TrimSuffix(w.repository, "/"), "oci://"),
		strings.ReplaceAll(w.version, "+", "_")
	ref, err := name.NewTag(repository + "/" + w.name + ":" + version)
	if err != nil {
		return nil, "", err
	}
	image, err := remote.Image(ref, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		return nil, "", err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return nil, "", err
	}
	for _, l := range manifest.Layers {
		if l.MediaType != chartLayer {
			continue
		}
		layer, err := image.LayerByDigest(l.Digest)
		if err != nil {
			return nil, "", err
		}
		content, err := layer.Compressed()
		if err != nil {
			return nil, "", err
		}
		defer content.Close()
		text, err := bounded(content, maxPacked)
		return text, l.Digest.String(), err
	}
	return nil, "", errors.New("not a Helm chart")
}

// fetchHTTP finds the chart in the repository's index. The index may point to any host, without credentials,
// because it also has the digest.
func fetchHTTP(ctx context.Context, w wanted) (text []byte, digest string, err error) {
	base, err := url.Parse(strings.TrimSuffix(w.repository, "/") + "/")
	if err != nil {
		return nil, "", err
	}
	list, err := get(ctx, base.JoinPath("index.yaml"), maxIndex)
	if err != nil {
		return nil, "", err
	}
	var index struct {
		Entries map[string][]struct {
			Version, Digest string
			URLs            []string
		}
	}
	if err := yaml.Unmarshal(list, &index); err != nil {
		return nil, "", fmt.Errorf("%sindex.yaml: %w", base, err)
	}
	for _, e := range index.Entries[w.name] {
		if e.Version != w.version && e.Version != "v"+w.version && "v"+e.Version != w.version {
			continue
		}
		if len(e.URLs) == 0 || e.Digest == "" {
			return nil, "", errors.New("the repository's index has no URL or no digest for it")
		}
		at, err := base.Parse(e.URLs[0])
		if err != nil {
			return nil, "", err
		}
		text, err := get(ctx, at, maxPacked)
		return text, e.Digest, err
	}
	return nil, "", errors.New("not in the repository's index")
}

func get(ctx context.Context, at *url.URL, most int64) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{CheckRedirect: func(to *http.Request, before []*http.Request) error {
		if len(before) > 5 || at.Scheme == "https" && to.URL.Scheme != "https" {
			return fmt.Errorf("%s redirects to %s", at, to.URL)
		}
		return nil
	}}
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s returned %s", at, answer.Status)
	}
	return bounded(answer.Body, most)
}

func bounded(from io.Reader, most int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(from, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("more than %d MiB", most>>20)
	}
	return text, err
}
