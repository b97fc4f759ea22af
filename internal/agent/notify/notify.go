// Package notify tells people and programs about decisions, by webhooks: as JSON with a signature, or in
// the form of Slack and of what is compatible with it. It sends no values of objects.
package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// Receiver is where decisions are sent.
type Receiver struct {
	// Kind is Webhook or Slack.
	Kind string `yaml:"kind"`
	// URLFile is a file with the address, which is a secret for many receivers. It is read at each use.
	URLFile string `yaml:"urlFile"`
	// SecretFile has the key of the signature, for a Webhook; empty: none is sent.
	SecretFile string `yaml:"secretFile"`
	// Environments and Verdicts are those that it wants to know of; none: all.
	Environments []string `yaml:"environments"`
	Verdicts     []string `yaml:"verdicts"`
}

// The kinds of receivers.
const (
	Webhook = "webhook"
	Slack   = "slack"
)

// Check returns what is wrong with a receiver.
func (r Receiver) Check() error {
	switch {
	case r.Kind != Webhook && r.Kind != Slack:
		return fmt.Errorf("kind: want %s or %s, not %q", Webhook, Slack, r.Kind)
	case r.URLFile == "":
		return errors.New("urlFile is missing: a file with the address of the receiver")
	case r.SecretFile != "" && r.Kind == Slack:
		return errors.New("secretFile is for kind: webhook")
	}
	return nil
}

// Decision is what is told.
type Decision struct {
	Environment string `json:"environment"`
	// Verdict is one of those of `slipway agent status`, or what was done: failed, drifted, repaired.
	Verdict    string    `json:"verdict"`
	Message    string    `json:"message"`
	Warning    bool      `json:"warning"`
	Repository string    `json:"repository"`
	Commit     string    `json:"commit,omitempty"`
	Release    int       `json:"release,omitempty"`
	Time       time.Time `json:"time"`
}

// Wants says whether a receiver wants to know of a decision.
func (r Receiver) Wants(d Decision) bool {
	return (len(r.Environments) == 0 || slices.Contains(r.Environments, d.Environment)) &&
		(len(r.Verdicts) == 0 || slices.Contains(r.Verdicts, d.Verdict))
}

const (
	tries    = 5
	tryTime  = 10 * time.Second
	firstGap = time.Second
	maxGap   = time.Minute
)

// client follows no redirect: the body and its signature are for the address that was configured.
var client = &http.Client{
	Timeout:       tryTime,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Send tells a receiver of a decision. It tries again after errors that may pass, up to five times. Its
// errors do not contain the address.
func Send(ctx context.Context, r Receiver, d Decision) error {
	body, err := body(r.Kind, d)
	if err != nil {
		return err
	}
	gap := firstGap
	for i := 1; ; i++ {
		after, err := post(ctx, r, body)
		var refused *refusedError
		if err == nil || i == tries || errors.As(err, &refused) || ctx.Err() != nil {
			return err
		}
		wait := max(after, gap/2+rand.N(gap))
		if gap = min(2*gap, maxGap); wait > maxGap {
			wait = maxGap
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

// refusedError is an answer that will be the same next time.
type refusedError struct{ status int }

func (e *refusedError) Error() string { return fmt.Sprintf("the receiver answers %d", e.status) }

// post sends a body once. After an answer that may pass it returns how long the receiver wants to be left
// alone.
func post(ctx context.Context, r Receiver, body []byte) (after time.Duration, err error) {
	text, err := os.ReadFile(r.URLFile)
	if err != nil {
		return 0, fmt.Errorf("read the address: %w", err)
	}
	address := strings.TrimSpace(string(text))
	if u, err := url.Parse(address); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return 0, fmt.Errorf("%s does not have an address of http or https", r.URLFile)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("%s does not have an address of http or https", r.URLFile)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "slipway")
	if r.SecretFile != "" {
		key, err := os.ReadFile(r.SecretFile)
		if err != nil {
			return 0, fmt.Errorf("read the key: %w", err)
		}
		mac := hmac.New(sha256.New, bytes.TrimSpace(key))
		mac.Write(body)
		request.Header.Set("X-Slipway-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	response, err := client.Do(request)
	if err != nil {
		if failed := (*url.Error)(nil); errors.As(err, &failed) {
			err = failed.Err // without the address
		}
		return 0, err
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10) // so that the connection can be used again
	switch status := response.StatusCode; {
	case status >= 200 && status < 300:
		return 0, nil
	case status == http.StatusTooManyRequests || status >= 500:
		seconds, _ := time.ParseDuration(response.Header.Get("Retry-After") + "s")
		return seconds, fmt.Errorf("the receiver answers %d", status)
	default:
		return 0, &refusedError{status}
	}
}

// body is a decision in the form of a receiver.
func body(kind string, d Decision) ([]byte, error) {
	if kind == Webhook {
		return json.Marshal(d)
	}
	mark := ":white_check_mark:"
	if d.Warning {
		mark = ":warning:"
	}
	// Slack reads links and mentions in angle brackets.
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace
	return json.Marshal(map[string]any{
		"text": fmt.Sprintf("%s *%s* %s: %s", mark, escape(d.Environment), escape(d.Verdict), escape(d.Message)),
	})
}
