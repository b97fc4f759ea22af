package forge_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/git/forge"
	"slipway/internal/git/forge/forgetest"
)

var kinds = []string{forge.GitHub, forge.GitLab, forge.Gitea}

func newForge(t *testing.T, kind string) (*forgetest.Server, forge.Forge) {
	t.Helper()
	server := &forgetest.Server{Kind: kind, Token: "s3cret"}
	s := httptest.NewServer(server)
	t.Cleanup(s.Close)
	t.Cleanup(func() {
		for _, w := range server.Wrong() {
			t.Error(w)
		}
	})
	f := forge.Forge{Kind: kind, API: s.URL, Token: "s3cret"}
	if err := f.Complete("https://forge.example/acme/shop"); err != nil {
		t.Fatal(err)
	}
	return server, f
}

// The pull request that is open is edited, among those of forks and of other branches, on whatever page.
func TestPropose(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			server, f := newForge(t, kind)
			server.Add("acme/shop", forgetest.Pull{Title: "of a fork", Branch: "promote", Into: "main", Fork: true})
			for i := range 60 {
				server.Add("acme/shop", forgetest.Pull{Title: "other", Branch: fmt.Sprint("b", i), Into: "main"})
			}
			propose := func(title string) (string, bool) {
				t.Helper()
				page, opened, err := f.Propose(t.Context(), "https://forge.example/acme/shop.git", forge.Request{
					Branch: "promote", Into: "main", Title: title, Body: "body of " + title,
				})
				if err != nil {
					t.Fatal(err)
				}
				return page, opened
			}
			first, opened := propose("one")
			second, again := propose("two")
			if first != second || !opened || again {
				t.Errorf("%s (%t), then %s (%t)", first, opened, second, again)
			}
			got := server.Pulls("acme/shop")
			want := forgetest.Pull{
				Number: 62, Title: "two", Body: "body of two", Branch: "promote", Into: "main", State: "open",
			}
			if diff := cmp.Diff(want, got[len(got)-1]); diff != "" || len(got) != 62 {
				t.Errorf("%d pull requests: %s", len(got), diff)
			}
			server.Close("acme/shop", 62)
			if page, opened := propose("three"); page == first || !opened {
				t.Errorf("after it was closed: %s (%t)", page, opened)
			}
		})
	}
}

func TestFromEnvironment(t *testing.T) {
	type vars map[string]string
	for name, c := range map[string]struct {
		repository string
		given      forge.Forge
		env        vars
		want       forge.Forge
	}{
		"a known host": {
			repository: "git@github.com:acme/shop.git", env: vars{"GH_TOKEN": "a", "GITLAB_TOKEN": "b"},
			want: forge.Forge{Kind: forge.GitHub, API: "https://api.github.com", Token: "a"},
		},
		"the token of a kind": {
			repository: "https://git.acme.dev/acme/shop.git", env: vars{"FORGEJO_TOKEN": "b"},
			want: forge.Forge{Kind: forge.Gitea, API: "https://git.acme.dev/api/v1", Token: "b"},
		},
		"Gitea's own CI": {
			repository: "https://git.acme.dev/acme/shop.git",
			env: vars{
				"GITEA_ACTIONS": "true", "GITHUB_ACTIONS": "true", "GITHUB_TOKEN": "c",
				"GITHUB_API_URL": "https://git.acme.dev:3000/api/v1",
			},
			want: forge.Forge{Kind: forge.Gitea, API: "https://git.acme.dev:3000/api/v1", Token: "c"},
		},
		"GitLab's CI with the token of another forge": {
			repository: "https://git.acme.dev/acme/shop.git",
			env:        vars{"CI_API_V4_URL": "https://git.acme.dev/api/v4", "GITLAB_TOKEN": "d", "GITHUB_TOKEN": "e"},
			want:       forge.Forge{Kind: forge.GitLab, API: "https://git.acme.dev/api/v4", Token: "d"},
		},
		"the CI platform of another host": {
			repository: "https://gitlab.com/acme/shop.git",
			env: vars{
				"GITHUB_ACTIONS": "true", "GITHUB_API_URL": "https://api.github.com", "GITLAB_TOKEN": "f",
			},
			want: forge.Forge{Kind: forge.GitLab, API: "https://gitlab.com/api/v4", Token: "f"},
		},
		"a file": {
			repository: "https://git.acme.dev/acme/shop.git",
			given:      forge.Forge{Kind: forge.GitLab, TokenFile: "t"}, env: vars{"GITLAB_TOKEN": "g"},
			want: forge.Forge{Kind: forge.GitLab, API: "https://git.acme.dev/api/v4", TokenFile: "t"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.given.FromEnvironment(c.repository, func(name string) string { return c.env[name] })
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Errorf("%v %s", err, diff)
			}
		})
	}
	none := func(string) string { return "" }
	for repository, want := range map[string]string{
		"https://git.acme.dev/acme/shop": "forge at git.acme.dev: the kind of the forge is unknown",
		"git@gitlab.com:acme/shop.git":   "forge at gitlab.com: no token",
	} {
		_, err := forge.Forge{}.FromEnvironment(repository, none)
		if missing := (*forge.NoTokenError)(nil); !errors.As(err, &missing) || err.Error() != want {
			t.Errorf("%s: %v, want %s", repository, err, want)
		}
	}
}
