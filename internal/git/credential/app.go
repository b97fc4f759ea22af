package credential

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// App is an installation of a GitHub App. It makes tokens that are valid for an hour, as
// https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app says. Git and the
// REST API take the same tokens.
type App struct {
	// ID is the app's ID or its client ID, Installation the installation's.
	ID           string `yaml:"id"`
	Installation string `yaml:"installation"`
	// KeyFile is the app's private key in PEM. It is read for each token.
	KeyFile string `yaml:"privateKeyFile"`
	// API is the address of the REST API, for GitHub Enterprise Server; empty: https://api.github.com.
	API string `yaml:"api"`

	mu      sync.Mutex
	token   string
	expires time.Time
}

// renewal is how long before its end a token is not used any more.
const renewal = 5 * time.Minute

// Check fails where a field is missing that a token needs.
func (a *App) Check() error {
	if a.ID == "" || a.Installation == "" || a.KeyFile == "" {
		return errors.New("githubApp needs id, installation and privateKeyFile")
	}
	return nil
}

// Token returns a token, which it makes when there is none or when it ends soon.
func (a *App) Token(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token != "" && time.Until(a.expires) > renewal {
		return a.token, nil
	}
	signed, err := a.sign(time.Now())
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	api := cmp.Or(a.API, "https://api.github.com")
	address := strings.TrimSuffix(api, "/") +
		"/app/installations/" + url.PathEscape(a.Installation) + "/access_tokens"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Accept", "application/vnd.github+json")
	request.Header.Set("Authorization", "Bearer "+signed)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("make a token of GitHub App %s: %w", a.ID, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode != http.StatusCreated {
		text = bytes.TrimSpace(text[:min(len(text), 200)])
		err = fmt.Errorf("%s answers %s: %s", address, response.Status, text)
	}
	var made struct {
		Token   string    `json:"token"`
		Expires time.Time `json:"expires_at"`
	}
	if err == nil {
		err = json.Unmarshal(text, &made)
	}
	if err == nil && made.Token == "" {
		err = fmt.Errorf("%s answers without a token", address)
	}
	if err != nil {
		return "", fmt.Errorf("make a token of GitHub App %s: %w", a.ID, err)
	}
	a.token, a.expires = made.Token, made.Expires
	return a.token, nil
}

// Forget makes the next call of Token make a new one.
func (a *App) Forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.token = ""
}

// sign makes the JSON Web Token that proves that the caller is the app. It begins a minute ago, because the
// clocks may differ, and ends within the ten minutes that GitHub allows.
func (a *App) sign(now time.Time) (string, error) {
	text, err := os.ReadFile(a.KeyFile)
	if err != nil {
		return "", fmt.Errorf("read the key of GitHub App %s: %w", a.ID, err)
	}
	key, err := parse(text)
	if err != nil {
		return "", fmt.Errorf("read the key of GitHub App %s: %s: %w", a.ID, a.KeyFile, err)
	}
	claims, err := json.Marshal(map[string]any{
		"iss": a.ID, "iat": now.Add(-time.Minute).Unix(), "exp": now.Add(8 * time.Minute).Unix(),
	})
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(claims)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	return signed + "." + encode(signature), err
}

func parse(text []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("not a PEM file")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	if key, ok := key.(*rsa.PrivateKey); ok {
		return key, nil
	}
	return nil, errors.New("not an RSA key")
}
