package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/distribution/reference"
)

const (
	nodeOS   = "linux"
	nodeArch = "amd64"
	maxDoc   = 4 << 20 // bytes of a manifest or configuration
)

var (
	errNotFound   = errors.New("not found")
	errNoPlatform = errors.New("no match for platform in manifest: not found")
)

// deniedError says that the registry wants other credentials than it got.
type deniedError struct{ detail string }

func (e deniedError) Error() string {
	return "pull access denied, repository does not exist or may require authorization: " + e.detail
}

// image is what a node knows of an image that it has "pulled".
type image struct {
	digest     string // of the manifest or index that the reference names
	os, arch   string
	user       string
	entrypoint []string
	command    []string
	labels     map[string]string
	size       int64
}

// runsHere is false for a program of another machine: the runtime does not look at the platform
// of a single manifest, the kernel refuses the program.
func (i image) runsHere() bool {
	return (i.os == "" || i.os == nodeOS) && (i.arch == "" || i.arch == nodeArch)
}

// registry asks the sandbox's registry about images. All hosts of image names are this one.
type registry struct {
	host string
	http *http.Client

	mu    sync.Mutex
	known map[string]image // by digest; the content behind a digest cannot change
}

// find looks a reference up with each of the credentials until one is let in.
func (r *registry) find(ctx context.Context, ref reference.Named, creds []credential) (image,
	credential, error) {
	var img image
	err := error(deniedError{"authorization failed: no basic auth credentials"})
	if len(creds) == 0 {
		creds = []credential{{}}
	}
	var cred credential
	for _, cred = range creds {
		for _, repo := range repositories(ref) {
			img, err = r.lookup(ctx, repo, tagOrDigest(ref), cred)
			if !errors.Is(err, errNotFound) {
				break
			}
		}
		if !errors.As(err, new(deniedError)) {
			break
		}
	}
	return img, cred, err
}

// repositories drops the host. Docker's hub keeps its own images under library/, a registry
// that was filled by hand often does not.
func repositories(ref reference.Named) []string {
	path := reference.Path(ref)
	if short, ok := strings.CutPrefix(path, "library/"); ok && reference.Domain(ref) == "docker.io" {
		return []string{path, short}
	}
	return []string{path}
}

func tagOrDigest(ref reference.Named) string {
	if d, ok := ref.(reference.Digested); ok {
		return d.Digest().String()
	}
	if t, ok := ref.(reference.Tagged); ok {
		return t.Tag()
	}
	return "latest"
}

const accepted = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, " +
	"application/vnd.docker.distribution.manifest.list.v2+json, " +
	"application/vnd.docker.distribution.manifest.v2+json"

type descriptor struct {
	Digest   string `json:"digest"`
	Size     int64  `json:"size"`
	Platform *struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
	} `json:"platform"`
}

type manifest struct {
	Manifests []descriptor `json:"manifests"`
	Config    descriptor   `json:"config"`
	Layers    []descriptor `json:"layers"`
}

func (r *registry) lookup(ctx context.Context, repo, ref string, cred credential) (image, error) {
	s := session{registry: r, repo: repo, cred: cred}
	m, digest, err := s.manifest(ctx, ref)
	if err != nil {
		return image{}, err
	}
	if img, ok := r.remembered(digest); ok {
		return img, nil
	}
	if len(m.Manifests) > 0 {
		if m, err = s.choose(ctx, m.Manifests); err != nil {
			return image{}, err
		}
	}
	img, err := s.config(ctx, m)
	if err != nil {
		return image{}, err
	}
	img.digest = digest
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[digest] = img
	return img, nil
}

func (r *registry) remembered(digest string) (image, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	img, ok := r.known[digest]
	return img, ok
}

// session is one pull: the token that the registry gave is good for one repository.
type session struct {
	*registry
	repo  string
	cred  credential
	token string
}

func (s *session) manifest(ctx context.Context, ref string) (m manifest, digest string, err error) {
	body, err := s.get(ctx, "manifests", ref)
	if err != nil {
		return m, "", err
	}
	sum := sha256.Sum256(body)
	digest = "sha256:" + hex.EncodeToString(sum[:])
	if strings.HasPrefix(ref, "sha256:") && ref != digest {
		return m, "", fmt.Errorf("unexpected digest %s of manifest %s", digest, ref)
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return m, "", fmt.Errorf("read manifest %s: %w", ref, err)
	}
	return m, digest, nil
}

