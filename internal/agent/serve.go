package agent

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// server is what the agent serves; the zero value serves nothing.
type server struct{ http *http.Server }

// stop ends the server, whose own context has ended.
func (s server) stop(ctx context.Context) error {
	if s.http == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return s.http.Shutdown(ctx)
}

// listen begins to serve health, the status, metrics and webhooks.
func (a *Agent) listen() (server, error) {
	if a.config.Listen == "" {
		return server{}, nil
	}
	l, err := net.Listen("tcp", a.config.Listen)
	if err != nil {
		return server{}, fmt.Errorf("listen: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", a.serveReady)
	mux.HandleFunc("GET /status", a.serveStatus)
	mux.HandleFunc("GET /metrics", a.serveMetrics)
	mux.HandleFunc("POST /hooks/{repository}", a.serveHook)
	s := server{&http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second}}
	go s.http.Serve(l) //nolint:errcheck // stop ends it
	a.options.Log.Info("listening on " + l.Addr().String())
	return s, nil
}

func (a *Agent) serveReady(w http.ResponseWriter, _ *http.Request) {
	leader, leads := a.leadership.current()
	if !leads && leader != "" {
		fmt.Fprintln(w, "ok, standing by: "+leader+" leads")
		return
	}
	for _, f := range a.followers() {
		f.mu.Lock()
		polled := f.polled
		f.mu.Unlock()
		if !polled {
			http.Error(w, f.mirror.String()+" has not been read yet", http.StatusServiceUnavailable)
			return
		}
	}
	fmt.Fprintln(w, "ok")
}

func (a *Agent) serveStatus(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(a.Statuses()); err != nil {
		a.options.Log.Debug("status: " + err.Error())
	}
}

// maxHook is more than the body of any push event.
const maxHook = 5 << 20

// serveHook polls a repository now, where the request is signed with its secret. It never does more.
func (a *Agent) serveHook(w http.ResponseWriter, r *http.Request) {
	follows := a.followers()
	i, err := strconv.Atoi(r.PathValue("repository"))
	if err != nil || i < 0 || i >= len(follows) || follows[i].mirror.WebhookSecret == "" {
		http.NotFound(w, r)
		return
	}
	secret, err := os.ReadFile(follows[i].mirror.WebhookSecret) // each time: it may have been replaced
	if err != nil {
		a.options.Log.Error("webhook: " + err.Error())
		http.Error(w, "the secret cannot be read", http.StatusInternalServerError)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxHook))
	if err != nil {
		http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
		return
	}
	if key := strings.TrimSpace(string(secret)); key == "" || !isSigned(r.Header, body, key) {
		http.Error(w, "the signature is wrong", http.StatusUnauthorized)
		return
	}
	if leader, leads := a.leadership.current(); a.config.Lease != nil && !leads {
		http.Error(w, "this replica stands by: "+leader+" leads", http.StatusServiceUnavailable)
		return
	}
	select {
	case follows[i].mirror.remote.poke <- struct{}{}:
	default: // asked already
	}
	w.WriteHeader(http.StatusAccepted)
}

// isSigned verifies the signature of GitHub and Bitbucket, of Gitea and Forgejo, or GitLab's token.
func isSigned(h http.Header, body []byte, secret string) bool {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	sum := hex.EncodeToString(mac.Sum(nil))
	for _, name := range []string{"X-Hub-Signature-256", "X-Hub-Signature", "X-Gitea-Signature"} {
		if given := strings.TrimPrefix(h.Get(name), "sha256="); given != "" {
			return hmac.Equal([]byte(given), []byte(sum))
		}
	}
	given := h.Get("X-Gitlab-Token")
	return given != "" && hmac.Equal([]byte(given), []byte(secret))
}
