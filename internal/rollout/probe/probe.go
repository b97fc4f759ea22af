// Package probe asks the checks of a project's own whether a release that is healthy works: by HTTP, and by
// queries of Prometheus. It only reads, follows no redirect to another host, and bounds what it reads.
package probe

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"slipway/internal/project"
	"slipway/internal/words"
)

const (
	tryTime      = 10 * time.Second // for one answer
	maxBody      = 256 << 10
	maxRedirects = 5
	maxLines     = 10 // of an answer in evidence
	maxLine      = 200
)

// Answer is an answer of a server.
type Answer struct {
	Status int
	Body   []byte
}

// ServiceFunc gets a path at a port of a Service, through the API server.
type ServiceFunc func(ctx context.Context, service, path string) (Answer, error)

// FailedError says that a check did not pass in its time.
type FailedError struct {
	Check project.Verification
	Tries int
	// Why says what the last try found, and Response has the lines of its answer.
	Why      string
	Response []string
}

func (e *FailedError) Error() string {
	return e.Check.Title() + ": " + e.Reason()
}

// Reason says what the last attempt found, and how many there were:
// "the answer is 503, want 200 to 299 (4 attempts in 1m)".
func (e *FailedError) Reason() string {
	return fmt.Sprintf("%s (%s in %s)", e.Why, words.Count(e.Tries, "attempt"), words.Duration(e.Check.Timeout))
}

// Run tries a check until it passes, and fails with a *FailedError after its timeout. A Job is not its
// concern.
func Run(ctx context.Context, check project.Verification, service ServiceFunc) error {
	deadline := time.NewTimer(check.Timeout)
	defer deadline.Stop()
	tick := time.NewTicker(check.Interval)
	defer tick.Stop()
	p := prober{service: service, client: newClient(check)}
	for tries := 1; ; tries++ {
		answer, err := p.try(ctx, check)
		if err == nil {
			return nil
		}
		failed := &FailedError{Check: check, Tries: tries, Why: err.Error(), Response: lines(answer.Body)}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-deadline.C:
			return failed
		default:
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-deadline.C:
			return failed
		case <-tick.C:
		}
	}
}

type prober struct {
	service ServiceFunc
	client  *http.Client
}

func (p prober) try(ctx context.Context, check project.Verification) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	if check.HTTP != nil {
		answer, err := p.get(ctx, check.HTTP.Endpoint)
		if err != nil {
			return answer, err
		}
		return answer, judgeHTTP(*check.HTTP, answer)
	}
	at := check.Prometheus.Endpoint
	at.URL = strings.TrimSuffix(at.URL, "/")
	query := "/api/v1/query?" + url.Values{"query": {check.Prometheus.Query}}.Encode()
	if at.Service != "" {
		at.Path = strings.TrimSuffix(at.Path, "/") + query
	} else {
		at.URL += query
	}
	answer, err := p.get(ctx, at)
	if err != nil {
		return answer, err
	}
	return answer, judgePrometheus(*check.Prometheus, answer)
}

func (p prober) get(ctx context.Context, at project.Endpoint) (Answer, error) {
	if at.Service != "" {
		return p.service(ctx, at.Service, cmp.Or(at.Path, "/"))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.URL, nil)
	if err != nil {
		return Answer{}, err
	}
	request.Header.Set("User-Agent", "slipway")
	response, err := p.client.Do(request)
	if err != nil {
		if failed := (*url.Error)(nil); errors.As(err, &failed) {
			err = failed.Err // the address is in the title of the check
		}
		return Answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	return Answer{response.StatusCode, body}, err
}

// newClient returns a client that follows redirects on the same host alone, and none where the check wants
// one. It does not reach link-local addresses: clouds have the credentials of a machine there, and the
// author of slipway.yaml could read them in the evidence.
func newClient(check project.Verification) *http.Client {
	dialer := &net.Dialer{Timeout: tryTime, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err == nil && (at.Addr().Unmap().IsLinkLocalUnicast() || at.Addr().IsUnspecified()) {
			return fmt.Errorf("%s is a link-local address, which is not allowed", at.Addr())
		}
		return err
	}}
	wants := check.HTTP != nil && check.HTTP.Status >= 300 && check.HTTP.Status < 400
	return &http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext,
			TLSHandshakeTimeout: tryTime, DisableKeepAlives: true},
		CheckRedirect: func(next *http.Request, before []*http.Request) error {
			if wants || len(before) > maxRedirects || next.URL.Host != before[0].URL.Host ||
				next.URL.Scheme != before[0].URL.Scheme {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}
}

func judgeHTTP(c project.HTTPCheck, a Answer) error {
	switch {
	case c.Status != 0 && a.Status != c.Status:
		return fmt.Errorf("the answer is %d, want %d", a.Status, c.Status)
	case c.Status == 0 && (a.Status < 200 || a.Status > 299):
		return fmt.Errorf("the answer is %d, want 200 to 299", a.Status)
	case c.Body == "":
		return nil
	}
	matches, err := regexp.Match(c.Body, a.Body)
	if err == nil && !matches {
		err = fmt.Errorf("the body does not match %q", c.Body)
	}
	return err
}

// judgePrometheus fails unless the query has values, and all of them are within the bounds.
func judgePrometheus(c project.PrometheusCheck, a Answer) error {
	var said struct {
		Status, Error string
		Data          struct {
			ResultType string
			Result     json.RawMessage
		}
	}
	if err := json.Unmarshal(a.Body, &said); err != nil {
		return fmt.Errorf("the answer is %d, and not of Prometheus", a.Status)
	}
	if said.Status != "success" {
		return fmt.Errorf("the Prometheus server answers %d: %s", a.Status, said.Error)
	}
	values, err := valuesOf(said.Data.ResultType, said.Data.Result)
	if err != nil {
		return err
	}
	if len(values) == 0 {
		return errors.New("the query has no value")
	}
	for _, text := range values {
		v, err := strconv.ParseFloat(text, 64)
		switch {
		case err != nil:
			return fmt.Errorf("the value is %q", text)
		case v != v:
			return errors.New("the value is NaN")
		case c.Below != nil && v >= *c.Below:
			return fmt.Errorf("the value is %s, want less than %g", text, *c.Below)
		case c.Above != nil && v <= *c.Above:
			return fmt.Errorf("the value is %s, want more than %g", text, *c.Above)
		}
	}
	return nil
}

// valuesOf are the values of a scalar or a vector: [TIME, "VALUE"].
func valuesOf(kind string, result json.RawMessage) ([]string, error) {
	type sample [2]any
	var all []sample
	switch kind {
	case "scalar":
		var one sample
		if err := json.Unmarshal(result, &one); err != nil {
			return nil, err
		}
		all = append(all, one)
	case "vector":
		var series []struct{ Value sample }
		if err := json.Unmarshal(result, &series); err != nil {
			return nil, err
		}
		for _, s := range series {
			all = append(all, s.Value)
		}
	default:
		return nil, fmt.Errorf("the query returns a %s, want a scalar or an instant vector", kind)
	}
	var values []string
	for _, s := range all {
		text, _ := s[1].(string)
		values = append(values, text)
	}
	return values, nil
}

// lines are the first lines of an answer, as far as they are text.
func lines(body []byte) []string {
	var list []string
	for line := range strings.Lines(strings.ToValidUTF8(string(body), "�")) {
		line = strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return -1
			}
			return r
		}, line)
		if r := []rune(line); len(r) > maxLine {
			line = string(r[:maxLine]) + "…"
		}
		if list = append(list, line); len(list) == maxLines {
			break
		}
	}
	return list
}
