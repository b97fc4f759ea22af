package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// server is what the agent serves; the zero value serves nothing.
type server struct {
	http *http.Server
	ui   *ui // nil: the web UI is not served
	// address is where the other replicas reach this one; empty: nowhere that is known.
	address string
}

// stop ends the server, whose own context has ended.
func (s server) stop(ctx context.Context) error {
	if s.http == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return s.http.Shutdown(ctx)
}

// listen begins to serve health, the status, metrics, webhooks and the web UI.
func (a *Agent) listen(ctx context.Context) (server, error) {
	if a.config.Listen == "" && a.config.UI != nil {
		return server{}, errors.New("ui: listen is missing, the address to serve the web UI at")
	}
	if a.config.Listen == "" {
		return server{}, nil
	}
	l, err := net.Listen("tcp", a.config.Listen)
	if err != nil {
		return server{}, fmt.Errorf("listen: %w", err)
	}
	mux, pages := http.NewServeMux(), (*ui)(nil)
	if a.config.UI != nil {
		var handler http.Handler
		if pages, handler, err = newUI(ctx, a); err != nil {
			return server{}, errors.Join(err, l.Close())
		}
		mux.Handle("/", handler)
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	at := endpoints{a}
	mux.HandleFunc("GET /readyz", at.serveReady)
	mux.HandleFunc("GET /status", at.serveStatus)
	mux.HandleFunc("GET /metrics", at.serveMetrics)
	mux.HandleFunc("POST /hooks/{repository}", at.serveHook)
	s := server{ui: pages, http: &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second,
	}}
	if ip := os.Getenv(podIP); ip != "" {
		_, port, _ := net.SplitHostPort(l.Addr().String())
		s.address = net.JoinHostPort(ip, port)
	}
	go s.http.Serve(l) //nolint:errcheck // stop ends it
	a.options.Log.Info("listening on " + l.Addr().String())
	return s, nil
}

// endpoints answer the requests of probes, of Prometheus, of `slipway agent status` and of webhooks. Any
// goroutine may use them.
type endpoints struct{ *Agent }

func (a endpoints) serveReady(w http.ResponseWriter, _ *http.Request) {
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

func (a endpoints) serveStatus(w http.ResponseWriter, r *http.Request) {
	if answer, err := a.forward(r, nil); err == nil {
		answer.writeTo(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(a.Statuses()); err != nil {
		a.options.Log.Debug("status: " + err.Error())
	}
}
