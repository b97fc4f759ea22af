package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdAnswer starts an HTTP server for the rest of a script, and sets $NAME to its address: answer NAME.
// It answers a GET of /PATH with the file NAME/PATH, whose first line is the status, and a POST with
// NAME/status. It notes each request in NAME.log: method, path, the headers that matter, and the body.
func cmdAnswer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: answer NAME")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	var mu sync.Mutex
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		log, err := os.OpenFile(dir+".log", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(log, r.Method, r.URL.RequestURI(), r.Header.Get("Content-Type"),
			r.Header.Get("X-Slipway-Signature"), string(body))
		log.Close()
		name := strings.Trim(r.URL.Path, "/")
		if r.Method == http.MethodPost {
			name = "status"
		}
		text, err := os.ReadFile(dir + "/" + strings.ReplaceAll(name, "/", "_"))
		first, rest, _ := strings.Cut(string(text), "\n")
		status, convErr := strconv.Atoi(strings.TrimSpace(first))
		if err != nil || convErr != nil {
			status = http.StatusNotFound
		}
		if status/100 == 3 {
			w.Header().Set("Location", strings.TrimSpace(rest))
		}
		w.WriteHeader(status)
		io.WriteString(w, rest)
	}))
	ts.Defer(s.Close)
	ts.Setenv(args[0], s.URL)
}
