package login

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"slipway/internal/web"
)

// OIDC is an OpenID Connect provider, and the client that the site is there.
type OIDC struct {
	Issuer, ClientID string
	// Secret reads the secret of the client, each time that it is needed; nil: a public client.
	Secret func() (string, error)
	// NameClaim has the name of the user, "email" unless given, and GroupsClaim the groups, "groups" unless
	// given. The prefixes are those that the API server is configured with.
	NameClaim, GroupsClaim   string
	NamePrefix, GroupsPrefix string
	// Scopes are asked for beside "openid".
	Scopes []string
	// Client reaches the provider; nil: the default one.
	Client *http.Client
}

const (
	callbackPath = Path + "/callback"
	// loginTime is how long a person may take at the provider.
	loginTime = 10 * time.Minute
	// askTime bounds a request to the provider.
	askTime = 15 * time.Second
	// renewalTime is how long the outcome of a renewal is kept for requests that were sent before it.
	renewalTime = time.Minute
)

// provider is asked for its addresses when the first person signs in.
type provider struct {
	oidc *OIDC
	url  *url.URL

	mu    sync.Mutex
	known *oidc.Provider
}

// with returns a context with the client that reaches the provider.
func (p *provider) with(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	if p.oidc.Client != nil {
		ctx = oidc.ClientContext(ctx, p.oidc.Client)
	}
	return ctx, cancel
}

// config returns the client at the provider.
func (p *provider) config(ctx context.Context) (oauth2.Config, *oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		known, err := oidc.NewProvider(ctx, p.oidc.Issuer)
		if err != nil {
			return oauth2.Config{}, nil, fmt.Errorf("ask the provider %s: %w", p.oidc.Issuer, err)
		}
		p.known = known
	}
	secret := ""
	if p.oidc.Secret != nil {
		var err error
		if secret, err = p.oidc.Secret(); err != nil {
			return oauth2.Config{}, nil, err
		}
	}
	return oauth2.Config{
		ClientID: p.oidc.ClientID, ClientSecret: secret, Endpoint: p.known.Endpoint(),
		RedirectURL: p.url.JoinPath(callbackPath).String(),
		Scopes:      append([]string{oidc.ScopeOpenID}, p.oidc.Scopes...),
	}, p.known, nil
}

// out is where a person signs out at the provider; empty: it has no such page, or was not asked yet.
func (p *provider) out() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var known struct {
		End string `json:"end_session_endpoint"`
	}
	if p.known == nil || p.known.Claims(&known) != nil || known.End == "" {
		return ""
	}
	at, err := url.Parse(known.End)
	if err != nil || at.Scheme != "https" && at.Scheme != "http" {
		return ""
	}
	q := at.Query()
	q.Set("client_id", p.oidc.ClientID)
	q.Set("post_logout_redirect_uri", p.url.JoinPath("/").String())
	at.RawQuery = q.Encode()
	return at.String()
}

// attempt is a login that has begun, as its cookie holds it.
type attempt struct {
	State, Nonce, Verifier, To string
	Until                      time.Time
}

// serveStart sends a browser to the provider.
func (g *Guard) serveStart(w http.ResponseWriter, r *http.Request) {
	if g.options.OIDC == nil {
		http.NotFound(w, r)
		return
	}
	a := attempt{
		State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), To: local(r.FormValue("to")),
		Until: time.Now().Add(loginTime),
	}
	ctx, cancel := g.provider.with(r.Context())
	defer cancel()
	client, _, err := g.provider.config(ctx)
	var sealed string
	if err == nil {
		sealed, err = g.box.seal(loginCookie, a)
	}
	if err != nil {
		g.show(w, http.StatusBadGateway, form{To: a.To, Error: err.Error()})
		return
	}
	g.set(w, g.name(loginCookie), sealed, a.Until)
	http.Redirect(w, r, client.AuthCodeURL(a.State, oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)),
		http.StatusSeeOther)
}

// serveCallback takes the answer of the provider.
func (g *Guard) serveCallback(w http.ResponseWriter, r *http.Request) {
	var a attempt
	c, err := r.Cookie(g.name(loginCookie))
	if err == nil {
		err = g.box.open(loginCookie, c.Value, &a)
	}
	g.forget(w, g.name(loginCookie))
	if g.options.OIDC == nil || err != nil || time.Now().After(a.Until) || a.State == "" ||
		subtle.ConstantTimeCompare([]byte(r.FormValue("state")), []byte(a.State)) != 1 {
		g.show(w, http.StatusUnauthorized, form{To: "/", Error: "This login was not begun here, or long ago."})
		return
	}
	s, err := g.exchange(r, a)
	if err == nil {
		err = g.begin(w, s)
	}
	if err != nil {
		status := http.StatusUnauthorized
		if errors.Is(err, context.DeadlineExceeded) {
			status = http.StatusBadGateway
		}
		g.show(w, status, form{To: a.To, Error: "The login failed: " + err.Error()})
		return
	}
	http.Redirect(w, r, a.To, http.StatusSeeOther)
}

