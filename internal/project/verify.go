package project

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Verification is a check of the project's own, after all objects of a release are healthy. One of HTTP,
// Prometheus and Job is set.
type Verification struct {
	// Name is for people; empty: what is asked.
	Name       string
	HTTP       *HTTPCheck
	Prometheus *PrometheusCheck
	// Job is a file with the manifest of one Job, which runs to its end.
	Job string
	// Timeout is how long it may take until HTTP or Prometheus passes, and Interval the pause between two tries.
	Timeout, Interval time.Duration
	Line              int
}

// Endpoint is the address of a server: a URL, or a path or query at a port of a Service of the cluster,
// which is reached through the API server.
type Endpoint struct {
	URL string
	// Service is "NAME:PORT", in the namespace of the environment, or "NAME.NAMESPACE:PORT".
	Service string
	// Path begins with a slash; it goes with Service.
	Path string
}

// HTTPCheck passes when a GET has the status, and a body that matches.
type HTTPCheck struct {
	Endpoint
	Status int    // 0: any of 200 to 299
	Body   string // a regular expression; empty: any
}

// PrometheusCheck passes when all values of a query are within the bounds, of which at least one is set.
type PrometheusCheck struct {
	Endpoint
	Query        string
	Above, Below *float64
}

const (
	defaultVerifyTimeout  = time.Minute
	defaultVerifyInterval = 2 * time.Second
)

var (
	serviceAddress = newPattern(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)?:[a-z0-9-]+$`,
		"NAME:PORT or NAME.NAMESPACE:PORT, such as web:80")
	absolutePath = newPattern(`^/\S*$`, "a path that begins with a slash")
	httpAddress  = newPattern(`^https?://[^/\s@]+(/\S*)?$`,
		"an address such as https://shop.example.com/healthz, without credentials")
)

func (r *reader) verification(env *Environment, n *yaml.Node) error {
	v := Verification{Line: n.Line, Timeout: defaultVerifyTimeout, Interval: defaultVerifyInterval}
	err := r.fields(n, "a verification", map[string]func(*yaml.Node) error{
		"name":       r.text(&v.Name, "name", nil),
		"http":       func(n *yaml.Node) error { return r.httpCheck(&v, n) },
		"prometheus": func(n *yaml.Node) error { return r.prometheusCheck(&v, n) },
		"job":        func(n *yaml.Node) error { return env.keep(r.within(&v.Job, "job", false)(n)) },
		"timeout":    r.duration(&v.Timeout, "timeout"),
		"interval":   r.duration(&v.Interval, "interval"),
	})
	if err != nil {
		return err
	}
	kinds := 0
	for _, is := range []bool{v.HTTP != nil, v.Prometheus != nil, v.Job != ""} {
		if is {
			kinds++
		}
	}
	if kinds != 1 {
		return r.fail(n, "a verification needs one of http, prometheus and job")
	}
	if v.Job != "" {
		env.Paths = append(env.Paths, v.Job)
	}
	env.Verify = append(env.Verify, v)
	return nil
}

// endpoint returns the keys of an address, and what checks them together.
func (r *reader) endpoint(e *Endpoint) (
	keys map[string]func(*yaml.Node) error, check func(*yaml.Node) error,
) {
	keys = map[string]func(*yaml.Node) error{
		"url": r.text(&e.URL, "url", httpAddress), "service": r.text(&e.Service, "service", serviceAddress),
		"path": r.text(&e.Path, "path", absolutePath),
	}
	return keys, func(n *yaml.Node) error {
		_, err := url.Parse(e.URL)
		switch {
		case (e.URL == "") == (e.Service == ""):
			return r.fail(n, "want either url or service")
		case err != nil:
			return r.fail(n, "url: %w", err)
		case e.URL != "" && e.Path != "":
			return r.fail(n, "path goes with service: write it into the url")
		}
		return nil
	}
}

func (r *reader) httpCheck(v *Verification, n *yaml.Node) error {
	c := &HTTPCheck{}
	keys, check := r.endpoint(&c.Endpoint)
	keys["status"] = func(n *yaml.Node) error {
		status, err := strconv.Atoi(n.Value)
		if err != nil || status < 100 || status > 599 {
			return r.fail(n, "invalid status %q: want a number such as 200", n.Value)
		}
		c.Status = status
		return nil
	}
	keys["body"] = func(n *yaml.Node) error {
		if err := r.text(&c.Body, "body", nil)(n); err != nil {
			return err
		}
		if _, err := regexp.Compile(c.Body); err != nil {
			return r.fail(n, "invalid body %q: %w", c.Body, err)
		}
		return nil
	}
	if err := r.fields(n, "http", keys); err != nil {
		return err
	}
	v.HTTP = c
	return check(n)
}

func (r *reader) prometheusCheck(v *Verification, n *yaml.Node) error {
	c := &PrometheusCheck{}
	keys, check := r.endpoint(&c.Endpoint)
	keys["query"] = r.text(&c.Query, "query", nil)
	keys["above"], keys["below"] = r.number(&c.Above, "above"), r.number(&c.Below, "below")
	if err := r.fields(n, "prometheus", keys); err != nil {
		return err
	}
	switch {
	case c.Query == "":
		return r.fail(n, "prometheus needs a query")
	case c.Above == nil && c.Below == nil:
		return r.fail(n, "prometheus needs above or below: the bounds of the values")
	}
	v.Prometheus = c
	return check(n)
}

func (r *reader) number(into **float64, what string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		f, err := strconv.ParseFloat(n.Value, 64)
		if err != nil || strings.ContainsAny(n.Value, "nN") {
			return r.fail(n, "invalid %s %q: want a number", what, n.Value)
		}
		*into = &f
		return nil
	}
}

// Title names a verification: "smoke", or "GET https://shop.example.com/healthz".
func (v Verification) Title() string {
	switch {
	case v.Name != "":
		return v.Name
	case v.HTTP != nil:
		return "GET " + v.HTTP.String()
	case v.Prometheus != nil:
		return v.Prometheus.Query
	}
	return v.Job
}

// String is the URL, or "web:80/healthz".
func (e Endpoint) String() string { return e.URL + e.Service + e.Path }
