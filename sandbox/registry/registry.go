// Package registry is the sandbox's OCI registry: olareg over a folder, behind basic authentication
// where asked for. It answers under whatever host name a client uses.
package registry

import (
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"
	"github.com/olareg/olareg/types"

	"slipway/sandbox/access"
)

// Registry is an http.Handler. Close it to have its index written.
type Registry struct{ *olareg.Server }

// New serves the repositories under dir, which need not exist.
func New(dir string, rule access.Rule, log *slog.Logger) Registry {
	yes := true
	return Registry{olareg.New(config.Config{
		Log: log,
		Storage: config.ConfigStorage{
			StoreType: config.StoreDir,
			RootDir:   dir,
			// What is pushed by digest and tagged later must outlive a coffee break.
			GC: config.ConfigGC{GracePeriod: 24 * time.Hour},
		},
		API:  config.ConfigAPI{DeleteEnabled: &yes, Blob: config.ConfigAPIBlob{DeleteEnabled: &yes}},
		Auth: config.ConfigAuth{Handler: guard(rule)},
	})}
}

func guard(rule access.Rule) config.AuthHandler {
	return func(repo string, _ config.AuthAccess, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// A blob mounted from another repository is a read of that repository.
			// olareg cleans its path, so the rule has to see the cleaned one.
			from := strings.TrimPrefix(path.Clean("/"+r.URL.Query().Get("from")), "/")
			if rule.Allowed(r, repo) && (from == "" || rule.Allowed(r, from)) {
				next.ServeHTTP(w, r)
				return
			}
			access.Challenge(w)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_ = types.ErrRespJSON(w, types.ErrorInfo{Code: "UNAUTHORIZED",
				Message: "authentication required", Detail: repo})
		})
	}
}
