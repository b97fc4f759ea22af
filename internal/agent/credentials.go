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
	SSHKeyFile     string          `yaml:"sshKeyFile"`
	KnownHostsFile string          `yaml:"knownHostsFile"`
	GitHubApp      *credential.App `yaml:"githubApp"`
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
	case c.GitHubApp != nil && c.GitHubApp.Check() != nil:
		return fmt.Errorf("credentials: %w", c.GitHubApp.Check())
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
	return func(ctx context.Context) (git.Access, error) {
		switch {
		case c.GitHubApp != nil:
			token, err := c.GitHubApp.Token(ctx)
			if err != nil {
				return git.Access{}, err
			}
			a, err := password(git.Access{}, address, "x-access-token", token)
			a.Rejected = c.GitHubApp.Forget
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
