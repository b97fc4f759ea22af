package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// request asks a guarded site, as a browser that has the cookies.
func request(t *testing.T, l *Local, edit func(*http.Request), cookies ...*http.Cookie) *http.Response {
	t.Helper()
	r := httptest.NewRequest("GET", "/page", nil)
	r.Host = l.listener.Addr().String()
	for _, c := range cookies {
		r.AddCookie(c)
	}
	if edit != nil {
		edit(r)
	}
	w := httptest.NewRecorder()
	l.Guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
	return w.Result()
}

func local(t *testing.T) (*Local, *http.Cookie) {
	t.Helper()
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.listener.Close() })
	cookies := request(t, l, askFor(t, l.URL())).Cookies()
	if len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode {
		t.Fatalf("cookies: %v", cookies)
	}
	return l, cookies[0]
}

// askFor asks for the path and the query of an address.
func askFor(t *testing.T, address string) func(*http.Request) {
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return func(r *http.Request) { r.URL = u }
}

func TestGuard(t *testing.T) {
	l, cookie := local(t)
	port := l.listener.Addr().String()[strings.LastIndex(l.listener.Addr().String(), ":"):]
	for name, c := range map[string]struct {
		edit    func(*http.Request)
		cookies []*http.Cookie
		want    int
	}{
		"no cookie":        {nil, nil, 401},
		"another cookie":   {nil, []*http.Cookie{{Name: cookie.Name, Value: "x"}}, 401},
		"an empty cookie":  {nil, []*http.Cookie{{Name: cookie.Name}}, 401},
		"the token itself": {nil, []*http.Cookie{{Name: cookie.Name, Value: l.token}}, 401},
		"a wrong token":    {askFor(t, l.address("x")), nil, 401},
		"no token":         {askFor(t, l.address("")), nil, 401},
		"cookie":           {nil, []*http.Cookie{cookie}, 200},
		"localhost":        {func(r *http.Request) { r.Host = "localhost" + port }, []*http.Cookie{cookie}, 200},
		"rebound name": {func(r *http.Request) { r.Host = "evil.example" + port },
			[]*http.Cookie{cookie}, 421},
		"form of another origin": {func(r *http.Request) {
			r.Method = "POST"
			r.Header.Set("Origin", "https://evil.example")
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}, []*http.Cookie{cookie}, 403},
		"own form": {func(r *http.Request) {
			r.Method = "POST"
			r.Header.Set("Sec-Fetch-Site", "same-origin")
		}, []*http.Cookie{cookie}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			got := request(t, l, c.edit, c.cookies...)
			if got.StatusCode != c.want {
				t.Errorf("got %s, want %d", got.Status, c.want)
			}
			if p := got.Header.Get("Content-Security-Policy"); !strings.HasPrefix(p, "default-src 'none'; ") ||
				strings.Contains(p, "unsafe") {
				t.Errorf("policy %q", p)
			}
		})
	}
}

func TestTicketIsAcceptedOnce(t *testing.T) {
	l, _ := local(t)
	address := l.TicketURL()
	for i, want := range []int{200, 401} {
		if got := request(t, l, askFor(t, address)); got.StatusCode != want {
			t.Errorf("try %d: %s", i+1, got.Status)
		}
	}
	if got := request(t, l, askFor(t, l.address(""))); got.StatusCode != 401 {
		t.Errorf("the used ticket is the empty token: %s", got.Status)
	}
}

func TestForge(t *testing.T) {
	for remote, want := range map[string][2]string{
		"git@github.com:acme/shop.git": {"https://github.com/acme/shop/commit/abc",
			"https://github.com/acme/shop/blob/abc/k8s/a%20b.yaml#L7"},
		"https://gitlab.example.com/acme/shop.git": {"https://gitlab.example.com/acme/shop/-/commit/abc",
			"https://gitlab.example.com/acme/shop/-/blob/abc/k8s/a%20b.yaml#L7"},
		"ssh://git@codeberg.org/acme/shop": {"https://codeberg.org/acme/shop/commit/abc",
			"https://codeberg.org/acme/shop/src/commit/abc/k8s/a%20b.yaml#L7"},
		"https://bitbucket.org/acme/shop": {"https://bitbucket.org/acme/shop/commits/abc",
			"https://bitbucket.org/acme/shop/src/abc/k8s/a%20b.yaml#lines-7"},
		"http://127.0.0.1:3000/shop.git":   {},
		"javascript://github.com/%0aalert": {},
		"":                                 {},
	} {
		f := forgeOf(remote)
		if got := [2]string{f.Commit("abc"), f.File("abc", "k8s/a b.yaml", 7)}; got != want {
			t.Errorf("%s: got %q", remote, got)
		}
	}
}
