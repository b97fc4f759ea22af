package agent

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// counters are the figures of this process since its start.
type counters struct {
	mu         sync.Mutex
	verdicts   map[[2]string]int // by environment and verdict
	repaired   map[string]int
	gitQueries map[string]int        // by repository
	renders    map[string]int        // by environment, repeated ones included
	requests   map[[2]string]int     // to API servers, by method and status
	healthy    map[string]*histogram // from a commit seen to healthy, by environment
	passes     map[string]*histogram // by environment
}

func newCounters() *counters {
	return &counters{
		verdicts: map[[2]string]int{}, repaired: map[string]int{}, gitQueries: map[string]int{},
		renders: map[string]int{}, requests: map[[2]string]int{}, healthy: map[string]*histogram{},
		passes: map[string]*histogram{},
	}
}

func (c *counters) update(change func(*counters)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
}

// histogram counts durations.
type histogram struct {
	upTo  []float64 // seconds, ascending
	in    []int     // as many; longer ones are only in count
	count int
	sum   float64
}

var (
	// deployTimes are from a commit seen to its healthy release, passTimes those of a pass.
	deployTimes = []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800}
	passTimes   = []float64{0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120, 600}
)

// observe adds a duration to the histogram of a label.
func observe(all map[string]*histogram, label string, upTo []float64, d time.Duration) {
	h := all[label]
	if h == nil {
		h = &histogram{upTo: upTo, in: make([]int, len(upTo))}
		all[label] = h
	}
	h.count++
	h.sum += d.Seconds()
	for i, limit := range upTo {
		if d.Seconds() <= limit {
			h.in[i]++
		}
	}
}

// page writes the text format of Prometheus.
type page struct{ w io.Writer }

func (p page) header(name, kind, help string) {
	fmt.Fprintf(p.w, "# HELP %s %s\n# TYPE %[1]s %[3]s\n", name, help, kind)
}

// counters writes one series for each key, whose parts are the values of the labels.
func (p page) counters(name, help string, labels []string, values map[[2]string]int) {
	p.header(name, "counter", help)
	keys := slices.SortedFunc(maps.Keys(values), func(x, y [2]string) int {
		return strings.Compare(x[0]+"\x00"+x[1], y[0]+"\x00"+y[1])
	})
	for _, k := range keys {
		var set []string
		for i, label := range labels {
			set = append(set, label+"="+quote(k[i]))
		}
		fmt.Fprintf(p.w, "%s{%s} %d\n", name, strings.Join(set, ","), values[k])
	}
}

func (p page) histograms(name, help string, all map[string]*histogram) {
	p.header(name, "histogram", help)
	for _, label := range slices.Sorted(maps.Keys(all)) {
		h, env := all[label], quote(label)
		for i, limit := range h.upTo {
			fmt.Fprintf(p.w, "%s_bucket{environment=%s,le=\"%g\"} %d\n", name, env, limit, h.in[i])
		}
		fmt.Fprintf(p.w, "%s_bucket{environment=%s,le=\"+Inf\"} %d\n", name, env, h.count)
		fmt.Fprintf(p.w, "%s_sum{environment=%s} %g\n", name, env, h.sum)
		fmt.Fprintf(p.w, "%s_count{environment=%s} %d\n", name, env, h.count)
	}
}

var escapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// quote writes the value of a label.
func quote(text string) string { return `"` + escapes.Replace(text) + `"` }

// single makes keys of one label.
func single(values map[string]int) map[[2]string]int {
	out := map[[2]string]int{}
	for k, n := range values {
		out[[2]string{k}] = n
	}
	return out
}

func (a endpoints) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	p := page{w}
	p.header("slipway_environment_info", "gauge", "State of each environment.")
	for _, s := range a.Statuses() {
		fmt.Fprintf(w, "slipway_environment_info{environment=%s,verdict=%s,commit=%s,applied=%s,"+
			"release=\"%d\"} 1\n", quote(s.Environment), quote(string(s.Verdict)), quote(s.Seen), quote(s.Applied),
			s.Release)
	}
	c := a.counters
	c.mu.Lock()
	defer c.mu.Unlock()
	environment := []string{"environment"}
	p.counters("slipway_verdict_total", "Verdicts on commits.", []string{"environment", "verdict"}, c.verdicts)
	p.counters("slipway_drift_repaired_total", "Fields and objects that were repaired.", environment,
		single(c.repaired))
	p.counters("slipway_renders_total", "Renders of an environment.", environment, single(c.renders))
	p.counters("slipway_git_requests_total", "Polls of repositories.", []string{"repository"},
		single(c.gitQueries))
	p.counters("slipway_api_requests_total", "Attempted requests to API servers; code 0: no response.",
		[]string{"method", "code"}, c.requests)
	p.histograms("slipway_commit_to_healthy_seconds",
		"Time from the first sight of a commit to its healthy release.", c.healthy)
	p.histograms("slipway_reconcile_seconds", "Duration of a pass, deploys included.", c.passes)
}

// countRequest counts a try of a request to an API server.
func (a *Agent) countRequest(method string, status int) {
	a.counters.update(func(c *counters) { c.requests[[2]string{method, strconv.Itoa(status)}]++ })
}
