package forgetest

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// App is an installation of a GitHub App: it makes the only tokens that a server with it takes.
type App struct {
	ID, Installation string
	Key              *rsa.PublicKey
	// Made is how many tokens it has made.
	Made int
}

// Revoke makes the token that an app has made invalid, as the forge does when the app is installed again.
func (s *Server) Revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Token = "revoked"
}

// Tokens is how many tokens the app has made.
func (s *Server) Tokens() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.App.Made
}

// serveApp makes a token for the app:
// docs.github.com/rest/apps/apps#create-an-installation-access-token-for-an-app.
func (s *Server) serveApp(r *http.Request) answer {
	if got := r.Header.Get("Accept"); got != "application/vnd.github+json" {
		return wrong("Accept: %q", got)
	}
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return wrong("Authorization: %q", r.Header.Get("Authorization"))
	}
	if err := s.App.Verify(text, time.Now()); err != nil {
		return answer{http.StatusUnauthorized, map[string]string{"message": err.Error()}}
	}
	s.App.Made++
	s.Token = fmt.Sprintf("ghs_%d", s.App.Made)
	return answer{http.StatusCreated, map[string]any{
		"token": s.Token, "expires_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
		"permissions": map[string]string{"pull_requests": "write", "statuses": "write"},
	}}
}

// Verify checks a JSON Web Token as docs.github.com describes it for apps.
func (a *App) Verify(text string, now time.Time) error {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return fmt.Errorf("a JSON web token could not be decoded")
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(a.Key, crypto.SHA256, sum[:], signature); err != nil {
		return err
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return err
	}
	var c struct {
		Issuer  string `json:"iss"`
		Issued  int64  `json:"iat"`
		Expires int64  `json:"exp"`
	}
	if err := json.Unmarshal(claims, &c); err != nil {
		return err
	}
	switch {
	case c.Issuer != a.ID:
		return fmt.Errorf("'Issuer' claim ('iss') must be the App ID")
	case time.Unix(c.Issued, 0).After(now):
		return fmt.Errorf("'Issued at' claim ('iat') must be in the past")
	case time.Unix(c.Expires, 0).Before(now), time.Unix(c.Expires, 0).After(now.Add(10 * time.Minute)):
		return fmt.Errorf("'Expiration time' claim ('exp') is too far in the future, or over")
	}
	return nil
}
