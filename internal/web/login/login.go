// Package login finds out who is behind the requests to a site that several people use: they sign in with
// a bearer token of the cluster, or at an OpenID Connect provider, and their browsers keep an encrypted
// session. It does not decide what a person may do: see web.People. It trusts no header that names a user.
package login

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/internal/web"
)

// Path is that of the page to sign in at.
const Path = "/login"

// Options say how people sign in.
type Options struct {
	// URL is where browsers reach the site. Where it is https, cookies are sent over TLS alone.
	URL *url.URL
	// Key encrypts the sessions; empty: a random one, with which sessions end when the process does.
	Key []byte
	// Time is how long a session lasts at most.
	Time time.Duration
	// Anonymous admits requests that read, without a session.
	Anonymous bool
	// Groups are those that persons keep: others are dropped.
	Groups []string
	// Review returns whose bearer token it is; nil: tokens are not accepted. It fails with ErrToken for one
	// that is wrong.
	Review func(ctx context.Context, token string) (web.Person, error)
	// OIDC is the provider to sign in at; nil: there is none.
	OIDC *OIDC
}

var (
	// ErrToken says that a token is not accepted.
	ErrToken = errors.New("the token is not accepted")
	// errNoUser says that a token names no user.
	errNoUser = errors.New("the token names no user")
	errEnded  = errors.New("the session has ended")
	// errNoCredentials says that a request has neither a session nor a token.
	errNoCredentials = errors.New("sign in to see this page")
)

const (
	// reviewEvery is how long the answer about a token holds.
	reviewEvery = 30 * time.Second
	maxReviews  = 8    // at once
	maxKnown    = 1000 // tokens
	maxForm     = 64 << 10
)

// Guard admits requests of people that it knows.
type Guard struct {
	options  Options
	box      box
	provider provider
	slots    chan struct{}
	every    time.Duration // reviewEvery

	mu       sync.Mutex
	known    map[[sha256.Size]byte]reviewed
	revoked  map[string]time.Time // sessions that were ended, until when they would have lasted
	renewals map[string]*renewal
}

type reviewed struct {
	person web.Person
	err    error
	at     time.Time
}

// New prepares a guard. It sends nothing over the network.
func New(o Options) (*Guard, error) {
	if len(o.Key) == 0 {
		o.Key = []byte(rand.Text() + rand.Text())
	}
	b, err := newBox(o.Key)
	return &Guard{
		options: o, box: b, provider: provider{oidc: o.OIDC, url: o.URL},
		slots: make(chan struct{}, maxReviews), every: reviewEvery, known: map[[sha256.Size]byte]reviewed{},
		revoked: map[string]time.Time{}, renewals: map[string]*renewal{},
	}, err
}

// Handler admits requests to a site, and serves the pages to sign in and out.
func (g *Guard) Handler(site http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Path, g.serveForm)
	mux.HandleFunc("POST "+Path, g.serveToken)
	mux.HandleFunc("GET "+Path+"/oidc", g.serveStart)
	mux.HandleFunc("GET "+callbackPath, g.serveCallback)
	mux.HandleFunc("POST "+Path+"/out", g.serveOut)
	mux.Handle("GET "+web.AssetPath, site)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { g.admit(w, r, site) })
	return web.Secured(http.NewCrossOriginProtection().Handler(mux))
}

// admit serves a request as that of the person who sends it, or the page to sign in.
func (g *Guard) admit(w http.ResponseWriter, r *http.Request, site http.Handler) {
	who, check, err := g.identify(w, r)
	if err != nil {
		g.refuse(w, r, err)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if check != nil { // a stream ends with its session
		var again *time.Timer
		again = time.AfterFunc(g.every, func() {
			if check(ctx) != nil {
				cancel()
				return
			}
			again.Reset(g.every)
		})
		defer again.Stop()
	}
	site.ServeHTTP(w, web.WithPerson(r.WithContext(ctx), who))
}

// identify returns who sends a request, and a function that fails when that does not hold any longer. The
// anonymous reader has no name.
func (g *Guard) identify(w http.ResponseWriter, r *http.Request) (
	web.Person, func(context.Context) error, error,
) {
	if kind, token, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(kind, "Bearer") {
		who, err := g.review(r.Context(), strings.TrimSpace(token))
		return who, g.recheck(token), err
	}
	s, err := g.session(w, r)
	switch {
	case err == nil:
		return s.Person, func(ctx context.Context) error { return g.verify(ctx, s) }, nil
	case errors.Is(err, errNoCredentials) && g.options.Anonymous && (r.Method == "GET" || r.Method == "HEAD"):
		return web.Person{}, nil, nil
	}
	return web.Person{}, nil, err
}

func (g *Guard) recheck(token string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := g.review(ctx, strings.TrimSpace(token))
		return err
	}
}

