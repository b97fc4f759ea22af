package probe_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"slipway/internal/project"
	"slipway/internal/rollout/probe"
)

func run(t *testing.T, v project.Verification, h http.HandlerFunc) error {
	t.Helper()
	s := httptest.NewServer(h)
	defer s.Close()
	v.Timeout, v.Interval = 50*time.Millisecond, 10*time.Millisecond
	if v.HTTP != nil {
		v.HTTP.URL = s.URL + v.HTTP.URL
	} else {
		v.Prometheus.URL = s.URL
	}
	return probe.Run(t.Context(), v, nil)
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func TestHTTP(t *testing.T) {
	elsewhere := httptest.NewServer(answer(200, "ok"))
	defer elsewhere.Close()
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/end" {
				return
			}
			http.Redirect(w, r, to, http.StatusFound)
		}
	}
	for name, c := range map[string]struct {
		check project.HTTPCheck
		from  http.HandlerFunc
		want  string
	}{
		"no body":                {project.HTTPCheck{Body: "o."}, answer(204, ""), "the body does not match"},
		"any success":            {project.HTTPCheck{}, answer(204, ""), ""},
		"another status":         {project.HTTPCheck{Status: 404}, answer(404, ""), ""},
		"a wrong status":         {project.HTTPCheck{Status: 200}, answer(204, ""), "the answer is 204, want 200"},
		"a redirect to itself":   {project.HTTPCheck{}, redirect("/end"), ""},
		"a redirect that counts": {project.HTTPCheck{Status: 302}, redirect("/end"), ""},
		"to another host":        {project.HTTPCheck{}, redirect(elsewhere.URL), "the answer is 302"},
		"a loop":                 {project.HTTPCheck{}, redirect("/again"), "the answer is 302"},
		"a body without an end": {project.HTTPCheck{Body: "zzz"}, func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}, "the body does not match"},
	} {
		err := run(t, project.Verification{HTTP: &c.check}, c.from)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// Clouds answer with the credentials of the machine at a link-local address.
func TestLinkLocal(t *testing.T) {
	check := &project.HTTPCheck{Endpoint: project.Endpoint{URL: "http://169.254.169.254/latest/meta-data"}}
	err := probe.Run(t.Context(), project.Verification{HTTP: check, Timeout: time.Millisecond,
		Interval: time.Millisecond}, nil)
	if err == nil || !strings.Contains(err.Error(), "link-local") {
		t.Error(err)
	}
}

func TestPrometheus(t *testing.T) {
	one, none := 1.0, 0.0
	vector := func(values ...string) http.HandlerFunc {
		var list []string
		for _, v := range values {
			list = append(list, fmt.Sprintf(`{"metric": {}, "value": [1, %q]}`, v))
		}
		return answer(200, fmt.Sprintf(`{"status": "success", "data": {"resultType": "vector", "result": [%s]}}`,
			strings.Join(list, ",")))
	}
	for name, c := range map[string]struct {
		above, below *float64
		from         http.HandlerFunc
		want         string
	}{
		"within":          {&none, &one, vector("0.5", "0.9"), ""},
		"one is too much": {nil, &one, vector("0.5", "1"), "the value is 1, want less than 1"},
		"too little":      {&one, nil, vector("0.5"), "the value is 0.5, want more than 1"},
		"NaN":             {nil, &one, vector("NaN"), "the value is NaN"},
		"infinite":        {nil, &one, vector("+Inf"), "the value is +Inf"},
		"no value":        {nil, &one, vector(), "the query has no value"},
		"scalar": {nil, &one,
			answer(200, `{"status": "success", "data": {"resultType": "scalar", "result": [1, "0"]}}`), ""},
		"matrix": {nil, &one,
			answer(200, `{"status": "success", "data": {"resultType": "matrix", "result": []}}`), "returns a matrix"},
		"an error": {nil, &one, answer(400, `{"status": "error", "error": "bad query"}`),
			"the Prometheus server answers 400: bad query"},
		"another program": {nil, &one, answer(404, "<html>"), "the answer is 404, and not of Prometheus"},
	} {
		check := &project.PrometheusCheck{Query: "up", Above: c.above, Below: c.below}
		err := run(t, project.Verification{Prometheus: check}, c.from)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// A check passes as soon as it does, and ends with its context.
func TestRetries(t *testing.T) {
	n := 0
	v := project.Verification{HTTP: &project.HTTPCheck{Endpoint: project.Endpoint{Service: "web:80"}},
		Timeout: time.Minute, Interval: time.Millisecond}
	err := probe.Run(t.Context(), v, func(_ context.Context, service, path string) (probe.Answer, error) {
		if n++; service != "web:80" || path != "/" {
			t.Errorf("asked %s of %s", path, service)
		}
		if n < 3 {
			return probe.Answer{}, errors.New("not yet")
		}
		return probe.Answer{Status: 200}, nil
	})
	if err != nil || n != 3 {
		t.Errorf("%v after %d tries", err, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = probe.Run(ctx, v, func(context.Context, string, string) (probe.Answer, error) {
		cancel()
		return probe.Answer{}, errors.New("never")
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
