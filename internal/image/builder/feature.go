package builder

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/moby/buildkit/session/sshforward/sshprovider"
)

// Secret is an environment variable or a file that RUN can mount by name, and that is not part of the image.
type Secret struct{ ID, Env, File string }

// Cache is where builds on different machines share the results of their steps.
type Cache struct {
	Registry string // a reference, as it is really reached
	Local    string // folder
	Inline   bool   // in the image itself
	From     string // an image that may hold an inline cache
	GitHub   bool   // GitHub Actions' cache, where this runs in it
}

// SecretError says that a secret or the SSH agent is missing.
type SecretError struct {
	What string // "secret npm"
	Err  error
}

func (e *SecretError) Error() string { return e.What + ": " + e.Err.Error() }
func (e *SecretError) Unwrap() error { return e.Err }

// AttestationError says why an SBOM or a provenance cannot be made.
type AttestationError struct{ Reason string }

func (e *AttestationError) Error() string { return "cannot make attestations: " + e.Reason }

func (r Request) attested() bool { return r.Provenance != "" || r.SBOM != "" }

// lent are the secrets and the SSH agent of this machine, for the build session.
func (r Request) lent() ([]session.Attachable, error) {
	var out []session.Attachable
	var sources []secretsprovider.Source
	for _, s := range r.Secrets {
		if _, set := os.LookupEnv(s.Env); s.Env != "" && !set {
			return nil, &SecretError{"secret " + s.ID, fmt.Errorf("the environment variable %s is not set", s.Env)}
		}
		if s.File != "" {
			if _, err := os.Stat(s.File); err != nil {
				return nil, &SecretError{"secret " + s.ID, err}
			}
		}
		sources = append(sources, secretsprovider.Source{ID: s.ID, Env: s.Env, FilePath: s.File})
	}
	if len(sources) > 0 {
		store, err := secretsprovider.NewStore(sources)
		if err != nil {
			return nil, err
		}
		out = append(out, secretsprovider.NewSecretProvider(store))
	}
	if r.SSH {
		if os.Getenv("SSH_AUTH_SOCK") == "" {
			return nil, &SecretError{"ssh", errors.New("no SSH agent: SSH_AUTH_SOCK is not set")}
		}
		agent, err := sshprovider.NewSSHAgentProvider([]sshprovider.AgentConfig{{ID: "default"}})
		if err != nil {
			return nil, &SecretError{"ssh", err}
		}
		out = append(out, agent)
	}
	return out, nil
}

// cache sets where steps are cached. A cache may be missing.
func (b *Builder) cache(r Request) (exports, imports []client.CacheOptionsEntry) {
	both := func(kind string, to, from map[string]string) {
		exports = append(exports, client.CacheOptionsEntry{Type: kind, Attrs: to})
		imports = append(imports, client.CacheOptionsEntry{Type: kind, Attrs: from})
	}
	if r.Cache.Registry != "" {
		to := map[string]string{"ref": r.Cache.Registry, "mode": "max", "image-manifest": "true",
			"oci-mediatypes": "true"}
		from := map[string]string{"ref": r.Cache.Registry}
		if !b.Embedded() && PlainHTTP(registryOf(r.Cache.Registry)) {
			to["registry.insecure"], from["registry.insecure"] = "true", "true"
		}
		both("registry", to, from)
	}
	if r.Cache.Local != "" {
		exports = append(exports, client.CacheOptionsEntry{Type: "local",
			Attrs: map[string]string{"dest": r.Cache.Local, "mode": "max"}})
		if _, err := os.Stat(filepath.Join(r.Cache.Local, "index.json")); err == nil {
			imports = append(imports, client.CacheOptionsEntry{Type: "local",
				Attrs: map[string]string{"src": r.Cache.Local}})
		}
	}
	if r.Cache.From != "" {
		from := map[string]string{"ref": r.Cache.From}
		if !b.Embedded() && PlainHTTP(registryOf(r.Cache.From)) {
			from["registry.insecure"] = "true"
		}
		imports = append(imports, client.CacheOptionsEntry{Type: "registry", Attrs: from})
	}
	if r.Cache.Inline {
		exports = append(exports, client.CacheOptionsEntry{Type: "inline", Attrs: map[string]string{}})
	}
	token := os.Getenv("ACTIONS_RUNTIME_TOKEN")
	switch {
	case !r.Cache.GitHub:
	case b.Embedded():
		// Linking it would add 4.6 MB and 17 modules, for machines that have Docker.
		r.notify("skipped the cache of GitHub Actions: the embedded engine does not have it, Docker's and " +
			"buildx' do")
	case token == "":
		r.notify("skipped the cache of GitHub Actions: ACTIONS_RUNTIME_TOKEN is not set")
	default:
		attrs := map[string]string{"token": token, "scope": r.Repository, "mode": "max"}
		for key, variable := range map[string]string{"url": "ACTIONS_CACHE_URL", "url_v2": "ACTIONS_RESULTS_URL"} {
			if v := os.Getenv(variable); v != "" {
				attrs[key] = v
			}
		}
		both("gha", attrs, attrs)
	}
	return exports, imports
}

func (r Request) notify(text string) {
	if r.Notify != nil {
		r.Notify(text)
	}
}
