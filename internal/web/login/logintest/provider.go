// Package logintest is an OpenID Connect provider for tests. It signs real tokens, and refuses each request
// that a careful provider would refuse.
package logintest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"time"
)

// Provider is a provider with one client.
type Provider struct {
	URL              string
	ClientID, Secret string
	// Redirect is where the client may have people sent back to.
	Redirect string

	server *httptest.Server
	key    *rsa.PrivateKey

	mu       sync.Mutex
	claims   map[string]any
	lifetime time.Duration
	forge    func(header, claims map[string]any)
	codes    map[string]url.Values // the requests, by their codes
	refresh  map[string]map[string]any
	asked    []string
}

// Start starts a provider. The caller closes it.
func Start(redirect string) *Provider {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	p := &Provider{ClientID: "slipway", Secret: rand.Text(), Redirect: redirect, key: key,
		lifetime: time.Hour, codes: map[string]url.Values{}, refresh: map[string]map[string]any{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discover)
	mux.HandleFunc("GET /keys", p.keys)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	p.server = httptest.NewServer(mux)
	p.URL = p.server.URL
	return p
}

// Close stops it.
func (p *Provider) Close() { p.server.Close() }

// SignIn says who signs in next, and how long ID tokens hold.
func (p *Provider) SignIn(lifetime time.Duration, claims map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lifetime, p.claims = lifetime, claims
}

// Forge changes each token before it is signed; nil: none.
func (p *Provider) Forge(change func(header, claims map[string]any)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forge = change
}

// Revoke makes all refresh tokens invalid.
func (p *Provider) Revoke() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.refresh)
}

// Asked are the grants that were asked for, and the refusals.
func (p *Provider) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...)
}

func (p *Provider) discover(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token",
		"jwks_uri": p.URL + "/keys", "end_session_endpoint": p.URL + "/out",
		"id_token_signing_alg_values_supported": []string{"RS256"},
	})
}

func (p *Provider) keys(w http.ResponseWriter, _ *http.Request) {
	e := big.NewInt(int64(p.key.E)).Bytes()
	answer(w, map[string]any{"keys": []any{map[string]any{
		"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "one", "n": encode(p.key.N.Bytes()), "e": encode(e),
	}}})
}

// authorize sends the person back at once, as if a password had been typed.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case q.Get("client_id") != p.ClientID, q.Get("response_type") != "code":
		p.refuse(w, "authorize: another client")
	case q.Get("redirect_uri") != p.Redirect:
		p.refuse(w, "authorize: redirect_uri "+q.Get("redirect_uri"))
	case len(q.Get("state")) < 20, len(q.Get("nonce")) < 20:
		p.refuse(w, "authorize: no state or no nonce")
	case q.Get("code_challenge_method") != "S256", len(q.Get("code_challenge")) != 43:
		p.refuse(w, "authorize: no PKCE")
	default:
		code := rand.Text()
		p.codes[code] = q
		back := url.Values{"code": {code}, "state": {q.Get("state")}}
		http.Redirect(w, r, p.Redirect+"?"+back.Encode(), http.StatusSeeOther)
	}
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id, secret, _ := r.BasicAuth()
	if id == "" {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	if id != p.ClientID || secret != p.Secret {
		p.refuse(w, "token: wrong client")
		return
	}
	p.asked = append(p.asked, r.PostFormValue("grant_type"))
	switch r.PostFormValue("grant_type") {
	case "authorization_code":
		asked, known := p.codes[r.PostFormValue("code")]
		delete(p.codes, r.PostFormValue("code"))
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		switch {
		case !known:
			p.refuse(w, "token: unknown code")
		case encode(sum[:]) != asked.Get("code_challenge"):
			p.refuse(w, "token: wrong verifier")
		case r.PostFormValue("redirect_uri") != p.Redirect:
			p.refuse(w, "token: wrong redirect_uri")
		default:
			p.issue(w, p.claims, asked.Get("nonce"))
		}
	case "refresh_token":
		claims, known := p.refresh[r.PostFormValue("refresh_token")]
		delete(p.refresh, r.PostFormValue("refresh_token")) // each is accepted once
		if !known {
			p.refuse(w, "token: unknown refresh token")
			return
		}
		p.issue(w, claims, "")
	default:
		p.refuse(w, "token: grant "+r.PostFormValue("grant_type"))
	}
}

func (p *Provider) refuse(w http.ResponseWriter, why string) {
	p.asked = append(p.asked, "refused "+why)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	fmt.Fprintf(w, `{"error": "invalid_grant", "error_description": %q}`, why)
}

// issue answers with an ID token and a refresh token.
func (p *Provider) issue(w http.ResponseWriter, claims map[string]any, nonce string) {
	refresh := rand.Text()
	p.refresh[refresh] = claims
	all := maps.Clone(claims)
	now := time.Now()
	maps.Copy(all, map[string]any{"iss": p.URL, "aud": p.ClientID, "iat": now.Unix(),
		"exp": now.Add(p.lifetime).Unix()})
	if nonce != "" {
		all["nonce"] = nonce
	}
	if all["sub"] == nil {
		all["sub"] = fmt.Sprint(claims["email"])
	}
	answer(w, map[string]any{"access_token": rand.Text(), "token_type": "Bearer", "refresh_token": refresh,
		"expires_in": 3600, "id_token": p.sign(all)})
}

func (p *Provider) sign(claims map[string]any) string {
	header := map[string]any{"alg": "RS256", "kid": "one", "typ": "JWT"}
	if p.forge != nil {
		p.forge(header, claims)
	}
	h, _ := json.Marshal(header)
	c, _ := json.Marshal(claims)
	text := encode(h) + "." + encode(c)
	if header["alg"] == "none" {
		return text + "."
	}
	key := p.key
	if other, ok := header["key"].(*rsa.PrivateKey); ok {
		key = other
	}
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return text + "." + encode(signature)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