func (s *session) choose(ctx context.Context, candidates []descriptor) (manifest, error) {
	for _, d := range candidates {
		if d.Platform != nil && d.Platform.OS == nodeOS && d.Platform.Architecture == nodeArch {
			m, _, err := s.manifest(ctx, d.Digest)
			return m, err
		}
	}
	return manifest{}, errNoPlatform
}

func (s *session) config(ctx context.Context, m manifest) (image, error) {
	body, err := s.get(ctx, "blobs", m.Config.Digest)
	if err != nil {
		return image{}, fmt.Errorf("configuration of the image: %w", err)
	}
	var doc struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
		Config       struct {
			User       string
			Entrypoint []string
			Cmd        []string
			Labels     map[string]string
		} `json:"config"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return image{}, fmt.Errorf("read configuration of the image: %w", err)
	}
	img := image{os: doc.OS, arch: doc.Architecture, user: doc.Config.User, labels: doc.Config.Labels,
		entrypoint: doc.Config.Entrypoint, command: doc.Config.Cmd, size: m.Config.Size}
	for _, l := range m.Layers {
		img.size += l.Size
	}
	return img, nil
}

func (s *session) get(ctx context.Context, kind, ref string) ([]byte, error) {
	where := fmt.Sprintf("http://%s/v2/%s/%s/%s", s.host, s.repo, kind, ref)
	resp, err := s.fetch(ctx, where)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusUnauthorized {
		challenge := resp.Header.Get("WWW-Authenticate")
		resp.Body.Close()
		if err := s.authorize(ctx, challenge); err != nil {
			return nil, err
		}
		if resp, err = s.fetch(ctx, where); err != nil {
			return nil, err
		}
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return io.ReadAll(io.LimitReader(resp.Body, maxDoc))
	case http.StatusNotFound:
		return nil, errNotFound
	case http.StatusUnauthorized:
		return nil, deniedError{"authorization failed"}
	}
	return nil, fmt.Errorf("unexpected status from GET request to %s: %s", where, resp.Status)
}

func (s *session) fetch(ctx context.Context, where string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accepted)
	if s.token != "" {
		req.Header.Set("Authorization", s.token)
	}
	return s.http.Do(req)
}

var challengeField = regexp.MustCompile(`(\w+)="([^"]*)"`)

// authorize answers a registry's challenge: with the credentials themselves, or with a token
// that they buy elsewhere. An anonymous token is worth asking for, an empty password is not.
func (s *session) authorize(ctx context.Context, challenge string) error {
	scheme, rest, _ := strings.Cut(challenge, " ")
	fields := map[string]string{}
	for _, f := range challengeField.FindAllStringSubmatch(rest, -1) {
		fields[strings.ToLower(f[1])] = f[2]
	}
	switch strings.ToLower(scheme) {
	case "basic":
		if s.cred == (credential{}) {
			return deniedError{"authorization failed: no basic auth credentials"}
		}
		s.token = s.cred.basic()
		return nil
	case "bearer":
		return s.buyToken(ctx, fields)
	}
	return deniedError{fmt.Sprintf("unknown challenge %q", challenge)}
}

func (s *session) buyToken(ctx context.Context, fields map[string]string) error {
	where, err := url.Parse(fields["realm"])
	if err != nil || where.Host == "" {
		return deniedError{fmt.Sprintf("realm %q is not an address", fields["realm"])}
	}
	query := where.Query()
	query.Set("service", fields["service"])
	query.Set("scope", "repository:"+s.repo+":pull")
	where.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where.String(), nil)
	if err != nil {
		return err
	}
	if s.cred != (credential{}) {
		req.Header.Set("Authorization", s.cred.basic())
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return deniedError{fmt.Sprintf("failed to fetch token: unexpected status from GET request to %s: %s",
			where.Redacted(), resp.Status)}
	}
	var doc struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxDoc)).Decode(&doc); err != nil {
		return fmt.Errorf("read token of %s: %w", where.Host, err)
	}
	if doc.Token == "" {
		doc.Token = doc.AccessToken
	}
	s.token = "Bearer " + doc.Token
	return nil
}
