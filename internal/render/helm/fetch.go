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

// What a repository may send. The largest public lists of charts have about 25 MiB.
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

// fetched loads a chart of a repository, from the cache where it is there. A name and a version stand
// for one content for ever.
func (r *reader) fetched(w wanted, at object.Origin) (*chart.Chart, error) {
	refuse := func(format string, args ...any) error {
		return &tree.RefusedError{Origin: at, What: "chart " + w.String(), Why: fmt.Sprintf(format, args...)}
	}
	repository, err := url.Parse(w.repository)
	if err != nil || repository.Host == "" || repository.User != nil {
		return nil, refuse("%q is no plain address of a repository", w.repository)
	}
	if strings.Contains(w.name, "..") || strings.ContainsAny(w.name, ":@?#\\ ") {
		return nil, refuse("%q is no name of a chart", w.name)
	}
	if _, err := semver.NewVersion(w.version); err != nil {
		return nil, refuse("%q is not one version: a chart that is fetched is pinned to one", w.version)
	}
	if !covered(repository.JoinPath(w.name), r.config.Remotes) {
		return nil, refuse("charts are fetched only from addresses that slipway.yaml lists under remotes:; or " +
			"vendor it (helm dependency build, helm pull)")
	}
	if r.config.Cache == "" {
		return nil, refuse("there is no cache folder to fetch it to")
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
		return nil, fmt.Errorf("chart %s: it says that it is %s", w, c.Name())
	}
	return c, nil
}

// covered says whether an address is one of a list, or below one.
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

// cached gives a packed chart by its digest, which is noted beside when it first comes.
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
		return nil, fmt.Errorf("its digest is sha256:%s, and the repository says %s", got, said)
	case want != "" && got != want:
		return nil, fmt.Errorf("it was sha256:%s and is now sha256:%s: a version does not change; if it may, "+
			"remove %s", want, got, note)
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

// write puts a file in its place whole: several of us may be at it.
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
	return nil, "", errors.New("it is no Helm chart")
}

// fetchHTTP asks a repository's list for the chart. The list may send us anywhere, with no
// credentials, because it also says what the digest is.
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
			return nil, "", errors.New("the repository's list gives no address or no digest for it")
		}
		at, err := base.Parse(e.URLs[0])
		if err != nil {
			return nil, "", err
		}
		text, err := get(ctx, at, maxPacked)
		return text, e.Digest, err
	}
	return nil, "", errors.New("the repository's list does not hold it")
}

func get(ctx context.Context, at *url.URL, most int64) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{CheckRedirect: func(to *http.Request, before []*http.Request) error {
		if len(before) > 5 || at.Scheme == "https" && to.URL.Scheme != "https" {
			return fmt.Errorf("%s sends us on to %s", at, to.URL)
		}
		return nil
	}}
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", at, answer.Status)
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
