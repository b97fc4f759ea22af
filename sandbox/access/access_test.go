package access_test

import (
	"net/http/httptest"
	"testing"

	"slipway/sandbox/access"
)

func TestAllowed(t *testing.T) {
	guarded := access.Rule{User: "ann", Password: "secret"}
	for name, c := range map[string]struct {
		rule           access.Rule
		repo           string
		user, password string
		want           bool
	}{
		"open":                                  {access.Rule{}, "myapp", "", "", true},
		"open, wrong credentials":               {access.Rule{}, "myapp", "x", "y", true},
		"open, service":                         {access.Rule{}, "", "", "", true},
		"private without credentials":           {access.Rule{}, "private/myapp", "", "", false},
		"private with wrong password":           {access.Rule{}, "private/myapp", "sandbox", "nope", false},
		"private with its credentials":          {access.Rule{}, "private/myapp", "sandbox", "sandbox", true},
		"a name that only looks private":        {access.Rule{}, "privateer/myapp", "", "", true},
		"guarded without credentials":           {guarded, "myapp", "", "", false},
		"guarded, service":                      {guarded, "", "", "", false},
		"guarded, service, private's":           {guarded, "", "sandbox", "sandbox", true},
		"guarded, private's":                    {guarded, "myapp", "sandbox", "sandbox", false},
		"guarded with its credentials":          {guarded, "myapp", "ann", "secret", true},
		"guarded, private, general":             {guarded, "private/myapp", "ann", "secret", true},
		"open rule is no credential of its own": {access.Rule{}, "private/myapp", "", "x", false},
	} {
		t.Run(name, func(t *testing.T) {
			req := httptest.NewRequest("GET", "/", nil)
			if c.user != "" || c.password != "" {
				req.SetBasicAuth(c.user, c.password)
			}
			if got := c.rule.Allowed(req, c.repo); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestParseRule(t *testing.T) {
	for in, want := range map[string]bool{"": true, "a:b": true, "a:b:c": true, "a": false,
		":b": false, "a:": false} {
		if _, ok := access.ParseRule(in); ok != want {
			t.Errorf("%q: %v", in, ok)
		}
	}
}
