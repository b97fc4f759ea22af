package web

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"slipway/internal/deploy"
	"slipway/internal/object"
	"slipway/internal/release"
	"slipway/internal/rollout"
)

const (
	// batch is how often new lines of a log are sent, and maxBatch how many at once: a browser cannot show
	// what a flooding pod writes, and a person cannot read it.
	batch    = 250 * time.Millisecond
	maxBatch = 100
)

// serveFollow streams the new lines of a log as rows of the page's table.
func (s *Site) serveFollow(w http.ResponseWriter, r *http.Request, t deploy.Target, past release.Past) error {
	page := logsPage{Level: r.FormValue("level"), Query: strings.TrimSpace(r.FormValue("q"))}
	page.Ref, _ = workload(r, past.Latest)
	t, err := s.options.People.As(r.Context(), PersonOf(r.Context()), t)
	if err != nil {
		return err
	}
	live, found, err := t.Cluster.Get(r.Context(), page.Ref)
	if err != nil {
		return err
	}
	if !found {
		return errNoPage
	}
	w.Header().Set("Content-Type", "text/event-stream")
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	lines := make(chan logRow, maxBatch)
	var left atomic.Int64
	go func() {
		defer stop()
		options := rollout.LogOptions{Secrets: object.SecretValues(past.Latest.Objects)}
		_ = rollout.FollowLogs(ctx, t.Cluster, live, options, func(l rollout.LogLine) {
			row := logRow{l, levelOf(l.Text)}
			if !page.wants(row) {
				return
			}
			select {
			case lines <- row:
			default:
				left.Add(1)
			}
		})
	}()
	s.sendRows(ctx, w, lines, &left)
	return nil
}

// sendRows sends what has come, in batches, and how many lines were left out.
func (s *Site) sendRows(ctx context.Context, w http.ResponseWriter, lines chan logRow, left *atomic.Int64) {
	stream := http.NewResponseController(w)
	tick := time.NewTicker(batch)
	defer tick.Stop()
	fmt.Fprint(w, "retry: 3000\n\n")
	for stream.Flush() == nil {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var b bytes.Buffer
		for range len(lines) {
			if b.Len() > maxLogBytes {
				break // the others come with the next batch, or are left out
			}
			if err := s.pages["logs"].ExecuteTemplate(&b, "logline", <-lines); err != nil {
				return
			}
		}
		if n := left.Swap(0); n > 0 {
			fmt.Fprintf(&b, `<tr class="left"><td></td><td></td><td class="text">… %d lines left out</td></tr>`, n)
		}
		if b.Len() > 0 {
			fmt.Fprintf(w, "event: rows\ndata: %s\n\n", strings.ReplaceAll(b.String(), "\n", "\ndata: "))
		} else {
			fmt.Fprint(w, ": \n\n")
		}
	}
}
