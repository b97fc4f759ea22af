package image

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"slipway/internal/image/imagetest"
)

// A copy tells how many bytes of how many it has read, also where the registry redirects to its blobs.
func TestTransfer(t *testing.T) {
	registry, other := imagetest.Start(t), imagetest.Start(t)
	imagetest.Push(registry+"/acme/web:1", imagetest.Image(1<<20, "amd64", nil))
	half, told := make(chan struct{}), make(chan Transfer, 1)
	slow := httptest.NewServer(holding(registry, half))
	defer slow.Close()
	var first, ended atomic.Bool
	o := Options{Transfer: func(now Transfer) {
		if now.Done > 0 && first.CompareAndSwap(false, true) {
			told <- now
			close(half)
		}
		ended.Store(now.Ended)
	}}
	from := strings.TrimPrefix(slow.URL, "http://") + "/acme/web:1"
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, sent, err := Copy(ctx, from, other+"/acme/copy:1", o); err != nil || !sent {
		t.Fatal(sent, err)
	}
	if !first.Load() || !ended.Load() {
		t.Fatalf("the copy told of its progress: %v, of its end: %v", first.Load(), ended.Load())
	}
	if now := <-told; now.Done >= now.Total || now.Total < 1<<20 || !strings.HasPrefix(now.Reference, other) {
		t.Errorf("told %+v", now)
	}
}

// holding is a registry that redirects to its blobs, and sends the second half of a large one when the
// channel is closed.
func holding(registry string, half chan struct{}) http.Handler {
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: registry})
	proxy.FlushInterval = -1
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		blob := r.URL.Query().Get("blob")
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			http.Redirect(w, r, "/storage?blob="+r.URL.Path, http.StatusTemporaryRedirect)
			return
		}
		if blob == "" {
			proxy.ServeHTTP(w, r)
			return
		}
		resp, err := http.Get("http://" + registry + blob)
		if err != nil {
			panic(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			panic(err)
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		_, _ = w.Write(text[:len(text)/2])
		_ = http.NewResponseController(w).Flush()
		if len(text) > 1<<18 { // not the configuration of the image
			select {
			case <-half:
			case <-r.Context().Done():
			}
		}
		_, _ = w.Write(text[len(text)/2:])
	})
}
