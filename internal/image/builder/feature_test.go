package builder

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/image/imagetest"
)

// An engine without a cache of its own finds the steps in a folder, or in the image itself.
func TestCaches(t *testing.T) {
	host := imagetest.Start(t)
	for name, cache := range map[string]Cache{
		"folder":   {Local: filepath.Join(t.TempDir(), "cache")},
		"registry": {Registry: host + "/cache:myapp"},
		"github":   {GitHub: true, Local: filepath.Join(t.TempDir(), "cache")},
	} {
		t.Run(name, func(t *testing.T) {
			var said []string
			r := Request{
				Context: write(t, t.TempDir(), map[string]string{"Dockerfile": "FROM scratch\nCOPY a /\nCOPY b /\n",
					"a": "1", "b": "1"}),
				Repository: host + "/" + name, Cache: cache, Notify: func(s string) { said = append(said, s) },
			}
			var shown strings.Builder
			for range 2 {
				shown.Reset()
				r.Progress, r.Plain = &shown, true
				if _, err := open(t, Options{}).Build(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
			if !strings.Contains(shown.String(), "CACHED") {
				t.Error("steps were done again:\n", shown.String())
			}
			if cache.GitHub != (len(said) == 2) {
				t.Errorf("said %q", said)
			}
		})
	}
}

func TestAnew(t *testing.T) {
	b, host := open(t, Options{}), imagetest.Start(t)
	var shown strings.Builder
	r := Request{
		Context:    write(t, t.TempDir(), map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}),
		Repository: host + "/myapp", Progress: &shown, Plain: true,
	}
	for i, cached := range []bool{false, true, false} {
		shown.Reset()
		r.Anew = i == 2
		if _, err := b.Build(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(shown.String(), "CACHED") != cached {
			t.Errorf("build %d: cached %v:\n%s", i, !cached, shown.String())
		}
	}
}

func TestWhatIsLent(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", "")
	for want, r := range map[string]Request{
		"secret a: the environment variable SLIPWAY_NOT_SET is not set": {Secrets: []Secret{{ID: "a",
			Env: "SLIPWAY_NOT_SET"}}},
		"secret b: stat nothere: no such file or directory": {Secrets: []Secret{{ID: "b", File: "nothere"}}},
		"ssh: no SSH agent: SSH_AUTH_SOCK is not set":       {SSH: true},
	} {
		_, err := r.lent()
		if e := (*SecretError)(nil); !errors.As(err, &e) || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
