package forge

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// asked is what the published API of a forge wants to be asked: docs.github.com/rest/pulls,
// docs.gitlab.com/api/merge_requests, and the OpenAPI description of Gitea (/swagger.v1.json).
type asked struct {
	path    string
	headers map[string]string
	body    map[string]string
	draft   bool // GitHub's field
	answer  string
	exists  int // the status where a pull request is open already
	why     string
}

var forges = map[string]asked{
	GitHub: {
		path: "/repos/acme/shop/pulls",
		headers: map[string]string{"Authorization": "Bearer s3cret", "Accept": "application/vnd.github+json",
			"X-GitHub-Api-Version": "2022-11-28"},
		body: map[string]string{"title": "Revert prod", "body": "why", "head": "slipway/revert-prod-1",
			"base": "main"},
		answer: `{"number": 7, "html_url": "https://forge/pull/7"}`, exists: http.StatusUnprocessableEntity,
		why: `{"message":"Validation Failed","errors":[{"message":"A pull request already exists for acme:x."}]}`,
	},
	GitLab: {
		path:    "/projects/acme%2Fshop/merge_requests",
		headers: map[string]string{"PRIVATE-TOKEN": "s3cret"},
		body: map[string]string{"title": "Revert prod", "description": "why",
			"source_branch": "slipway/revert-prod-1", "target_branch": "main"},
		answer: `{"iid": 7, "web_url": "https://forge/pull/7"}`, exists: http.StatusConflict,
		why: `{"message":["Another open merge request already exists for this source branch: !1"]}`,
	},
	Gitea: {
		path:    "/repos/acme/shop/pulls",
		headers: map[string]string{"Authorization": "token s3cret"},
		body: map[string]string{"title": "Revert prod", "body": "why", "head": "slipway/revert-prod-1",
			"base": "main"},
		answer: `{"number": 7, "html_url": "https://forge/pull/7"}`, exists: http.StatusConflict,
		why: `{"message":"pull request already exists for these targets"}`,
	},
}

func TestOpen(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for kind, want := range forges {
		t.Run(kind, func(t *testing.T) {
			status := http.StatusCreated
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				want.check(t, r)
				w.WriteHeader(status)
				answer := want.answer
				if status != http.StatusCreated {
					answer = want.why
				}
				_, _ = w.Write([]byte(answer))
			}))
			defer s.Close()
			f := Forge{Kind: kind, API: s.URL + "/", TokenFile: token}
			if err := f.Complete("https://forge.example/acme/shop.git"); err != nil {
				t.Fatal(err)
			}
			r := Request{Branch: "slipway/revert-prod-1", Into: "main", Title: "Revert prod", Body: "why"}
			page, err := f.Open(t.Context(), "git@forge.example:acme/shop.git", r)
			if page != "https://forge/pull/7" || err != nil {
				t.Errorf("%q, %v", page, err)
			}
			status = want.exists
			if _, err := f.Open(t.Context(), "https://forge.example/acme/shop.git", r); !errors.Is(err, ErrExists) {
				t.Errorf("one that is open already: %v", err)
			}
			status, r.Draft = http.StatusCreated, true
			want.draft = kind == GitHub
			want.body = maps.Clone(want.body)
			want.body["title"] = map[string]string{GitLab: "Draft: ", Gitea: "WIP: "}[kind] + "Revert prod"
			if _, err := f.Open(t.Context(), "https://forge.example/acme/shop", r); err != nil {
				t.Errorf("a draft: %v", err)
			}
			status, want.why = http.StatusForbidden, "not for you"
			_, err = f.Open(t.Context(), "https://forge.example/acme/shop", r)
			if err == nil || !strings.Contains(err.Error(), "403 Forbidden: not for you") {
				t.Errorf("a token without the right: %v", err)
			}
		})
	}
}

func (want asked) check(t *testing.T, r *http.Request) {
	t.Helper()
	if r.Method != http.MethodPost || r.URL.EscapedPath() != want.path {
		t.Errorf("%s %s, want POST %s", r.Method, r.URL.EscapedPath(), want.path)
	}
	if got := r.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
	for name, value := range want.headers {
		if got := r.Header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		t.Error(err)
	}
	wanted := map[string]any{}
	for name, value := range want.body {
		wanted[name] = value
	}
	if want.draft {
		wanted["draft"] = true
	}
	if diff := cmp.Diff(wanted, body); diff != "" {
		t.Error(diff)
	}
}

func TestComplete(t *testing.T) {
	for repository, want := range map[string]Forge{
		"https://github.com/acme/shop.git":  {Kind: GitHub, API: "https://api.github.com"},
		"git@gitlab.com:acme/team/shop.git": {Kind: GitLab, API: "https://gitlab.com/api/v4"},
		"ssh://git@codeberg.org/acme/shop":  {Kind: Gitea, API: "https://codeberg.org/api/v1"},
	} {
		f := Forge{TokenFile: "token"}
		want.TokenFile = "token"
		if err := f.Complete(repository); err != nil || f != want {
			t.Errorf("%s: %+v, %v", repository, f, err)
		}
	}
	for want, f := range map[string]Forge{
		`kind: want github, gitlab or gitea, not ""`: {TokenFile: "token"},
		"tokenFile is missing":                       {Kind: GitHub},
	} {
		if err := f.Complete("https://forge.example/acme/shop"); err == nil || err.Error() != want {
			t.Errorf("%+v: %v, want %s", f, err, want)
		}
	}
}

// Where GitHub has no drafts, the pull request is opened as an ordinary one.
func TestNoDrafts(t *testing.T) {
	var drafts []any
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		_ = json.NewDecoder(r.Body).Decode(&body)
		drafts = append(drafts, body["draft"])
		if body["draft"] == true {
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = w.Write([]byte(`{"message": "Draft pull requests are not supported in this repository."}`))
			return
		}
		_, _ = w.Write([]byte(`{"number": 7, "html_url": "https://forge/pull/7"}`))
	}))
	defer s.Close()
	page, err := Forge{Kind: GitHub, API: s.URL, Token: "s3cret"}.Open(t.Context(),
		"https://forge.example/acme/shop", Request{Branch: "b", Into: "main", Title: "t", Draft: true})
	if err != nil || page != "https://forge/pull/7" || len(drafts) != 2 || drafts[1] != nil {
		t.Errorf("%q, %v, drafts %v", page, err, drafts)
	}
}
