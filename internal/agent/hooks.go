package agent

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// maxHook is more than the body of any push event.
	maxHook = 5 << 20
	// maxHooks is how many webhooks are read at once.
	maxHooks = 16
	// replayWindow is how long the same body is not taken a second time, and maxSeen how many are remembered.
	replayWindow = 10 * time.Minute
	maxSeen      = 1000
)

// hooks are the webhooks that the agent reads and has read.
type hooks struct {
	slots chan struct{}

	mu   sync.Mutex
	seen map[[sha256.Size]byte]time.Time // by repository and body
}

func newHooks() *hooks {
	return &hooks{slots: make(chan struct{}, maxHooks), seen: map[[sha256.Size]byte]time.Time{}}
}

// isReplay notes a body, and reports whether it came before. Senders also number their deliveries, but do not
// sign the numbers.
func (h *hooks) isReplay(repository string, body []byte, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := sha256.Sum256(append([]byte(repository+"\x00"), body...))
	if at, is := h.seen[key]; is && now.Sub(at) < replayWindow {
		return true
	}
	oldest, at := key, now
	for k, t := range h.seen {
		switch {
		case now.Sub(t) >= replayWindow:
			delete(h.seen, k)
		case t.Before(at):
			oldest, at = k, t
		}
	}
	if len(h.seen) >= maxSeen {
		delete(h.seen, oldest)
	}
	h.seen[key] = now
	return false
}

// serveHook polls a repository now, where the request is signed with its secret. It never does more.
func (a endpoints) serveHook(w http.ResponseWriter, r *http.Request) {
	follows := a.followers()
	i, err := strconv.Atoi(r.PathValue("repository"))
	if err != nil || i < 0 || i >= len(follows) || follows[i].mirror.WebhookSecret == "" {
		http.NotFound(w, r)
		return
	}
	select {
	case a.hooks.slots <- struct{}{}:
		defer func() { <-a.hooks.slots }()
	default:
		http.Error(w, "too many webhooks at once", http.StatusTooManyRequests)
		return
	}
	m := follows[i].mirror
	body, ok := a.readHook(w, r, m)
	if !ok {
		return
	}
	if leader, leads := a.leadership.current(); a.config.Lease != nil && !leads {
		answer, err := a.forward(r, body)
		if err != nil {
			http.Error(w, "this replica stands by: "+leader+" leads, and "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		answer.writeTo(w)
		return
	}
	if a.hooks.isReplay(m.String(), body, time.Now()) {
		// 200, so that a sender does not try again.
		fmt.Fprintf(w, "not polled: the same body came within %s; put the commit into it\n", replayWindow)
		return
	}
	m.remote.askForPoll()
	w.WriteHeader(http.StatusAccepted)
}

// readHook returns the body of a webhook whose signature is right, and otherwise answers why it is not taken.
func (a endpoints) readHook(w http.ResponseWriter, r *http.Request, m *mirror) (body []byte, ok bool) {
	secret, err := os.ReadFile(m.WebhookSecret) // each time: it may have been replaced
	if err != nil {
		a.options.Log.Error("webhook of " + m.String() + ": read its secret: " + err.Error())
		http.Error(w, "the secret cannot be read", http.StatusInternalServerError)
		return nil, false
	}
	if r.ContentLength > maxHook {
		http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
		return nil, false
	}
	body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxHook))
	if err != nil {
		http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
		return nil, false
	}
	if key := strings.TrimSpace(string(secret)); key == "" || !isSigned(r.Header, body, key) {
		http.Error(w, "the signature is wrong", http.StatusUnauthorized)
		return nil, false
	}
	return body, true
}

// signatures are the headers with the HMAC of the body, and tokenHeader is GitLab's with the secret itself.
var signatures = []string{
	"X-Hub-Signature-256", "X-Hub-Signature", "X-Gitea-Signature", "X-Forgejo-Signature", "X-Signature",
}

const tokenHeader = "X-Gitlab-Token"

// isSigned verifies the signature of GitHub and Bitbucket, of Gitea and Forgejo, one in X-Signature, or
// GitLab's token.
func isSigned(h http.Header, body []byte, secret string) bool {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	sum := hex.EncodeToString(mac.Sum(nil))
	for _, name := range signatures {
		if given := strings.TrimPrefix(h.Get(name), "sha256="); given != "" {
			return hmac.Equal([]byte(given), []byte(sum))
		}
	}
	given := h.Get(tokenHeader)
	return given != "" && hmac.Equal([]byte(given), []byte(secret))
}
