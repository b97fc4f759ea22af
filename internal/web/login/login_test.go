package login

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/internal/web"
	"slipway/internal/web/login/logintest"
)

// house is a site that says who asks, behind a guard, with a browser and a provider.
type house struct {
	url      string
	provider *logintest.Provider
	browser  *http.Client
	guard    *Guard

	mu     sync.Mutex
	tokens map[string]web.Person
}

func open(t *testing.T, change func(*Options)) *house {
	t.Helper()
	h := &house{tokens: map[string]web.Person{}}
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	h.url = server.URL
	h.provider = logintest.Start(server.URL + callbackPath)
	t.Cleanup(h.provider.Close)
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{URL: at, Time: time.Hour, Groups: []string{"dev"}, OIDC: &OIDC{
		Issuer: h.provider.URL, ClientID: h.provider.ClientID,
		Secret: func() (string, error) { return h.provider.Secret, nil },
	}, Review: func(_ context.Context, token string) (web.Person, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if p, ok := h.tokens[token]; ok {
			return p, nil
		}
		return web.Person{}, ErrToken
	}}
	if change != nil {
		change(&o)
	}
	if h.guard, err = New(o); err != nil {
		t.Fatal(err)
	}
	handler = h.guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := web.PersonOf(r.Context())
		fmt.Fprintf(w, "you are %q of %q at %s\n", who.Name, who.Groups, r.URL.RequestURI())
		if r.URL.Path == "/stream" {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	}))
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	h.browser = &http.Client{Jar: jar}
	return h
}

// get asks with the browser, and returns the status and the text.
func (h *house) get(t *testing.T, path string, header ...string) (int, string) {
	t.Helper()
	return h.do(t, "GET", path, nil, header...)
}

func (h *house) do(t *testing.T, method, path string, form url.Values, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, h.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := h.browser.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func (h *house) expect(t *testing.T, path string, status int, text string, header ...string) {
	t.Helper()
	if is, says := h.get(t, path, header...); is != status || !strings.Contains(says, text) {
		t.Errorf("%s: %d %s, want %d and %q", path, is, says, status, text)
	}
}

var ada = map[string]any{"email": "ada@example.com", "email_verified": true, "groups": []string{"dev",
	"admins"}}

// A person signs in at the provider, keeps the groups that count, and signs out.
func TestProvider(t *testing.T) {
	h := open(t, nil)
	h.provider.SignIn(time.Hour, ada)
	h.expect(t, "/p/shop/prod?page=2", 401, `href="/login/oidc?to=%2fp%2fshop%2fprod%3fpage%3d2"`)
	h.expect(t, "/login/oidc?to=%2fp%2fshop", 200, `you are "ada@example.com" of ["dev"] at /p/shop`)
	cookie := h.cookie(t)
	if _, says := h.do(t, "POST", "/login/out", url.Values{}); !strings.Contains(says, h.provider.URL+"/out?") {
		t.Errorf("signed out: %s", says)
	}
	h.expect(t, "/", 401, "Sign in")
	h.expect(t, "/", 401, "the session has ended", "Cookie", cookie) // a copy of it
	if asked := h.provider.Asked(); !slices.Equal(asked, []string{"authorization_code"}) {
		t.Errorf("the provider was asked %q", asked)
	}
}

// cookie is the session of the browser.
func (h *house) cookie(t *testing.T) string {
	t.Helper()
	at, err := url.Parse(h.url)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range h.browser.Jar.Cookies(at) {
		if c.Name == sessionCookie {
			return c.String()
		}
	}
	t.Fatal("no session")
	return ""
}

// A login fails where the provider says what it must not, or did not say it itself.
func TestProviderIsChecked(t *testing.T) {
	for name, c := range map[string]struct {
		claims map[string]any
		forge  func(header, claims map[string]any)
		says   string
	}{
		"no name":      {claims: map[string]any{"sub": "1"}, says: "names no user"},
		"a blank name": {claims: map[string]any{"email": " ", "sub": "1"}, says: "names no user"},
		"unverified address": {claims: map[string]any{"email": "a@b.c", "email_verified": false},
			says: "not verified"},
		"a name of Kubernetes": {claims: map[string]any{"email": "system:admin"},
			says: "must not issue"},
		"a group of Kubernetes": {claims: map[string]any{"email": "a@b.c", "groups": []string{"system:masters"}},
			says: "must not issue"},
		"another audience": {claims: ada, forge: func(_, c map[string]any) { c["aud"] = "other" },
			says: "audience"},
		"another issuer": {claims: ada, forge: func(_, c map[string]any) { c["iss"] = "http://x" },
			says: "issued by"},
		"expired":       {claims: ada, forge: func(_, c map[string]any) { c["exp"] = 1 }, says: "expired"},
		"another nonce": {claims: ada, forge: func(_, c map[string]any) { c["nonce"] = "x" }, says: "nonce"},
		"no nonce":      {claims: ada, forge: func(_, c map[string]any) { delete(c, "nonce") }, says: "nonce"},
		"unsigned":      {claims: ada, forge: func(h, _ map[string]any) { h["alg"] = "none" }, says: "failed"},
		"another key":   {claims: ada, forge: func(h, _ map[string]any) { h["kid"] = "two" }, says: "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, nil)
			h.provider.SignIn(time.Hour, c.claims)
			h.provider.Forge(c.forge)
			h.expect(t, "/login/oidc", 401, c.says)
			h.expect(t, "/", 401, "Sign in")
		})
	}
}

