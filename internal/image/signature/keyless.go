package signature

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
)

// ErrNoToken says that neither a key nor an identity token was found.
var ErrNoToken = errors.New("no key and no identity token of a CI platform to sign with")

const patience = 30 * time.Second

// Keyless returns a signer with the identity of a token: SIGSTORE_ID_TOKEN, or the one of GitHub Actions.
// config is a signing_config.json, which names the services that certify and log signatures; nil: the public
// Sigstore. It fails with ErrNoToken without a token.
func Keyless(config []byte, getenv func(string) string) (*Signer, error) {
	given, at := getenv("SIGSTORE_ID_TOKEN"), getenv("ACTIONS_ID_TOKEN_REQUEST_URL")
	if given == "" && at == "" {
		return nil, ErrNoToken
	}
	var c *root.SigningConfig
	var err error
	if config != nil {
		c, err = root.NewSigningConfigFromJSON(config)
	} else {
		c, err = root.FetchSigningConfig()
	}
	if err != nil {
		return nil, fmt.Errorf("signing services: %w", err)
	}
	return &Signer{with: func(ctx context.Context) (sign.Keypair, sign.BundleOptions, error) {
		o, err := services(c)
		if err != nil {
			return nil, o, fmt.Errorf("signing services: %w", err)
		}
		token := given
		if token == "" { // it is valid for minutes, which is less than a long build
			if token, err = githubToken(ctx, at, getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN")); err != nil {
				return nil, o, fmt.Errorf("ask GitHub for an identity token: %w", err)
			}
		}
		o.Context, o.CertificateProviderOptions = ctx, &sign.CertificateProviderOptions{IDToken: token}
		key, err := sign.NewEphemeralKeypair(nil)
		return key, o, err
	}}, nil
}

func services(c *root.SigningConfig) (o sign.BundleOptions, err error) {
	now := time.Now()
	ca, err := root.SelectService(c.FulcioCertificateAuthorityURLs(), sign.FulcioAPIVersions, now)
	if err != nil {
		return o, err
	}
	o.CertificateProvider = sign.NewFulcio(&sign.FulcioOptions{BaseURL: ca.URL, Timeout: patience, Retries: 1})
	logs, err := root.SelectServices(c.RekorLogURLs(), c.RekorLogURLsConfig(), sign.RekorAPIVersions, now)
	if err != nil {
		return o, err
	}
	for _, s := range logs {
		o.TransparencyLogs = append(o.TransparencyLogs,
			sign.NewRekor(&sign.RekorOptions{BaseURL: s.URL, Timeout: 3 * patience, Retries: 1,
				Version: s.MajorAPIVersion}))
	}
	if len(c.TimestampAuthorityURLs()) == 0 {
		return o, nil
	}
	clocks, err := root.SelectServices(c.TimestampAuthorityURLs(), c.TimestampAuthorityURLsConfig(),
		sign.TimestampAuthorityAPIVersions, now)
	for _, s := range clocks {
		o.TimestampAuthorities = append(o.TimestampAuthorities,
			sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{URL: s.URL, Timeout: patience, Retries: 1}))
	}
	return o, err
}

// githubToken asks the runner of GitHub Actions for the identity token of this job.
func githubToken(ctx context.Context, at, bearer string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"&audience=sigstore", nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct{ Value string }
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxBundle)).Decode(&answer); err != nil ||
		answer.Value == "" {
		return "", fmt.Errorf("%s answers %s without a token", req.URL.Host, resp.Status)
	}
	return answer.Value, nil
}
