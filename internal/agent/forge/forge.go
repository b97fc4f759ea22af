// Package forge opens pull requests at GitHub, at GitLab, and at Gitea or Forgejo, over their REST APIs.
package forge

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// The kinds of forges.
const (
	GitHub = "github"
	GitLab = "gitlab"
	Gitea  = "gitea" // and Forgejo
)

// Forge is where pull requests are opened.
type Forge struct {
	// Kind is one of the above; empty: by the host of the repository.
	Kind string `yaml:"kind"`
	// API is the URL of the REST API; empty: by the kind and the host.
	API string `yaml:"api"`
	// TokenFile is a file with a token that may open pull requests. It is read each time.
	TokenFile string `yaml:"tokenFile"`
}

// Request is a pull request of a branch into another one.
type Request struct{ Branch, Into, Title, Body string }

// ErrExists says that a pull request of the branch is open already.
var ErrExists = errors.New("a pull request of this branch is open already")

const (
	requestTime = 30 * time.Second
	maxAnswer   = 1 << 20
)

// Complete fills in what the URL of a repository tells. It fails where that is not enough.
func (f *Forge) Complete(repository string) error {
	host, _, err := locate(repository)
	if err != nil {
		return err
	}
	if f.Kind == "" {
		f.Kind = map[string]string{
			"github.com": GitHub, "gitlab.com": GitLab, "codeberg.org": Gitea, "gitea.com": Gitea,
		}[host]
	}
	if !slices.Contains([]string{GitHub, GitLab, Gitea}, f.Kind) {
		return fmt.Errorf("kind: want github, gitlab or gitea, not %q", f.Kind)
	}
	if f.TokenFile == "" {
		return errors.New("tokenFile is missing")
	}
	if f.API == "" {
		f.API = map[string]string{
			GitHub: "https://" + host + "/api/v3", GitLab: "https://" + host + "/api/v4",
			Gitea: "https://" + host + "/api/v1",
		}[f.Kind]
		if host == "github.com" {
			f.API = "https://api.github.com"
		}
	}
	f.API = strings.TrimSuffix(f.API, "/")
	return nil
}

// locate returns the host of a repository, and its path there: "acme/shop".
func locate(repository string) (host, path string, err error) {
	u, err := url.Parse(repository)
	if err == nil && u.Host != "" {
		host, path = u.Hostname(), u.Path
	} else {
		address, rest, ok := strings.Cut(repository, ":") // git@github.com:acme/shop.git
		if !ok {
			return "", "", fmt.Errorf("%q is not the URL of a repository", repository)
		}
		_, host, _ = strings.Cut(address, "@")
		host, path = cmp.Or(host, address), rest
	}
	return host, strings.TrimSuffix(strings.Trim(path, "/"), ".git"), nil
}

// Open opens a pull request, and returns its page. It fails with ErrExists where one is open already.
func (f Forge) Open(ctx context.Context, repository string, r Request) (page string, err error) {
	token, err := os.ReadFile(f.TokenFile)
	if err != nil {
		return "", fmt.Errorf("open a pull request: %w", err)
	}
	_, path, err := locate(repository)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	request, err := f.request(ctx, path, strings.TrimSpace(string(token)), r)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("open a pull request: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return "", fmt.Errorf("open a pull request: %w", err)
	}
	var opened struct {
		HTML string `json:"html_url"`
		Web  string `json:"web_url"`
	}
	switch {
	case answer.StatusCode == http.StatusCreated && json.Unmarshal(text, &opened) == nil:
		return cmp.Or(opened.HTML, opened.Web), nil
	case answer.StatusCode == http.StatusConflict,
		answer.StatusCode == http.StatusUnprocessableEntity && bytes.Contains(text, []byte("already exists")):
		return "", ErrExists
	}
	return "", fmt.Errorf("open a pull request: %s answers %s: %.300s", request.URL.Host, answer.Status,
		bytes.TrimSpace(text))
}

// request is that of the forge's own API.
func (f Forge) request(ctx context.Context, path, token string, r Request) (*http.Request, error) {
	at := f.API + "/repos/" + path + "/pulls"
	body := map[string]string{"title": r.Title, "body": r.Body, "head": r.Branch, "base": r.Into}
	headers := map[string]string{"Authorization": "token " + token}
	switch f.Kind {
	case GitHub:
		headers = map[string]string{
			"Authorization": "Bearer " + token, "Accept": "application/vnd.github+json",
			"X-GitHub-Api-Version": "2022-11-28",
		}
	case GitLab:
		at = f.API + "/projects/" + url.PathEscape(path) + "/merge_requests"
		body = map[string]string{
			"title": r.Title, "description": r.Body, "source_branch": r.Branch, "target_branch": r.Into,
		}
		headers = map[string]string{"PRIVATE-TOKEN": token}
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("open a pull request: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	return request, nil
}
