package builder

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/types"
	"github.com/moby/buildkit/client"
)

// endpoint is the address of a Docker engine.
type endpoint struct {
	network, address string
	from             string // what named it; empty for the default socket
}

func (e endpoint) isSet() bool { return e.network != "" }

func (e endpoint) String() string { return e.network + "://" + e.address }

func (e endpoint) dial(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, e.network, e.address)
}

const defaultSocket = "/var/run/docker.sock"

// dockerEndpoint finds the endpoint as the docker command does: from $DOCKER_HOST, the current context, or
// the default socket. The zero endpoint means that Docker was not found.
func dockerEndpoint() (endpoint, error) {
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		return parseEndpoint(host, "$DOCKER_HOST")
	}
	name := os.Getenv("DOCKER_CONTEXT")
	if name == "" {
		name = config.LoadDefaultConfigFile(io.Discard).CurrentContext
	}
	if name != "" && name != "default" {
		host, err := contextHost(name)
		if err != nil {
			return endpoint{}, fmt.Errorf("docker context %s: %w", name, err)
		}
		return parseEndpoint(host, "docker context "+name)
	}
	if _, err := os.Stat(defaultSocket); errors.Is(err, fs.ErrNotExist) {
		return endpoint{}, nil
	}
	return endpoint{network: "unix", address: defaultSocket}, nil
}

// contextHost reads docker's context store. The store's own package would link the whole CLI.
func contextHost(name string) (string, error) {
	id := sha256.Sum256([]byte(name))
	var meta struct {
		Endpoints map[string]struct{ Host string }
	}
	if err := readJSON(filepath.Join(config.Dir(), "contexts", "meta", hex.EncodeToString(id[:]), "meta.json"),
		&meta); err != nil {
		return "", err
	}
	return meta.Endpoints["docker"].Host, nil
}

func parseEndpoint(host, from string) (endpoint, error) {
	u, err := url.Parse(host)
	if err != nil {
		return endpoint{}, fmt.Errorf("%s: %w", from, err)
	}
	switch {
	case u.Scheme == "unix":
		return endpoint{network: "unix", address: u.Path, from: from}, nil
	case u.Scheme == "tcp" && os.Getenv("DOCKER_TLS_VERIFY") == "":
		return endpoint{network: "tcp", address: u.Host, from: from}, nil
	}
	return endpoint{}, fmt.Errorf("%s is %s: only unix sockets and tcp without TLS are supported", from, host)
}

func openDocker(ctx context.Context, e endpoint) (*Builder, error) {
	c, err := client.New(ctx, "",
		client.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return upgrade(ctx, e, "/grpc", "h2c", nil)
		}),
		client.WithSessionDialer(func(ctx context.Context, proto string, meta map[string][]string) (
			net.Conn, error) {
			return upgrade(ctx, e, "/session", proto, meta)
		}))
	if err != nil {
		return nil, err
	}
	workers, err := answers(ctx, c)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &Builder{client: c, docker: e, classic: classicStore(workers), where: "Docker's BuildKit at " +
		e.String()}, nil
}

// classicStore recognizes Docker's classic image store as buildx does: no worker names its snapshotter.
func classicStore(workers []*client.WorkerInfo) bool {
	for _, w := range workers {
		if _, ok := w.Labels["org.mobyproject.buildkit.worker.snapshotter"]; ok {
			return false
		}
	}
	return true
}

// upgrade asks the Engine API to turn the connection into another protocol.
func upgrade(ctx context.Context, e endpoint, path, proto string, header http.Header) (net.Conn, error) {
	c, err := e.dial(ctx)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://docker"+path, nil)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	for k, v := range header {
		req.Header[http.CanonicalHeaderKey(k)] = v
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", proto)
	if err := req.Write(c); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, req)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, errors.Join(fmt.Errorf("%s answers %s: this Docker has no BuildKit", path,
			resp.Status), c.Close())
	}
	return &buffered{c, r}, nil
}

// buffered is a connection with bytes that were read ahead.
type buffered struct {
	net.Conn
	r *bufio.Reader
}

func (b *buffered) Read(p []byte) (int, error) { return b.r.Read(p) }

// push pushes repository:tag from Docker's image store, and returns the digest of the manifest.
func (e endpoint) push(ctx context.Context, repository, tag string) (string, error) {
	auth, err := dockerAuth(repository)
	if err != nil {
		return "", err
	}
	u := "http://docker/images/" + repository + "/push?tag=" + url.QueryEscape(tag)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("X-Registry-Auth", auth)
	t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return e.dial(ctx)
	}}
	defer t.CloseIdleConnections()
	resp, err := (&http.Client{Transport: t}).Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	return pushedDigest(resp)
}

// pushedDigest reads the progress of a push. The status is 200 even where the push failed.
func pushedDigest(resp *http.Response) (string, error) {
	digest := ""
	dec := json.NewDecoder(resp.Body)
	for {
		var m struct {
			Error, Message string
			Aux            struct{ Digest string }
		}
		err := dec.Decode(&m)
		switch {
		case errors.Is(err, io.EOF) && digest == "":
			return "", fmt.Errorf("no digest in the response %s", resp.Status)
		case errors.Is(err, io.EOF):
			return digest, nil
		case err != nil:
			return "", err
		case m.Error != "":
			return "", errors.New(m.Error)
		case resp.StatusCode >= 400:
			return "", errors.New(m.Message)
		case m.Aux.Digest != "":
			digest = m.Aux.Digest
		}
	}
}

func dockerAuth(repository string) (string, error) {
	host := registryOf(repository)
	if host == "docker.io" {
		host = "https://index.docker.io/v1/"
	}
	a, err := config.LoadDefaultConfigFile(io.Discard).GetAuthConfig(host)
	if err != nil {
		return "", err
	}
	raw, err := json.Marshal(types.AuthConfig{Username: a.Username, Password: a.Password,
		ServerAddress: a.ServerAddress, IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken})
	return base64.URLEncoding.EncodeToString(raw), err
}
