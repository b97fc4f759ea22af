package agent

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/agent/child"
	"slipway/internal/cluster/sandboxtest"
	"slipway/internal/git"
)

// Credentials that the server refuses are said to be, once, and new ones need no restart. They are in neither
// the log nor the status.
func TestCredentialsChange(t *testing.T) {
	place, repo := sandboxtest.NewPlace(t), newRepository(t)
	sandbox := sandboxtest.Shared(t).GitServer
	name := "/private/" + sandboxtest.Name("r") + ".git"
	repo.url = strings.Replace(sandbox, "http://", "http://sandbox:sandbox@", 1) + name
	repo.name = "test"
	repo.write("slipway.yaml", "project: p\nenvironments: {NAME: {path: k8s}}\n")
	repo.write("k8s/x.yaml", cm)
	repo.push()
	file := filepath.Join(t.TempDir(), "password")
	put := func(text string) {
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("expired-hunter2")
	agent := start(t, place.Kubeconfig, "repositories:\n- url: "+sandbox+name+"\n  interval: 100ms\n"+
		"  credentials: {username: sandbox, passwordFile: "+file+"}\n  environments: {test: {context: test}}\n")
	agent.says(t, "the server refused the credentials", 1)
	if s := agent.Statuses()[0]; !strings.Contains(s.SourceError, "the server refused the credentials") {
		t.Errorf("%+v", s)
	}
	put("sandbox")
	agent.says(t, "is release 1, healthy", 1)
	put("expired-hunter2")
	agent.says(t, "the server refused the credentials", 2)
	put("sandbox")
	agent.says(t, "it can be read again", 2)
	log, _ := agent.log()
	if n := strings.Count(log, "refused the credentials"); n != 2 {
		t.Errorf("said %d times:\n%s", n, log)
	}
	status, err := json.Marshal(agent.Statuses())
	if strings.Contains(log+string(status), "hunter2") || err != nil {
		t.Errorf("the password is in the log or the status:\n%s\n%s", log, status)
	}
}

// A commit that is unsigned, or signed by somebody else, is not deployed, and neither is a signed one on top
// of it.
func TestSigners(t *testing.T) {
	place, repo := sandboxtest.NewPlace(t), newRepository(t)
	keys := t.TempDir()
	public := map[string]string{}
	for _, who := range []string{"ada", "mallory"} {
		path := filepath.Join(keys, who)
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		text, err := os.ReadFile(path + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		public[who] = string(text)
	}
	signers := filepath.Join(keys, "signers")
	if err := os.WriteFile(signers, []byte("ada@example.com "+public["ada"]), 0o600); err != nil {
		t.Fatal(err)
	}
	n := 0
	push := func(who string) string {
		t.Helper()
		n++
		repo.write("k8s/x.yaml", strings.Replace(cm, "NAME", "a", 1)+"data: {n: \""+strings.Repeat("1", n)+"\"}\n")
		repo.git("config", "gpg.format", "ssh")
		repo.git("config", "commit.gpgSign", map[bool]string{true: "true", false: "false"}[who != ""])
		repo.git("config", "user.signingKey", filepath.Join(keys, who))
		return short(repo.push())
	}
	repo.write("slipway.yaml", "project: p\nenvironments: {test: {path: k8s}}\n")
	push("ada")
	agent := start(t, place.Kubeconfig, "repositories:\n- url: "+repo.url+"\n  interval: 100ms\n"+
		"  signers: {allowedSigners: "+signers+"}\n  environments: {test: {context: test}}\n")
	agent.says(t, "is release 1, healthy", 1)
	if s := agent.Statuses()[0]; !strings.HasPrefix(s.SignedBy, "ada@example.com (ssh-ed25519 SHA256:") {
		t.Errorf("%+v", s)
	}
	good := repo.git("rev-parse", "HEAD")
	foreign := push("mallory")
	agent.says(t, "commit "+foreign+" is not trusted: it is signed by somebody else, with ssh-ed25519 SHA256:", 1)
	above := push("ada")
	agent.says(t, "commit "+above+" is refused: commit "+foreign+" is not trusted", 1)
	if s := agent.Statuses()[0]; s.Verdict != Refused || s.Release != 1 {
		t.Errorf("%+v", s)
	}
	repo.git("reset", "-q", "--hard", good)
	repo.git("push", "-q", "-f", repo.url, "HEAD:refs/heads/main")
	unsigned := push("")
	agent.says(t, "commit "+unsigned+" is not trusted: it is not signed", 1)
	repo.git("reset", "-q", "--hard", good)
	repo.git("push", "-q", "-f", repo.url, "HEAD:refs/heads/main")
	push("ada")
	agent.says(t, "is release 2, healthy", 1)
}

// A clone that has grown too large over time is replaced by a new one, which has little.
func TestGrownClone(t *testing.T) {
	repo := newRepository(t)
	noise := make([]byte, 300<<10)
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	repo.write("big.yaml", "a: "+hex.EncodeToString(noise))
	first := repo.push()
	r := newRemote(Repository{URL: repo.url}, t.TempDir(), &child.Pool{})
	r.followers = []*follower{{mirror: newMirror(Repository{URL: repo.url, Branch: "main"}, r)}}
	var size int64
	r.clone.access = func(context.Context) (git.Access, error) { return git.Access{Size: size}, nil }
	poll := func(want string) {
		t.Helper()
		if found := r.poll(t.Context(), nil)["main"]; found.commit != want || found.err != nil {
			t.Errorf("%+v, not %s", found, want)
		}
	}
	poll(first)
	s, err := r.take(t.Context(), "main", first)
	if err != nil {
		t.Fatal(err)
	}
	r.give(s)
	size = 200 << 10
	repo.write("small.yaml", "a: 1")
	poll(repo.push())
	size = 1
	if found := r.poll(t.Context(), nil)["main"]; !errors.Is(found.err, git.ErrTooLarge) {
		t.Errorf("%+v", found)
	}
}
