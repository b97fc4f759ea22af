package web

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// PublicError says that a site without login was to be served to other machines.
type PublicError struct{ Address string }

func (e *PublicError) Error() string {
	return fmt.Sprintf("listen on %s: not a loopback address", e.Address)
}

// Local is a site that one person serves on this machine: who has the random token of its address may do
// whatever that person may.
type Local struct {
	listener net.Listener
	// token is in the address, session in the cookie. Both are as old as the process.
	token, session string

	mu sync.Mutex
	// ticket is like token, and is accepted once.
	ticket string
}

// Listen opens an address such as "127.0.0.1:0". It fails with a *PublicError for one that other machines can
// reach.
func Listen(address string) (*Local, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, &PublicError{Address: address}
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return &Local{listener: l, token: rand.Text(), session: rand.Text(), ticket: rand.Text()}, nil
}

// URL is the address with its token.
func (l *Local) URL() string { return l.address(l.token) }

// TicketURL is an address that works once: other users of the machine see the arguments of the command that
// opens a browser.
func (l *Local) TicketURL() string { return l.address(l.ticket) }

func (l *Local) address(token string) string {
	return "http://" + l.listener.Addr().String() + "/?token=" + token
}

// Serve serves a handler until the context ends.
func (l *Local) Serve(ctx context.Context, h http.Handler) error {
	server := &http.Server{
		Handler: l.Guard(h), ReadHeaderTimeout: 5 * time.Second, BaseContext: func(net.Listener) context.Context {
			return ctx // event streams end with it
		},
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(l.listener); ctx.Err() == nil {
		return err
	}
	return nil
}

// Guard admits the requests of the person alone. A name of another host in Host is a page of that host which
// has rebound its name to this machine; forms of other origins are refused.
func (l *Local) Guard(next http.Handler) http.Handler {
	port := l.listener.Addr().(*net.TCPAddr).Port
	cookie := fmt.Sprintf("slipway-%d", port) // cookies do not know ports
	hosts := []string{l.listener.Addr().String(), fmt.Sprintf("localhost:%d", port)}
	guarded := http.NewCrossOriginProtection().Handler(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			switch {
			case !contains(hosts, r.Host):
				http.Error(w, "this is not the address of Slipway", http.StatusMisdirectedRequest)
			case r.URL.Path == "/" && l.admits(r.URL.Query().Get("token")):
				http.SetCookie(w, &http.Cookie{
					Name: cookie, Value: l.session, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
				})
				// A redirect would still be the request of the page that had the link, without the cookie.
				fmt.Fprint(w, `<!doctype html><html lang="en"><meta http-equiv="refresh" content="0;url=/">`+
					`<title>Slipway</title><a href="/">Open the board</a>`)
			case strings.HasPrefix(r.URL.Path, AssetPath), hasCookie(r, cookie, l.session):
				next.ServeHTTP(w, r)
			default:
				http.Error(w, "Open the address that `slipway ui` printed: its token is missing here.",
					http.StatusUnauthorized)
			}
		}))
	return Secured(guarded)
}

func contains(list []string, s string) bool {
	for _, o := range list {
		if strings.EqualFold(o, s) {
			return true
		}
	}
	return false
}

func (l *Local) admits(token string) bool {
	if isSame(token, l.token) {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	ok := isSame(token, l.ticket)
	if ok {
		l.ticket = ""
	}
	return ok
}

func hasCookie(r *http.Request, name, value string) bool {
	c, err := r.Cookie(name)
	return err == nil && isSame(c.Value, value)
}

func isSame(given, want string) bool {
	return want != "" && subtle.ConstantTimeCompare([]byte(given), []byte(want)) == 1
}

// policy permits what the pages consist of: nothing of other origins, and nothing inline.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
	"img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Secured adds the headers that keep a browser from loading, showing or sending anything else.
func Secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range map[string]string{
			"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
			"Cache-Control": "no-store",
		} {
			w.Header().Set(name, value)
		}
		next.ServeHTTP(w, r)
	})
}
