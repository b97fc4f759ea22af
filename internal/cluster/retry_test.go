package cluster

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A request is sent again, body and all, until the server takes it.
func TestRetry(t *testing.T) {
	for _, test := range []struct {
		name   string
		status []int // what the server answers, 0: it breaks the connection; then 200
		after  string
		want   string
	}{
		{"busy, then away", []int{503, 0}, "", "200 after 3"},
		{"an error of its own", []int{500, 500}, "", "200 after 3"},
		{"an error of its own that stays", []int{500, 500, 500, 500}, "", "500 after 3"},
		{"it says when to come back", []int{429}, "1", "429 after 1"},
		{"a refusal", []int{403}, "", "403 after 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n := 0
			server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if body, _ := io.ReadAll(r.Body); string(body) != "hello" {
					t.Errorf("request %d says %q", n+1, body)
				}
				n++
				if n > len(test.status) {
					return
				}
				if test.status[n-1] == 0 {
					panic(http.ErrAbortHandler)
				}
				if test.after != "" {
					rw.Header().Set("Retry-After", test.after)
				}
				rw.WriteHeader(test.status[n-1])
			}))
			defer server.Close()
			client := http.Client{Transport: &retrier{next: http.DefaultTransport}}
			resp, err := client.Post(server.URL, "text/plain", strings.NewReader("hello"))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got := resp.Status[:3] + " after " + string(rune('0'+n)); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}