// exchange turns the code of a callback into a session.
func (g *Guard) exchange(r *http.Request, a attempt) (session, error) {
	if refused := r.FormValue("error"); refused != "" {
		return session{}, fmt.Errorf("the provider says %s %s", refused, r.FormValue("error_description"))
	}
	ctx, cancel := g.provider.with(r.Context())
	defer cancel()
	client, known, err := g.provider.config(ctx)
	if err != nil {
		return session{}, err
	}
	token, err := client.Exchange(ctx, r.FormValue("code"), oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return session{}, err
	}
	return g.sessionOf(ctx, known, token, a.Nonce)
}

// sessionOf verifies an ID token, and reads who the person is. A nonce of "" is not compared: a renewed token
// need not have one.
func (g *Guard) sessionOf(
	ctx context.Context, known *oidc.Provider, token *oauth2.Token, nonce string,
) (session, error) {
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return session{}, errors.New("the provider sends no ID token")
	}
	id, err := known.Verifier(&oidc.Config{ClientID: g.options.OIDC.ClientID}).Verify(ctx, raw)
	if err != nil {
		return session{}, err
	}
	if nonce != "" && subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(nonce)) != 1 {
		return session{}, errors.New("the ID token is of another login: its nonce differs")
	}
	var claims map[string]any
	if err := id.Claims(&claims); err != nil {
		return session{}, err
	}
	who, err := g.options.OIDC.person(claims)
	if err == nil {
		who, err = g.person(who)
	}
	return session{Person: who, Subject: id.Subject, Fresh: id.Expiry.UTC(), Refresh: token.RefreshToken}, err
}

// reserved begins the names that belong to Kubernetes itself.
const reserved = "system:"

// person reads the claims of an ID token as the API server does.
func (o OIDC) person(claims map[string]any) (web.Person, error) {
	claim := func(name, otherwise string) any {
		if name == "" {
			name = otherwise
		}
		return claims[name]
	}
	name, _ := claim(o.NameClaim, "email").(string)
	if o.NameClaim == "" || o.NameClaim == "email" {
		if verified, given := claims["email_verified"]; given && verified != true {
			return web.Person{}, fmt.Errorf("the provider has not verified the address %q", name)
		}
	}
	if strings.TrimSpace(name) == "" {
		return web.Person{}, errNoUser
	}
	p := web.Person{Name: o.NamePrefix + name}
	if email, _ := claims["email"].(string); claims["email_verified"] == true {
		p.Email = email
	}
	switch groups := claim(o.GroupsClaim, "groups").(type) {
	case string:
		p.Groups = []string{o.GroupsPrefix + groups}
	case []any:
		for _, v := range groups {
			if name, ok := v.(string); ok {
				p.Groups = append(p.Groups, o.GroupsPrefix+name)
			}
		}
	}
	for _, n := range append(slices.Clone(p.Groups), p.Name) {
		if strings.HasPrefix(n, reserved) {
			return web.Person{}, fmt.Errorf("the provider must not issue the name %q: names that begin with %s are "+
				"those of Kubernetes", n, reserved)
		}
	}
	return p, nil
}

// renewal is one renewal of a session.
type renewal struct {
	done    chan struct{}
	session session
	err     error
}

// renew asks the provider for a new ID token, once for all requests that come with the same session: many
// providers accept a refresh token only once.
func (g *Guard) renew(ctx context.Context, s session) (session, error) {
	if s.Refresh == "" || g.options.OIDC == nil {
		return s, errEnded
	}
	key := s.ID + s.Refresh
	g.mu.Lock()
	r, isRunning := g.renewals[key]
	if !isRunning {
		r = &renewal{done: make(chan struct{})}
		g.renewals[key] = r
	}
	g.mu.Unlock()
	if !isRunning {
		r.session, r.err = g.ask(context.WithoutCancel(ctx), s)
		close(r.done)
		time.AfterFunc(renewalTime, func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			delete(g.renewals, key)
		})
	}
	select {
	case <-r.done:
		return r.session, r.err
	case <-ctx.Done():
		return s, ctx.Err()
	}
}

func (g *Guard) ask(ctx context.Context, s session) (session, error) {
	ctx, cancel := g.provider.with(ctx)
	defer cancel()
	client, known, err := g.provider.config(ctx)
	if err != nil {
		return s, err
	}
	token, err := client.TokenSource(ctx, &oauth2.Token{RefreshToken: s.Refresh}).Token()
	if refused := (*oauth2.RetrieveError)(nil); errors.As(err, &refused) {
		return s, fmt.Errorf("%w: the provider does not renew it: %s", errEnded, refused.ErrorCode)
	}
	if err != nil {
		return s, err
	}
	next, err := g.sessionOf(ctx, known, token, "")
	switch {
	case err != nil:
		return s, fmt.Errorf("%w: %w", errEnded, err)
	case next.Subject != s.Subject:
		return s, fmt.Errorf("%w: the provider has renewed it for somebody else", errEnded)
	}
	next.ID, next.Until = s.ID, s.Until
	if next.Refresh == "" {
		next.Refresh = s.Refresh
	}
	return next, nil
}
