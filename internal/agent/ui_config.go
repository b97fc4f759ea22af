package agent

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"slipway/internal/web/login"
)

// UI has the agent serve the web UI, at the address that it listens on.
type UI struct {
	// URL is where browsers reach it.
	URL string `yaml:"url"`
	// Context is the kubeconfig context of the cluster that knows the bearer tokens; empty: that of the pod.
	Context string `yaml:"context"`
	// SessionKeyFile has at least 32 random bytes; empty: sessions end with the process.
	SessionKeyFile string `yaml:"sessionKeyFile"`
	// SessionTime is how long a session lasts; 12 hours unless given.
	SessionTime Duration `yaml:"sessionTime"`
	// Groups are those of the persons that count in the cluster: the agent may impersonate no others.
	Groups []string `yaml:"groups"`
	// Anonymous is Read or Refuse, which is the default.
	Anonymous string `yaml:"anonymous"`
	// Tokens is Allow, which is the default, or Refuse: bearer tokens of the cluster.
	Tokens string `yaml:"tokens"`
	OIDC   *OIDC  `yaml:"oidc"`
}

// Read admits people who do not sign in: they see how environments stand, and neither logs nor values.
const Read = "read"

// OIDC is an OpenID Connect provider. Claims and prefixes are those that the API server is configured with:
// the names are the same there.
type OIDC struct {
	Issuer           string   `yaml:"issuer"`
	ClientID         string   `yaml:"clientID"`
	ClientSecretFile string   `yaml:"clientSecretFile"` // empty: a public client
	CAFile           string   `yaml:"caFile"`           // empty: the authorities of the system
	UsernameClaim    string   `yaml:"usernameClaim"`
	UsernamePrefix   string   `yaml:"usernamePrefix"`
	GroupsClaim      string   `yaml:"groupsClaim"`
	GroupsPrefix     string   `yaml:"groupsPrefix"`
	Scopes           []string `yaml:"scopes"`
}

const defaultSession = Duration(12 * time.Hour)

// complete fills in the defaults, and returns the first error.
func (u *UI) complete() error {
	u.SessionTime = cmp.Or(u.SessionTime, defaultSession)
	u.Anonymous, u.Tokens = cmp.Or(u.Anonymous, Refuse), cmp.Or(u.Tokens, Allow)
	at, err := url.Parse(u.URL)
	switch {
	case err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" ||
		strings.Trim(at.Path, "/") != "" || at.RawQuery != "":
		return fmt.Errorf("url: want an address such as https://slipway.example.com, not %q", u.URL)
	case u.Anonymous != Read && u.Anonymous != Refuse:
		return fmt.Errorf("anonymous: want %s or %s, not %q", Read, Refuse, u.Anonymous)
	case u.Tokens != Allow && u.Tokens != Refuse:
		return fmt.Errorf("tokens: want %s or %s, not %q", Allow, Refuse, u.Tokens)
	case u.Tokens == Refuse && u.OIDC == nil && u.Anonymous == Refuse:
		return errors.New("no way to sign in: set oidc, tokens or anonymous")
	}
	for _, g := range u.Groups {
		if g == "" || strings.HasPrefix(g, "system:") {
			return fmt.Errorf("groups: %q is a group of Kubernetes itself: the agent must not act as one", g)
		}
	}
	if u.OIDC == nil {
		return nil
	}
	issuer, err := url.Parse(u.OIDC.Issuer)
	switch {
	case u.OIDC.ClientID == "":
		return errors.New("oidc: clientID is missing")
	case err != nil || issuer.Host == "" || issuer.Scheme != "https" && !isLoopback(issuer):
		return fmt.Errorf("oidc: issuer: want an address of https, not %q", u.OIDC.Issuer)
	}
	return nil
}

func isLoopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "http" && ip != nil && ip.IsLoopback()
}

// options are how people sign in.
func (u UI) options() (login.Options, error) {
	at, err := url.Parse(u.URL)
	o := login.Options{URL: at, Time: time.Duration(u.SessionTime), Anonymous: u.Anonymous == Read,
		Groups: u.Groups}
	if err == nil && u.SessionKeyFile != "" {
		o.Key, err = os.ReadFile(u.SessionKeyFile)
	}
	if err != nil || u.OIDC == nil {
		return o, err
	}
	c := *u.OIDC
	o.OIDC = &login.OIDC{Issuer: c.Issuer, ClientID: c.ClientID, NameClaim: c.UsernameClaim,
		NamePrefix: c.UsernamePrefix, GroupsClaim: c.GroupsClaim, GroupsPrefix: c.GroupsPrefix, Scopes: c.Scopes}
	if c.Scopes == nil {
		o.OIDC.Scopes = []string{"email", "profile", "offline_access"}
	}
	if c.ClientSecretFile != "" {
		o.OIDC.Secret = func() (string, error) {
			text, err := os.ReadFile(c.ClientSecretFile)
			return strings.TrimSpace(string(text)), err
		}
	}
	if c.CAFile != "" {
		o.OIDC.Client, err = clientTrusting(c.CAFile)
	}
	return o, err
}

// clientTrusting returns a client that trusts the authorities of a file.
func clientTrusting(file string) (*http.Client, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate", file)
	}
	return &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: pool},
	}}, nil
}
