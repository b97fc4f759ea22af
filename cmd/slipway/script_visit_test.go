package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"slipway/internal/web/login/logintest"
)

// visitHost is the address of the web UI in the configurations of scripts: `visit` finds the agent there.
const visitHost = "http://slipway.test"

// visitors are the browsers of scripts, and providers where their people sign in.
var visitors = struct {
	sync.Mutex
	jars      map[string]http.CookieJar
	providers map[string]*logintest.Provider
}{jars: map[string]http.CookieJar{}, providers: map[string]*logintest.Provider{}}

var listening = regexp.MustCompile(`listening on ([0-9.:]+)`)

// cmdVisit prints a page of the web UI of an agent, whose log is in FILE, and how it was answered:
//
//	visit LOG WHO PATH [FIELD=VALUE...]
//
// WHO is a browser that keeps its cookies, or "header:NAME: VALUE" for a request with that header. With
// fields a form is sent, whose values are those of formOf. With ! the answer must be an error.
func cmdVisit(ts *testscript.TestScript, neg bool, args []string) {
	answer, text := askAgent(ts, args)
	fmt.Fprintf(ts.Stdout(), "%s %s\n%s", answer.Status, answer.Request.URL.Path, text)
	if isError := answer.StatusCode >= 400; isError != neg {
		ts.Fatalf("%s answers with %s", args[2], answer.Status)
	}
}

// askAgent sends the request of cmdVisit.
func askAgent(ts *testscript.TestScript, args []string) (*http.Response, string) {
	if len(args) < 3 {
		ts.Fatalf("usage: visit LOG WHO PATH [FIELD=VALUE...]")
	}
	found := listening.FindStringSubmatch(ts.ReadFile(args[0]))
	if found == nil {
		ts.Fatalf("%s does not say where the agent listens", args[0])
	}
	method, body := "GET", ""
	if len(args) > 3 {
		method, body = "POST", formOf(ts, args[3:]).Encode()
	}
	r, err := http.NewRequest(method, visitHost+args[2], strings.NewReader(body))
	ts.Check(err)
	if method == "POST" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	client := &http.Client{Transport: &http.Transport{DialContext: func(
		ctx context.Context, network, address string,
	) (net.Conn, error) {
		if address == "slipway.test:80" {
			address = found[1]
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}, DisableKeepAlives: true}}
	if header, ok := strings.CutPrefix(args[1], "header:"); ok {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, strings.TrimSpace(value))
	} else {
		client.Jar = jarOf(ts.Getenv("WORK") + " " + args[1])
	}
	answer, err := client.Do(r)
	ts.Check(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	ts.Check(err)
	return answer, string(text)
}

// formOf reads FIELD=VALUE. The value "@FILE" is that of the hidden field of a page in FILE, or the text of
// another file.
func formOf(ts *testscript.TestScript, args []string) url.Values {
	form := url.Values{}
	for _, a := range args {
		name, value, _ := strings.Cut(a, "=")
		if file, ok := strings.CutPrefix(value, "@"); ok {
			value = fieldOf(ts.ReadFile(file), name)
		}
		form.Add(name, value)
	}
	return form
}

func fieldOf(text, name string) string {
	if m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return strings.TrimSpace(text)
}

func jarOf(name string) http.CookieJar {
	visitors.Lock()
	defer visitors.Unlock()
	if visitors.jars[name] == nil {
		visitors.jars[name], _ = cookiejar.New(nil)
	}
	return visitors.jars[name]
}

// cmdProvider starts an OpenID Connect provider, whose address is put into ISSUER and the secret of whose
// client into FILE, or says who signs in there next:
//
//	provider start FILE
//	provider user CLAIMS
func cmdProvider(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: provider start FILE, or provider user CLAIMS")
	}
	work := ts.Getenv("WORK")
	visitors.Lock()
	defer visitors.Unlock()
	if args[0] == "start" {
		p := logintest.Start(visitHost + "/login/callback")
		ts.Defer(p.Close)
		visitors.providers[work] = p
		ts.Setenv("ISSUER", p.URL)
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(p.Secret), 0o600))
		return
	}
	var claims map[string]any
	ts.Check(json.Unmarshal([]byte(args[1]), &claims))
	visitors.providers[work].SignIn(time.Hour, claims)
}
