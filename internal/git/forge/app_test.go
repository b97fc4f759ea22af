package forge_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"slipway/internal/git/credential"
	"slipway/internal/git/forge"
	"slipway/internal/git/forge/forgetest"
)

func TestApp(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	server, f := newForge(t, forge.GitHub)
	server.App = &forgetest.App{ID: "1", Installation: "2", Key: &key.PublicKey}
	server.Revoke()
	file := filepath.Join(t.TempDir(), "key.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		t.Fatal(err)
	}
	f = forge.Forge{Kind: forge.GitHub, API: f.API, GitHubApp: &credential.App{
		ID: "1", Installation: "2", KeyFile: file, API: f.API,
	}}
	const repository = "https://forge.example/acme/shop"
	if err := f.Complete(repository); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Open(t.Context(), repository, forge.Request{Branch: "a", Into: "main", Title: "t"}); err != nil {
		t.Error(err)
	}
	server.Revoke()
	r := forge.Request{Branch: "b", Into: "main", Title: "t"}
	refused := (*forge.AnswerError)(nil)
	if _, err := f.Open(t.Context(), repository, r); !errors.As(err, &refused) {
		t.Errorf("a revoked token: %v", err)
	}
	if _, err := f.Open(t.Context(), repository, r); err != nil || server.Tokens() != 2 {
		t.Errorf("after it: %v, %d tokens", err, server.Tokens())
	}
	for want, wrong := range map[string]forge.Forge{
		"githubApp is for github, not for gitea: write tokenFile": {Kind: forge.Gitea, GitHubApp: f.GitHubApp},
		"want one of tokenFile and githubApp": {
			Kind: forge.GitHub, TokenFile: "t", GitHubApp: f.GitHubApp,
		},
		"githubApp needs id, installation and privateKeyFile": {
			Kind: forge.GitHub, GitHubApp: &credential.App{ID: "1"},
		},
	} {
		if err := wrong.Complete(repository); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
