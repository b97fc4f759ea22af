package agent

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"slipway/internal/git"
	"slipway/internal/git/credential"
)

// Credentials are how a repository is reached: with a password or token, with an SSH key, or as a GitHub App.
// Files are read at each use, so that a mounted Secret may change.
type Credentials struct {
	// Username goes with PasswordFile; "git" unless given.
	Username     string `yaml:"username"`
	PasswordFile string `yaml:"passwordFile"`
	// SSHKeyFile and KnownHostsFile go together.
	SSHKeyFile     string     `yaml:"sshKeyFile"`
	KnownHostsFile string     `yaml:"knownHostsFile"`
	GitHubApp      *GitHubApp `yaml:"githubApp"`
}

// GitHubApp is an installation of a GitHub App.
type GitHubApp struct {
	ID             string `yaml:"id"`
	Installation   string `yaml:"installation"`
	PrivateKeyFile string `yaml:"privateKeyFile"`
	// API is the REST API's address, for GitHub Enterprise Server; empty: https://api.github.com.
	API string `yaml:"api"`
}

// check returns what is missing, or too much.
func (c Credentials) check(address string) error {
	isSSH := strings.HasPrefix(sameRepository(address), "ssh://")
	kinds := 0
	for _, given := range []bool{c.PasswordFile != "", c.SSHKeyFile != "", c.GitHubApp != nil} {
		if given {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return errors.New("credentials: want one of passwordFile, sshKeyFile and githubApp")
	case isSSH != (c.SSHKeyFile != ""):
		return errors.New("credentials: sshKeyFile is for URLs of SSH, and the others are for https")
	case (c.SSHKeyFile != "") != (c.KnownHostsFile != ""):
		return errors.New("credentials: sshKeyFile and knownHostsFile go together")
	case c.Username != "" && c.PasswordFile == "":
		return errors.New("credentials: username goes with passwordFile")
	case c.GitHubApp != nil &&
		(c.GitHubApp.ID == "" || c.GitHubApp.Installation == "" || c.GitHubApp.PrivateKeyFile == ""):
		return errors.New("credentials: githubApp needs id, installation and privateKeyFile")
	}
	return nil
}

// accessTo returns a function that reads the credentials for a repository. Outside a cluster and without
// credentials, git finds them as it does for a typed command.
func accessTo(r Repository) func(context.Context) (git.Access, error) {
	c, address := r.Credentials, r.URL
	inURL := ""
	user := ""
	if u, err := url.Parse(address); err == nil && u.User != nil && strings.HasPrefix(u.Scheme, "http") {
		inURL, _ = u.User.Password()
		user = u.User.Username()
	}
	if c == nil {
		return func(context.Context) (git.Access, error) {
			a := git.Access{UserConfig: !isInCluster()}
			if inURL == "" {
				return a, nil
			}
			return password(a, address, user, inURL)
		}
	}
	var app *credential.App
	if g := c.GitHubApp; g != nil {
		app = &credential.App{
			ID: g.ID, Installation: g.Installation, KeyFile: g.PrivateKeyFile, API: strings.TrimSuffix(g.API, "/"),
		}
	}
	return func(ctx context.Context) (git.Access, error) {
		switch {
		case app != nil:
			token, err := app.Token(ctx)
			if err != nil {
				return git.Access{}, err
			}
			a, err := password(git.Access{}, address, "x-access-token", token)
			a.Rejected = app.Forget
			return a, err
		case c.PasswordFile != "":
			text, err := os.ReadFile(c.PasswordFile)
			if err != nil {
				return git.Access{}, fmt.Errorf("read the password: %w", err)
			}
			name := c.Username
			if name == "" {
				name = "git"
			}
			return password(git.Access{}, address, name, strings.TrimSpace(string(text)))
		}
		program, err := git.Self()
		if err != nil {
			return git.Access{}, err
		}
		return git.Access{Environment: credential.SSH(program, c.SSHKeyFile, c.KnownHostsFile)}, nil
	}
}

func password(a git.Access, address, user, secret string) (git.Access, error) {
	program, err := git.Self()
	if err != nil {
		return a, err
	}
	a.Environment = credential.Password(program, address, user, secret)
	a.Secrets = []string{secret, url.QueryEscape(secret)}
	return a, nil
}

// withoutPassword is a URL of http or https without user and password. Others stay as they are.
func withoutPassword(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.User == nil || !strings.HasPrefix(u.Scheme, "http") {
		return address
	}
	u.User = nil
	return u.String()
}
