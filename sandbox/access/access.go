// Package access decides who may use which repository of the sandbox's registry and Git server:
// basic authentication, so that pull secrets and credentials can be rehearsed.
package access

import (
	"crypto/subtle"
	"net/http"
	"strings"
)

// Repositories under Prefix always ask for PrivateUser and PrivatePassword, so that one sandbox
// serves tests with and without authentication at the same time.
const (
	Prefix          = "private/"
	PrivateUser     = "sandbox"
	PrivatePassword = "sandbox"
)

// Rule guards what is not under Prefix. The zero value leaves it open.
type Rule struct{ User, Password string }

// ParseRule reads "user:password"; empty is the open rule.
func ParseRule(s string) (Rule, bool) {
	if s == "" {
		return Rule{}, true
	}
	user, password, ok := strings.Cut(s, ":")
	return Rule{user, password}, ok && user != "" && password != ""
}

// Allowed says whether the request may use the repository ("" for the service as a whole).
func (r Rule) Allowed(req *http.Request, repo string) bool {
	user, password, ok := req.BasicAuth()
	general := r.User != "" && ok && same(user, r.User) && same(password, r.Password)
	private := ok && same(user, PrivateUser) && same(password, PrivatePassword)
	switch {
	case strings.HasPrefix(repo, Prefix):
		// A client keeps one credential for a host, so the general one opens everything.
		return private || general
	case r.User == "":
		return true
	case repo == "":
		return private || general
	default:
		return general
	}
}

// Challenge tells the client to authenticate; the caller writes the body.
func Challenge(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Basic realm="slipway sandbox"`)
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
