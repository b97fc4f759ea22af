package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

func TestRoutes(t *testing.T) {
	t.Setenv("GREETING", "hello from the test")
	version = "v1"
	var ready atomic.Bool
	h := routes(&ready)
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	if w := get("/readyz"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("/readyz before ready: %d", w.Code)
	}
	ready.Store(true)
	for path, want := range map[string]string{
		"/": "hello from the test", "/version": `"v1"`, "/healthz": "alive", "/readyz": "ready",
	} {
		if w := get(path); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := get("/nowhere"); w.Code != http.StatusNotFound {
		t.Errorf("/nowhere: %d", w.Code)
	}
}
