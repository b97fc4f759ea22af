package cluster

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

const (
	lostConnection = -iota - 1 // what a server answers in TestRetry, beside a status
	halfAnAnswer
	silence
)

// A request is sent again, body and all, until its answer is final.
func TestRetry(t *testing.T) {
	t.Parallel()
	const (
		status     = `{"kind":"Status","apiVersion":"v1","reason":`
		contention = status + `"Conflict"}`
		exists     = status + `"AlreadyExists"}`
		held       = status + `"Conflict","details":{"causes":[{"reason":"FieldManagerConflict"}]}}`
	)
	for _, test := range []struct {
		name, method, query, kind string
		status                    []int // what the server answers; then 200
		after, body, want         string
	}{
		{name: "busy, then away", status: []int{503, lostConnection}, want: "200 after 3"},
		{name: "half an answer", status: []int{halfAnAnswer}, want: "200 after 2"},
		{name: "an error of its own", status: []int{500, 500}, want: "200 after 3"},
		{name: "an error of its own that stays", status: []int{500, 500, 500, 500, 500}, want: "500 after 4"},
		{name: "it says when to come back", status: []int{429}, after: "1", want: "200 after 2"},
		{name: "a refusal", status: []int{403}, want: "403 after 1"},
		{name: "a create, and a quota changes", status: []int{409}, body: contention, want: "200 after 2"},
		{name: "a create of what exists", status: []int{409}, body: exists, want: "409 after 1"},
		{name: "an update", method: "PUT", status: []int{409}, body: contention, want: "409 after 1"},
		{name: "an apply", method: "PATCH", kind: "application/apply-patch+yaml", status: []int{409},
			body: contention, want: "200 after 2"},
		{name: "an apply of another's field", method: "PATCH", kind: "application/apply-patch+yaml",
			status: []int{409}, body: held, want: "409 after 1"},
		{name: "a JSON patch", method: "PATCH", kind: "application/json-patch+json", status: []int{409},
			body: contention, want: "409 after 1"},
		{name: "a list", method: "GET", status: []int{410}, want: "200 after 2"},
		{name: "the next part of a list", method: "GET", query: "?continue=x", status: []int{410},
			want: "410 after 1"},
		{name: "a watch", method: "GET", query: "?watch=1", status: []int{410}, want: "410 after 1"},
		{name: "a read without an answer", method: "GET", status: []int{silence}, want: "200 after 2"},
		{name: "a write without an answer", status: []int{silence}, want: "200 after 2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if body, _ := io.ReadAll(r.Body); r.Method != "GET" && string(body) != "hello" {
					t.Errorf("request %d says %q", n.Load()+1, body)
				}
				i := int(n.Add(1)) - 1
				if i >= len(test.status) {
					return
				}
				switch status := test.status[i]; status {
				case lostConnection:
					panic(http.ErrAbortHandler)
				case halfAnAnswer:
					rw.Header().Set("Content-Length", "10")
					fmt.Fprint(rw, "hello")
				case silence:
					<-r.Context().Done()
				default:
					if test.after != "" {
						rw.Header().Set("Retry-After", test.after)
					}
					rw.WriteHeader(status)
					fmt.Fprint(rw, test.body)
				}
			}))
			defer server.Close()
			method, body := test.method, io.Reader(strings.NewReader("hello"))
			switch method {
			case "":
				method = "POST"
			case "GET":
				body = nil
			}
			req, err := http.NewRequestWithContext(t.Context(), method, server.URL+test.query, body)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", test.kind)
			client := http.Client{Transport: &retrier{next: http.DefaultTransport}}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if got := fmt.Sprintf("%d after %d", resp.StatusCode, n.Load()); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
			text, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != 200 && string(text) != test.body {
				t.Errorf("the answer says %q (%v), want %q", text, err, test.body)
			}
		})
	}
}

// A refused connection to an address that has never answered is reported at once.
func TestNoRetryOfAWrongAddress(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	tries := 0
	client := http.Client{Transport: &retrier{next: counting(func(req *http.Request) (*http.Response, error) {
		tries++
		return http.DefaultTransport.RoundTrip(req)
	})}}
	if resp, err := client.Get(server.URL); err == nil || tries != 1 {
		t.Errorf("%v, %v after %d tries", resp, err, tries)
	}
}

type counting func(*http.Request) (*http.Response, error)

func (f counting) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
