package image

import (
	"context"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/google"
)

// logins reads Docker's configuration, and runs its credential helpers. Without an entry there, registries of
// Google get the identity of this machine or pod.
type logins struct {
	ctx context.Context // of Resolve, which gets none
}

// Resolve is ResolveContext with the context of the struct.
func (l logins) Resolve(r authn.Resource) (authn.Authenticator, error) {
	return l.ResolveContext(l.ctx, r)
}

// ResolveContext returns the credentials for a registry, or fails with a *CredentialsError.
func (logins) ResolveContext(ctx context.Context, r authn.Resource) (authn.Authenticator, error) {
	auth, err := authn.Resolve(ctx, authn.DefaultKeychain, r)
	if name, ok := missingHelper(err); ok {
		err = &NoHelperError{Helper: name}
	}
	if err != nil {
		return nil, &CredentialsError{Failure{Registry: r.RegistryStr(), Err: err}}
	}
	if auth != authn.Anonymous || !isGoogle(r.RegistryStr()) {
		return auth, nil
	}
	return ambient.get(ctx), nil
}

// NoHelperError says that Docker's configuration names a credential helper that is not installed.
type NoHelperError struct{ Helper string } // "docker-credential-ecr-login"

func (e *NoHelperError) Error() string {
	return "the credential helper " + e.Helper + " of the Docker configuration is not installed"
}

// missingHelper finds the name of the program in a text: docker-credential-helpers drops the error itself.
func missingHelper(err error) (name string, ok bool) {
	if err == nil {
		return "", false
	}
	_, rest, found := strings.Cut(err.Error(), `exec: "`)
	name, rest, closed := strings.Cut(rest, `"`)
	return name, found && closed && strings.Contains(rest, "not found")
}

// isGoogle reports whether a registry is the Container Registry or the Artifact Registry.
func isGoogle(host string) bool {
	return host == "gcr.io" || strings.HasSuffix(host, ".gcr.io") || strings.HasSuffix(host, ".pkg.dev")
}

// ambient is the identity of this process at Google. One that was found is kept, and gets new tokens itself;
// go-containerregistry's own keychain would also keep that there was none, for ever.
var ambient identity

type identity struct {
	mu   sync.Mutex
	auth authn.Authenticator
}

// get returns Google's Application Default Credentials: a service account's file, a workload identity, or the
// account of the machine. Without any of these it is anonymous, as for public images.
func (i *identity) get(ctx context.Context) authn.Authenticator {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.auth == nil {
		auth, err := google.NewEnvAuthenticator(context.WithoutCancel(ctx))
		if err != nil {
			return authn.Anonymous
		}
		i.auth = auth
	}
	return i.auth
}
