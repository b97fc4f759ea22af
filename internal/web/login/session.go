package login

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"slipway/internal/web"
)

const (
	sessionCookie = "slipway"
	loginCookie   = "slipway-login"
	// maxCookie is what browsers keep.
	maxCookie = 4000
)

// session is what the cookie of a person holds, encrypted.
type session struct {
	ID     string     `json:"id"`
	Person web.Person `json:"person"`
	Until  time.Time  `json:"until"`
	// Token is the bearer token that the person has signed in with; empty: at the provider.
	Token string `json:"token,omitempty"`
	// Subject is the provider's name of the person, Fresh until when its ID token holds, and Refresh is what
	// brings the next one.
	Subject string    `json:"sub,omitempty"`
	Fresh   time.Time `json:"fresh,omitzero"`
	Refresh string    `json:"refresh,omitempty"`
}

// box encrypts what browsers keep.
type box struct{ aead cipher.AEAD }

func newBox(key []byte) (box, error) {
	if len(key) < 32 {
		return box{}, fmt.Errorf("the key of the sessions has %d bytes: want at least 32", len(key))
	}
	derived, err := hkdf.Key(sha256.New, key, nil, "slipway session", 32)
	if err != nil {
		return box{}, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return box{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return box{aead}, err
}

// seal encrypts a value for one purpose: it cannot be opened for another one.
func (b box) seal(purpose string, v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(b.aead.Seal(nil, nil, text, []byte(purpose))), nil
}

func (b box) open(purpose, sealed string, v any) error {
	text, err := base64.RawURLEncoding.DecodeString(sealed)
	if err == nil {
		text, err = b.aead.Open(nil, nil, text, []byte(purpose))
	}
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	return err
}

// isSecure says that browsers reach the site over TLS.
func (g *Guard) isSecure() bool { return g.options.URL.Scheme == "https" }

// name is that of a cookie. Browsers accept the prefix only from the host itself, over TLS.
func (g *Guard) name(cookie string) string {
	if g.isSecure() {
		return "__Host-" + cookie
	}
	return cookie
}

func (g *Guard) set(w http.ResponseWriter, name, value string, until time.Time) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", Expires: until, HttpOnly: true, Secure: g.isSecure(),
		// Strict would leave it out of the request that comes back from the provider.
		SameSite: http.SameSiteLaxMode,
	})
}

func (g *Guard) forget(w http.ResponseWriter, name string) {
	http.SetCookie(w, &http.Cookie{Name: name, Path: "/", MaxAge: -1, HttpOnly: true, Secure: g.isSecure(),
		SameSite: http.SameSiteLaxMode})
}

// begin gives a browser a new session.
func (g *Guard) begin(w http.ResponseWriter, s session) error {
	s.ID, s.Until = rand.Text(), time.Now().Add(g.options.Time).UTC()
	return g.write(w, s)
}

func (g *Guard) write(w http.ResponseWriter, s session) error {
	sealed, err := g.box.seal(sessionCookie, s)
	if err != nil {
		return err
	}
	if len(sealed) > maxCookie {
		return fmt.Errorf("the session of %s has %d bytes, more than browsers keep: issue shorter tokens, or list "+
			"fewer groups", s.Person.Name, len(sealed))
	}
	g.set(w, g.name(sessionCookie), sealed, s.Until)
	return nil
}

// read returns the session that a browser sends, whether it still holds or not.
func (g *Guard) read(r *http.Request) (session, error) {
	var s session
	c, err := r.Cookie(g.name(sessionCookie))
	if err != nil {
		return s, errNoCredentials
	}
	if err := g.box.open(sessionCookie, c.Value, &s); err != nil {
		return session{}, errEnded // of another key, or forged
	}
	return s, nil
}

// session returns the session of a request, renewed where that is due.
func (g *Guard) session(w http.ResponseWriter, r *http.Request) (session, error) {
	s, err := g.read(r)
	if err == nil {
		err = g.verify(r.Context(), s)
	}
	if errors.Is(err, errStale) {
		if s, err = g.renew(r.Context(), s); err == nil {
			err = g.write(w, s)
		}
	}
	if errors.Is(err, errEnded) || errors.Is(err, ErrToken) {
		g.forget(w, g.name(sessionCookie))
		err = errEnded
	}
	return s, err
}

// errStale says that the provider has to be asked again.
var errStale = errors.New("the identity is to be renewed")

// verify fails where a session does not hold any more.
func (g *Guard) verify(ctx context.Context, s session) error {
	g.mu.Lock()
	_, isRevoked := g.revoked[s.ID]
	g.mu.Unlock()
	switch {
	case isRevoked, s.Person.Name == "", time.Now().After(s.Until):
		return errEnded
	case s.Token == "" && time.Now().After(s.Fresh):
		return errStale
	case s.Token == "":
		return nil
	}
	who, err := g.review(ctx, s.Token)
	if err == nil && who.Name != s.Person.Name {
		err = errEnded
	}
	return err
}

// revoke ends a session before its time.
func (g *Guard) revoke(s session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, until := range g.revoked {
		if time.Now().After(until) {
			delete(g.revoked, id)
		}
	}
	g.revoked[s.ID] = s.Until
}
