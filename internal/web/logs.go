package web

import (
	"html/template"
	"net/http"
	"slices"
	"strings"

	"slipway/internal/deploy"
	"slipway/internal/lazyregexp"
	"slipway/internal/object"
	"slipway/internal/release"
	"slipway/internal/rollout"
)

// logsPage is the end of the logs of a workload.
type logsPage struct {
	place
	Workloads []object.Ref
	Ref       object.Ref
	// Previous: of the containers before their last restart. Level and Query are the filter.
	Previous     bool
	Level, Query string
	Lines        []logRow
	// Read counts the lines before the filter, Left those that the page has no room for.
	Read, Left int
	rollout.Tail
	Fault *fault
}

type logRow struct {
	rollout.LogLine
	Level string
}

// maxLogRows is how many lines the page shows, and maxLogBytes how many bytes of HTML they have at most: the
// last ones.
const (
	maxLogRows  = 500
	maxLogBytes = 250_000
	rowBytes    = 250 // of a row without its text
)

func (s *Site) serveLogs(w http.ResponseWriter, r *http.Request, t deploy.Target, past release.Past) error {
	page := logsPage{place: placeOf(t), Previous: r.FormValue("previous") != "", Level: r.FormValue("level"),
		Query: strings.TrimSpace(r.FormValue("q"))}
	page.Ref, page.Workloads = workload(r, past.Latest)
	if page.Ref.Name != "" {
		page.read(s, r, t, past.Latest)
	}
	s.show(w, r, http.StatusOK, "logs", viewOf(t.Source, t.Environment.Name, "logs", page))
	return nil
}

// workload returns the workload that a request names, or the first one, and all of them.
func workload(r *http.Request, rel release.Release) (chosen object.Ref, all []object.Ref) {
	for _, o := range rel.Objects.Objects() {
		if _, _, runs := o.PodSpec(); runs && o.Ref().Kind != "CronJob" {
			all = append(all, o.Ref())
		}
	}
	kind, name, _ := strings.Cut(r.FormValue("workload"), "/")
	for _, ref := range all {
		if ref.Kind == kind && ref.Name == name {
			return ref, all
		}
	}
	if name == "" && len(all) > 0 {
		return all[0], all
	}
	return object.Ref{}, all
}

func (p *logsPage) read(s *Site, r *http.Request, t deploy.Target, rel release.Release) {
	var live object.Object
	found := false
	t, err := s.options.People.As(r.Context(), PersonOf(r.Context()), t)
	if err == nil {
		live, found, err = t.Cluster.Get(r.Context(), p.Ref)
	}
	if err == nil && found {
		p.Tail, err = rollout.ReadLogs(r.Context(), t.Cluster, live, rollout.LogOptions{
			Previous: p.Previous, Secrets: object.SecretValues(rel.Objects),
		})
	}
	if err != nil {
		p.Fault = s.fault(err)
		return
	}
	p.Read = len(p.Tail.Lines)
	for _, l := range p.Tail.Lines {
		if row := (logRow{l, levelOf(l.Text)}); p.wants(row) {
			p.Lines = append(p.Lines, row)
		}
	}
	p.Left = max(0, len(p.Lines)-maxLogRows)
	room := maxLogBytes
	for i := len(p.Lines) - 1; i >= p.Left; i-- {
		if room -= rowBytes + len(template.HTMLEscapeString(p.Lines[i].Text)); room < 0 {
			p.Left = i + 1
		}
	}
	p.Lines = p.Lines[p.Left:]
}

// wants says that a line passes the filter.
func (p *logsPage) wants(l logRow) bool {
	atLeast := slices.Index(levels, p.Level)
	return (atLeast < 0 || slices.Index(levels, l.Level) >= atLeast) &&
		strings.Contains(strings.ToLower(l.Text), strings.ToLower(p.Query))
}

// levels are those of log lines, the least serious first. A line without one counts as info.
var levels = []string{"debug", "info", "warn", "error"}

// levelWord finds the level in the usual forms: level=warn, "level":"warn", [WARN], WARN, and glog's W1130.
var levelWord = lazyregexp.New(`(?i)^(?:.{0,80}?)(?:\blevel"?[=:]\s*"?|\[|^|\s)` +
	`(debug|trace|info|warn|error|fatal|panic|critical)(?:ing)?\b`)

func levelOf(text string) string {
	m := levelWord().FindStringSubmatch(text)
	if m == nil {
		return "info"
	}
	switch word := strings.ToLower(m[1]); word {
	case "trace":
		return "debug"
	case "fatal", "panic", "critical":
		return "error"
	default:
		return word
	}
}
