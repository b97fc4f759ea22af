package agent_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// dated answers with the date of another clock.
type dated struct {
	http.ResponseWriter
	ahead time.Duration
}

func (d dated) WriteHeader(status int) {
	d.Header().Set("Date", time.Now().Add(d.ahead).UTC().Format(http.TimeFormat))
	d.ResponseWriter.WriteHeader(status)
}

func (d dated) Unwrap() http.ResponseWriter { return d.ResponseWriter }

// Windows are those of the API server's clock, whatever this machine's shows; the status says how far they
// differ, until they agree again.
func TestFault31Clock(t *testing.T) {
	t.Parallel()
	k := newKept(t)
	k.write(t, "slipway.yaml", "project: shop\nenvironments:\n  test: {path: k8s, class: local}\n")
	k.write(t, "k8s/app.yaml", manifests)
	k.push(t, "first")
	at := func(after time.Duration) string { return time.Now().UTC().Add(after).Format("15:04") }
	k.run(t, fmt.Sprintf("onDrift: report, windows: [{from: %q, to: %q}]", at(2*time.Hour), at(3*time.Hour)), "")
	k.log.await(t, "waits for the window that opens on")
	if clock := k.agent.Statuses()[0].Clock; clock != "" {
		t.Errorf("the clocks agree, and the status says %q", clock)
	}

	k.ahead.Store(int64(150 * time.Minute))
	k.value(t, "2")
	k.log.await(t, "this machine's clock is 2h30m behind the API server's: windows and pauses follow the server's")
	k.log.await(t, "is release 1, healthy")
	if clock := k.agent.Statuses()[0].Clock; !strings.HasPrefix(clock,
		"this machine's clock is 2h30m behind") {
		t.Errorf("the status says %q", clock)
	}

	k.ahead.Store(-int64(10 * time.Minute))
	k.value(t, "3")
	k.log.await(t, "this machine's clock is 10m ahead of the API server's")
	k.ahead.Store(0)
	k.value(t, "4")
	k.log.await(t, "this machine's clock agrees with the API server's again")
}