// review returns whose token it is. It asks again after reviewEvery.
func (g *Guard) review(ctx context.Context, token string) (web.Person, error) {
	if g.options.Review == nil || token == "" {
		return web.Person{}, ErrToken
	}
	key := sha256.Sum256([]byte(token))
	g.mu.Lock()
	was, ok := g.known[key]
	g.mu.Unlock()
	if ok && time.Since(was.at) < g.every {
		return was.person, was.err
	}
	select {
	case g.slots <- struct{}{}:
		defer func() { <-g.slots }()
	case <-ctx.Done():
		return web.Person{}, ctx.Err()
	}
	who, err := g.options.Review(ctx, token)
	if err == nil {
		who, err = g.person(who)
	}
	if err != nil && !errors.Is(err, ErrToken) && !errors.Is(err, errNoUser) {
		return web.Person{}, err // it may be right the next time
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for k, r := range g.known {
		if time.Since(r.at) >= g.every || len(g.known) >= maxKnown {
			delete(g.known, k)
		}
	}
	g.known[key] = reviewed{who, err, time.Now()}
	return who, err
}

// person refuses an empty name, and drops the groups that do not count.
func (g *Guard) person(p web.Person) (web.Person, error) {
	if strings.TrimSpace(p.Name) == "" {
		return web.Person{}, errNoUser
	}
	p.Groups = slices.DeleteFunc(slices.Clone(p.Groups), func(name string) bool {
		return !slices.Contains(g.options.Groups, name)
	})
	return p, nil
}

// form is the page to sign in.
type form struct {
	To, Error, Out string
	Tokens, OIDC   bool
}

//go:embed login.html
var page string

var pages = template.Must(template.New("login").Parse(page))

func (g *Guard) show(w http.ResponseWriter, status int, f form) {
	f.Tokens, f.OIDC = g.options.Review != nil, g.options.OIDC != nil
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = pages.Execute(w, f) // the browser may have gone
}

// refuse answers with the page to sign in.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, err error) {
	to := "/"
	if r.Method == "GET" {
		to = local(r.URL.RequestURI())
	}
	g.show(w, statusOf(err), form{To: to, Error: err.Error()})
}

func statusOf(err error) int {
	for _, known := range []error{ErrToken, errEnded, errNoCredentials, errNoUser} {
		if errors.Is(err, known) {
			return http.StatusUnauthorized
		}
	}
	return http.StatusBadGateway
}

func (g *Guard) serveForm(w http.ResponseWriter, r *http.Request) {
	g.show(w, http.StatusOK, form{To: local(r.FormValue("to"))})
}

// serveToken begins a session with a bearer token, which the session keeps to ask about it again.
func (g *Guard) serveToken(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	token := strings.TrimSpace(r.PostFormValue("token"))
	who, err := g.review(r.Context(), token)
	if err == nil {
		err = g.begin(w, session{Person: who, Token: token})
	}
	if err != nil {
		g.show(w, statusOf(err), form{To: local(r.PostFormValue("to")), Error: err.Error()})
		return
	}
	http.Redirect(w, r, local(r.PostFormValue("to")), http.StatusSeeOther)
}

// serveOut ends a session. A copy of its cookie is not accepted any more by this process.
func (g *Guard) serveOut(w http.ResponseWriter, r *http.Request) {
	if s, err := g.read(r); err == nil {
		g.revoke(s)
	}
	g.forget(w, g.name(sessionCookie))
	g.show(w, http.StatusOK, form{To: "/", Error: "You are signed out.", Out: g.provider.out()})
}

// local returns the path of this site that an address names, or "/".
func local(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(address, "/") ||
		strings.HasPrefix(address, "//") || strings.ContainsAny(address, "\\\r\n\t") ||
		strings.HasPrefix(u.Path, Path) {
		return "/"
	}
	return address
}