// A callback that this browser did not ask for does not sign in: its code would be that of an attacker.
func TestCallbackOfAnother(t *testing.T) {
	h, victim := open(t, nil), (*http.Client)(nil)
	h.provider.SignIn(time.Hour, ada)
	h.browser.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == callbackPath {
			return http.ErrUseLastResponse
		}
		return nil
	}
	r, err := h.browser.Get(h.url + "/login/oidc")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	back := r.Header.Get("Location")
	victim = &http.Client{}
	if victim.Jar, err = cookiejar.New(nil); err != nil {
		t.Fatal(err)
	}
	h.browser = victim
	h.expect(t, strings.TrimPrefix(back, h.url), 401, "was not begun here")
	h.expect(t, "/", 401, "Sign in")
	if asked := h.provider.Asked(); len(asked) > 0 {
		t.Errorf("the provider was asked %q", asked)
	}
}

// An ID token is renewed once for all requests, and a session that the provider does not renew has ended.
func TestRenewal(t *testing.T) {
	h := open(t, nil)
	h.provider.SignIn(time.Hour, ada)
	h.expect(t, "/login/oidc", 200, `you are "ada@example.com"`)
	s, err := h.guard.read(requestWith(t, h.cookie(t)))
	if err != nil {
		t.Fatal(err)
	}
	s.Fresh = time.Now().Add(-time.Second)
	old := h.sealed(t, s)
	done := make(chan int, 4)
	for range cap(done) {
		go func() {
			plain := &house{url: h.url, browser: &http.Client{}}
			status, _ := plain.get(t, "/", "Cookie", old)
			done <- status
		}()
	}
	for range cap(done) {
		if status := <-done; status != 200 {
			t.Errorf("answered %d", status)
		}
	}
	if asked := h.provider.Asked(); !slices.Equal(asked, []string{"authorization_code", "refresh_token"}) {
		t.Errorf("the provider was asked %q", asked)
	}
	h.provider.Revoke()
	s.ID = "other" // whose renewal is not known yet
	h.browser = &http.Client{}
	h.expect(t, "/", 401, "the session has ended", "Cookie", h.sealed(t, s))
}

func (h *house) sealed(t *testing.T, s session) string {
	t.Helper()
	text, err := h.guard.box.seal(sessionCookie, s)
	if err != nil {
		t.Fatal(err)
	}
	return sessionCookie + "=" + text
}

func requestWith(t *testing.T, cookie string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
	r.Header.Set("Cookie", cookie)
	return r
}

