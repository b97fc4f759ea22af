package agent

import (
	"log/slog"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Each metric is in the table of docs/gitops.md, with its labels, and no other one is.
func TestMetricsTable(t *testing.T) {
	a := New(Config{}, Options{Log: slog.New(slog.DiscardHandler)})
	a.setFollowers([]*follower{{environments: []*environment{{state: &state{reporter: &reporter{
		entry: entry{agent: a}, status: Status{Environment: "prod", Verdict: Synced},
	}}}}}})
	a.countRequest("GET", 200)
	a.counters.update(func(c *counters) {
		c.verdicts[[2]string{"prod", "synced"}]++
		c.repaired["prod"], c.renders["prod"], c.gitQueries["https://example.com/\"a\""] = 1, 1, 1
		observe(c.healthy, "prod", deployTimes, 3*time.Second)
		observe(c.healthy, "prod", deployTimes, 3*time.Hour)
		observe(c.passes, "prod", passTimes, time.Millisecond)
	})
	answer := httptest.NewRecorder()
	endpoints{a}.serveMetrics(answer, nil)
	text := answer.Body.String()
	for _, line := range []string{
		`slipway_git_requests_total{repository="https://example.com/\"a\""} 1`,
		`slipway_commit_to_healthy_seconds_bucket{environment="prod",le="2"} 0`,
		`slipway_commit_to_healthy_seconds_bucket{environment="prod",le="5"} 1`,
		`slipway_commit_to_healthy_seconds_bucket{environment="prod",le="+Inf"} 2`,
		`slipway_commit_to_healthy_seconds_sum{environment="prod"} 10803`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
	doc, err := os.ReadFile("../../docs/gitops.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(slipway_\\w+)` \\| (\\w+) \\| ([^|]*) \\|").FindAllStringSubmatch(
		string(doc), -1) {
		rows[m[1]] = m[2] + " " + m[3]
	}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\w+) (\w+)\n\w+\{(.*)\}`).FindAllStringSubmatch(text, -1) {
		var labels []string
		for _, l := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(m[3], -1) {
			if l[1] != "le" {
				labels = append(labels, l[1])
			}
		}
		if want := m[2] + " " + strings.Join(labels, ", "); rows[m[1]] != want {
			t.Errorf("docs/gitops.md says of %s %q, want %q", m[1], rows[m[1]], want)
		}
		delete(rows, m[1])
	}
	for name := range rows {
		t.Errorf("docs/gitops.md has %s, which is not served", name)
	}
}
