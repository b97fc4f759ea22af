package notify_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/agent/notify"
)

func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

var decision = notify.Decision{Environment: "prod", Verdict: "quarantined", Message: "held <!channel> & more",
	Warning: true, Release: 3}

// A receiver that is busy is asked again; one that refuses is not, and neither is one that sends elsewhere.
func TestSend(t *testing.T) {
	var answers []int
	var bodies, signatures []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies, signatures = append(bodies, string(body)), append(signatures, r.Header.Get("X-Slipway-Signature"))
		status := answers[0]
		answers = answers[1:]
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	}))
	defer s.Close()
	r := notify.Receiver{Kind: notify.Webhook, URLFile: file(t, s.URL+"/token-1234"), SecretFile: file(t, "key")}
	for _, c := range []struct {
		answers []int
		want    string
		posts   int
	}{
		{[]int{503, 200}, "", 2},
		{[]int{404}, "the receiver answers 404", 1},
		{[]int{302}, "the receiver answers 302", 1},
	} {
		answers, bodies, signatures = c.answers, nil, nil
		err := notify.Send(t.Context(), r, decision)
		if (err == nil) != (c.want == "") || err != nil && err.Error() != c.want || len(bodies) != c.posts {
			t.Errorf("%v: %v after %d posts", c.answers, err, len(bodies))
		}
		mac := hmac.New(sha256.New, []byte("key"))
		io.WriteString(mac, bodies[0])
		if want := "sha256=" + hex.EncodeToString(mac.Sum(nil)); signatures[0] != want {
			t.Errorf("signature %q, want %q", signatures[0], want)
		}
	}
	var got notify.Decision
	if err := json.Unmarshal([]byte(bodies[0]), &got); err != nil || got != decision {
		t.Errorf("got %+v (%v)", got, err)
	}
}

// The address of a chat is a secret: no error has it.
func TestErrorsHideTheAddress(t *testing.T) {
	for _, address := range []string{
		"http://127.0.0.1:1/services/T0KEN", "T0KEN", "http://T0KEN%zz", "ftp://x/T0KEN",
	} {
		r := notify.Receiver{Kind: notify.Slack, URLFile: file(t, address)}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		if err := notify.Send(ctx, r, decision); err == nil || strings.Contains(err.Error(), "T0KEN") {
			t.Errorf("%s: %v", address, err)
		}
		cancel()
	}
}

func TestSlack(t *testing.T) {
	var body string
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		body = string(text)
	}))
	defer s.Close()
	r := notify.Receiver{Kind: notify.Slack, URLFile: file(t, s.URL)}
	if err := notify.Send(t.Context(), r, decision); err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	want := ":warning: *prod* quarantined: held &lt;!channel&gt; &amp; more"
	if err := json.Unmarshal([]byte(body), &got); err != nil || got["text"] != want {
		t.Errorf("got %s", body)
	}
}

func TestWants(t *testing.T) {
	for _, c := range []struct {
		r    notify.Receiver
		want bool
	}{
		{notify.Receiver{}, true},
		{notify.Receiver{Environments: []string{"prod"}, Verdicts: []string{"failed", "quarantined"}}, true},
		{notify.Receiver{Environments: []string{"staging"}}, false},
		{notify.Receiver{Verdicts: []string{"synced"}}, false},
	} {
		if got := c.r.Wants(decision); got != c.want {
			t.Errorf("%+v: %v", c.r, got)
		}
	}
}