// Headers and cookies that anybody can write do not name a user.
func TestForged(t *testing.T) {
	h := open(t, func(o *Options) { o.Anonymous = true })
	h.tokens["good"], h.tokens["blank"] = web.Person{Name: "bob", Groups: []string{"dev", "ops"}},
		web.Person{Name: " "}
	ended := session{ID: "1", Person: web.Person{Name: "bob"}, Until: time.Now().Add(-time.Second),
		Token: "good"}
	unnamed := session{ID: "1", Until: time.Now().Add(time.Hour), Token: "good"}
	other := session{ID: "1", Until: time.Now().Add(time.Hour), Token: "good", Person: web.Person{Name: "root"}}
	login, err := h.guard.box.seal(loginCookie, session{ID: "1", Person: web.Person{Name: "root"},
		Until: time.Now().Add(time.Hour), Fresh: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		header []string
		status int
		says   string
	}{
		"a name of a proxy": {[]string{"X-Forwarded-User", "root"}, 200, `you are ""`},
		"an impersonated name": {[]string{"Impersonate-User", "root", "X-Remote-User", "root"}, 200,
			`you are ""`},
		"a token":                  {[]string{"Authorization", "Bearer good"}, 200, `you are "bob" of ["dev"]`},
		"a wrong token":            {[]string{"Authorization", "Bearer bad"}, 401, "not accepted"},
		"a token without a name":   {[]string{"Authorization", "Bearer blank"}, 401, "names no user"},
		"an empty token":           {[]string{"Authorization", "Bearer "}, 401, "not accepted"},
		"a made-up session":        {[]string{"Cookie", sessionCookie + "=bm90aGluZw"}, 401, "has ended"},
		"a session that ended":     {[]string{"Cookie", h.sealed(t, ended)}, 401, "has ended"},
		"a session without a name": {[]string{"Cookie", h.sealed(t, unnamed)}, 401, "has ended"},
		"another's token":          {[]string{"Cookie", h.sealed(t, other)}, 401, "has ended"},
		"another purpose":          {[]string{"Cookie", sessionCookie + "=" + login}, 401, "has ended"},
	} {
		t.Run(name, func(t *testing.T) {
			h.browser = &http.Client{}
			h.expect(t, "/", c.status, c.says, c.header...)
		})
	}
	if status, _ := h.do(t, "POST", "/p/shop/prod/plan", url.Values{}); status != 401 {
		t.Errorf("an anonymous form: %d", status)
	}
	if status, _ := h.do(t, "POST", "/login", url.Values{"token": {"good"}}, "Origin", "http://evil.example",
		"Sec-Fetch-Site", "cross-site"); status != 403 {
		t.Errorf("a form of another site: %d", status)
	}
}

// A stream ends when its session does.
func TestStreamEnds(t *testing.T) {
	h := open(t, nil)
	h.guard.every = 20 * time.Millisecond
	h.tokens["good"] = web.Person{Name: "bob"}
	if status, says := h.do(t, "POST", "/login", url.Values{"token": {"good"}}); status != 200 {
		t.Fatal(status, says)
	}
	stream, err := h.browser.Get(h.url + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	if _, err := stream.Body.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	delete(h.tokens, "good")
	h.mu.Unlock()
	if _, err := io.ReadAll(stream.Body); err != nil { // until the handler returns
		t.Fatal(err)
	}
	h.expect(t, "/stream", 401, "has ended")
}

func TestCookies(t *testing.T) {
	h := open(t, func(o *Options) { o.URL = &url.URL{Scheme: "https", Host: "slipway.example.com"} })
	h.tokens["good"] = web.Person{Name: "bob"}
	h.browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	r, err := h.browser.PostForm(h.url+"/login", url.Values{"token": {"good"}, "to": {"//evil.example"}})
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	c := r.Cookies()[0]
	if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Name != "__Host-slipway" ||
		c.Path != "/" || c.Domain != "" {
		t.Errorf("the cookie is %s", c)
	}
	if strings.Contains(c.Value, "good") || r.Header.Get("Location") != "/" {
		t.Errorf("the cookie is %s, and leads to %s", c, r.Header.Get("Location"))
	}
	if _, err := New(Options{Key: []byte("short")}); err == nil {
		t.Error("a short key was taken")
	}
}

func TestLocal(t *testing.T) {
	for address, want := range map[string]string{
		"/p/a?b=c": "/p/a?b=c", "": "/", "//evil": "/", "https://evil": "/", `/\evil`: "/", "/login/out": "/",
		"javascript:alert(1)": "/", "/\nx": "/", "p": "/",
	} {
		if got := local(address); got != want {
			t.Errorf("%q leads to %q", address, got)
		}
	}
}
