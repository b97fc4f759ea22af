package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// A deploy sends its steps to a collector, and is not held up by one that fails.
func TestTrace(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	var lock sync.Mutex
	answer := http.StatusOK
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lock.Lock()
		defer lock.Unlock()
		_, _ = io.Copy(&got, r.Body)
		w.WriteHeader(answer)
	}))
	defer collector.Close()
	s := newShell(t, "trace", false)
	mustRun := func(command string) []string {
		lines, exit, err := s.run(command)
		if err != nil || exit != 0 {
			t.Fatalf("%s: exit code %d: %v\n%v", command, exit, err, lines)
		}
		return lines
	}
	mustRun("cp -r examples/kustomize app && cd app && git init -q -b main && git add . && git commit -qm first")
	mustRun("export OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL)
	mustRun("TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 slipway deploy dev --yes")
	lock.Lock()
	parent := []byte("\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c")
	for _, want := range [][]byte{[]byte("slipway deploy dev"), []byte("apply"), []byte("Deployment"), parent} {
		if !bytes.Contains(got.Bytes(), want) {
			t.Errorf("the trace lacks %q", want)
		}
	}
	answer = http.StatusBadRequest
	lock.Unlock()
	lines := mustRun("slipway delete dev --yes")
	if !bytes.Contains([]byte(lines[len(lines)-1]), []byte("warning: the trace was not sent: ")) {
		t.Errorf("a collector that fails: %q", lines)
	}
}
