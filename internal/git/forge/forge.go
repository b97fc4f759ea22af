// Package forge opens and reads pull requests at GitHub, at GitLab, and at Gitea or Forgejo, over their REST
// APIs.
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

	"slipway/internal/git/credential"
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
	// GitHubApp makes tokens in place of a TokenFile; nil: it does not.
	GitHubApp *credential.App `yaml:"githubApp"`
	// Token is used without the two.
	Token string `yaml:"-"`
}

// AnswerError says that a forge did not do what it was asked.
type AnswerError struct {
	Doing, Host, Status string
	// Text is what the forge says about it.
	Text string
}

func (e *AnswerError) Error() string {
	return fmt.Sprintf("%s: %s answers %s: %.300s", e.Doing, e.Host, e.Status, e.Text)
}

const (
	requestTime = 30 * time.Second
	maxAnswer   = 8 << 20
)

// Complete fills in what the URL of a repository tells. It fails where that is not enough.
func (f *Forge) Complete(repository string) error {
	host, _, err := locate(repository)
	if err != nil {
		return err
	}
	f.Kind = cmp.Or(f.Kind, kindOf(host))
	if !slices.Contains([]string{GitHub, GitLab, Gitea}, f.Kind) {
		return fmt.Errorf("kind: want github, gitlab or gitea, not %q", f.Kind)
	}
	switch {
	case f.TokenFile == "" && f.Token == "" && f.GitHubApp == nil:
		return errors.New("tokenFile is missing")
	case f.GitHubApp != nil && f.TokenFile != "":
		return errors.New("want one of tokenFile and githubApp")
	case f.GitHubApp != nil && f.Kind != GitHub:
		return fmt.Errorf("githubApp is for github, not for %s: write tokenFile", f.Kind)
	case f.GitHubApp != nil:
		if err := f.GitHubApp.Check(); err != nil {
			return err
		}
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

// kindOf is the kind of a well-known host; empty: it is none.
func kindOf(host string) string {
	return map[string]string{
		"github.com": GitHub, "gitlab.com": GitLab, "codeberg.org": Gitea, "gitea.com": Gitea,
	}[host]
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

// project is the address of a repository in the API.
func (f Forge) project(repository string) (string, error) {
	_, path, err := locate(repository)
	if err != nil {
		return "", err
	}
	if f.Kind == GitLab {
		return f.API + "/projects/" + url.PathEscape(path), nil
	}
	return f.API + "/repos/" + path, nil
}

// call is one request to the API.
type call struct {
	doing  string // for errors: "open a pull request"
	method string
	at     string
	query  url.Values
	body   any // nil: none
}

// do makes a request, and reads its answer into a value. It fails with an *AnswerError where the status says
// so.
func (f Forge) do(ctx context.Context, c call, into any) error {
	token, err := f.token(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", c.doing, err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	request, err := f.request(ctx, c, token)
	if err != nil {
		return fmt.Errorf("%s: %w", c.doing, err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("%s: %w", c.doing, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s: %w", c.doing, err)
	}
	if answer.StatusCode == http.StatusUnauthorized && f.GitHubApp != nil {
		f.GitHubApp.Forget()
	}
	if answer.StatusCode/100 != 2 {
		said := string(bytes.TrimSpace(text))
		return &AnswerError{c.doing, request.URL.Host, answer.Status, said}
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %s answers what cannot be read: %w", c.doing, request.URL.Host, err)
	}
	return nil
}

// token returns the token of a request. That of a file is read each time, because a Secret may change.
func (f Forge) token(ctx context.Context) (string, error) {
	switch {
	case f.GitHubApp != nil:
		return f.GitHubApp.Token(ctx)
	case f.TokenFile != "":
		text, err := os.ReadFile(f.TokenFile)
		return strings.TrimSpace(string(text)), err
	}
	return f.Token, nil
}

// request has the headers of the forge's own API.
func (f Forge) request(ctx context.Context, c call, token string) (*http.Request, error) {
	headers := map[string]string{"Authorization": "token " + token}
	switch f.Kind {
	case GitHub:
		headers = map[string]string{
			"Authorization": "Bearer " + token, "Accept": "application/vnd.github+json",
			"X-GitHub-Api-Version": "2022-11-28",
		}
	case GitLab:
		headers = map[string]string{"PRIVATE-TOKEN": token}
	}
	var body io.Reader
	if c.body != nil {
		text, err := json.Marshal(c.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
		headers["Content-Type"] = "application/json"
	}
	request, err := http.NewRequestWithContext(ctx, c.method, c.at, body)
	if err != nil {
		return nil, err
	}
	request.URL.RawQuery = c.query.Encode()
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	return request, nil
}
