package forge

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
)

// NoTokenError says that no token is known for the forge of a repository.
type NoTokenError struct {
	Host string
	// Kind of the forge; empty: it is not known either.
	Kind string
	// Variables are those of the environment that would have a token.
	Variables []string
}

func (e *NoTokenError) Error() string {
	if e.Kind == "" {
		return fmt.Sprintf("forge at %s: the kind of the forge is unknown", e.Host)
	}
	return fmt.Sprintf("forge at %s: no token", e.Host)
}

// tokens are the variables with the token of each kind.
var tokens = []struct {
	kind      string
	variables []string
}{
	{GitHub, []string{"GITHUB_TOKEN", "GH_TOKEN"}},
	{GitLab, []string{"GITLAB_TOKEN"}},
	{Gitea, []string{"GITEA_TOKEN", "FORGEJO_TOKEN"}},
}

// FromEnvironment completes a forge for a repository: with the token of a variable where it has no file, and
// with the kind of a well-known host, of the CI platform, or of the token that there is. It fails with a
// *NoTokenError.
func (f Forge) FromEnvironment(repository string, env func(string) string) (Forge, error) {
	host, _, err := locate(repository)
	if err != nil {
		return Forge{}, err
	}
	f.Kind = cmp.Or(f.Kind, kindOf(host))
	isGiteaCI := env("GITEA_ACTIONS") != "" || env("FORGEJO_ACTIONS") != ""
	switch {
	case f.Kind != "":
	case isGiteaCI:
		f.Kind = Gitea
	case env("CI_API_V4_URL") != "":
		f.Kind = GitLab
	case env("GITHUB_ACTIONS") != "":
		f.Kind = GitHub
	}
	missing := &NoTokenError{Host: host}
	for _, t := range tokens {
		if f.Kind != "" && f.Kind != t.kind {
			continue
		}
		missing.Variables = append(missing.Variables, t.variables...)
		for _, name := range t.variables {
			f.Token = cmp.Or(f.Token, env(name))
		}
		if f.Kind == Gitea && isGiteaCI { // it has GitHub's variables
			f.Token = cmp.Or(f.Token, env("GITHUB_TOKEN"))
		}
		if f.Token != "" {
			f.Kind = t.kind
			break
		}
	}
	if missing.Kind = f.Kind; f.Kind == "" || f.Token == "" && f.TokenFile == "" {
		return Forge{}, missing
	}
	if f.TokenFile != "" {
		f.Token = ""
	}
	api := env("GITHUB_API_URL")
	if f.Kind == GitLab {
		api = env("CI_API_V4_URL")
	}
	// The variable is that of the platform, which need not have this repository.
	u, err := url.Parse(api)
	if f.API == "" && err == nil && api != "" && strings.EqualFold(u.Hostname(), host) {
		f.API = api
	}
	return f, f.Complete(repository)
}
