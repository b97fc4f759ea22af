package credential

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"slipway/internal/git"
	"slipway/internal/git/forge/forgetest"
)

// Git runs the test binary as its askpass and its SSH client.
func TestMain(m *testing.M) {
	if code, is := Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr); is {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

func program(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// commit makes a bare repository with one commit.
func commit(t *testing.T) (bare, hash string) {
	t.Helper()
	work := t.TempDir()
	bare = filepath.Join(t.TempDir(), "a.git")
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"}, {"commit", "-q", "--allow-empty", "-m", "one"},
		{"clone", "-q", "--bare", ".", bare}, {"rev-parse", "HEAD"},
	} {
		cmd := exec.Command("git", args...)
		cmd.Dir = work
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=a@example.com",
			"GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_CONFIG_GLOBAL="+os.DevNull)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		hash = strings.TrimSpace(string(out))
	}
	return bare, hash
}

func newKey(t *testing.T) (ssh.Signer, []byte) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	return signer, pem.EncodeToMemory(block)
}

// serveSSH runs git-upload-pack for clients that have a key.
func serveSSH(t *testing.T, allowed ssh.PublicKey, hosts ...ssh.Signer) string {
	t.Helper()
	config := &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if string(key.Marshal()) != string(allowed.Marshal()) {
				return nil, errors.New("not this key")
			}
			return nil, nil
		},
	}
	for _, h := range hosts {
		config.AddHostKey(h)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go session(c, config)
		}
	}()
	return l.Addr().String()
}

func session(c net.Conn, config *ssh.ServerConfig) {
	_, channels, requests, err := ssh.NewServerConn(c, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for n := range channels {
		channel, requests, err := n.Accept()
		if err != nil {
			return
		}
		for r := range requests {
			if r.Type != "exec" {
				_ = r.Reply(false, nil)
				continue
			}
			_ = r.Reply(true, nil)
			name, path, _ := strings.Cut(string(r.Payload[4:]), " ")
			cmd := exec.Command(name, strings.Trim(path, "'"))
			cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
			in, _ := cmd.StdinPipe()
			go func() { _, _ = io.Copy(in, channel); in.Close() }()
			status := make([]byte, 4)
			if err := cmd.Run(); err != nil {
				status[3] = 128
			}
			_, _ = channel.SendRequest("exit-status", false, status)
			channel.Close()
			break
		}
	}
}

func TestSSH(t *testing.T) {
	bare, hash := commit(t)
	host, _ := newKey(t)
	other, _ := newKey(t)
	client, private := newKey(t)
	_, foreign := newKey(t)
	address := serveSSH(t, client.PublicKey(), host)
	known := func(key ssh.Signer) string {
		return knownhosts.Line([]string{knownhosts.Normalize(address)}, key.PublicKey())
	}
	for name, c := range map[string]struct {
		key, hosts string
		want       error
		text       string
	}{
		"right":             {string(private), known(host), nil, ""},
		"another host key":  {string(private), known(other), git.ErrHostKey, "has changed to ssh-ed25519 SHA256:"},
		"unknown host":      {string(private), "", git.ErrHostKey, "is not in the known_hosts file"},
		"a foreign key":     {string(foreign), known(host), git.ErrCredentials, "unable to authenticate"},
		"a broken key":      {"no key", known(host), nil, "read the SSH key"},
		"one of two is her": {string(private), known(other) + "\n" + known(host), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			key, hosts := filepath.Join(dir, "key"), filepath.Join(dir, "hosts")
			if err := errors.Join(os.WriteFile(key, []byte(c.key), 0o600),
				os.WriteFile(hosts, []byte(c.hosts+"\n"), 0o600)); err != nil {
				t.Fatal(err)
			}
			a := git.Access{Environment: SSH(program(t), key, hosts)}
			m, err := git.OpenMirror(t.Context(), "ssh://git@"+address+bare, filepath.Join(dir, "m"), a)
			if err != nil {
				t.Fatal(err)
			}
			got, err := m.Fetch(t.Context(), "main")
			if c.text == "" {
				if err != nil || got != hash {
					t.Errorf("%q %v", got, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.text) || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

// Git gets the password from the environment, for the one host alone.
func TestPassword(t *testing.T) {
	var asked []string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, secret, ok := r.BasicAuth(); ok {
			asked = append(asked, secret)
		}
		w.Header().Set("WWW-Authenticate", "Basic")
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer other.Close()
	redirect := httptest.NewServer(http.RedirectHandler(other.URL+"/a.git/info/refs?service=git-upload-pack",
		http.StatusFound))
	defer redirect.Close()
	for name, address := range map[string]string{"the host": other.URL, "a redirect": redirect.URL} {
		a := git.Access{
			Environment: Password(program(t), address, "ada", "hunter2"), Secrets: []string{"hunter2"},
		}
		m, err := git.OpenMirror(t.Context(), address+"/a.git", filepath.Join(t.TempDir(), "m"), a)
		if err != nil {
			t.Fatal(err)
		}
		asked = nil
		_, err = m.Tips(t.Context(), "main")
		if !errors.Is(err, git.ErrCredentials) || strings.Contains(fmt.Sprint(err), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
		if got, want := strings.Join(asked, " "), map[string]string{"the host": "hunter2"}[name]; got != want {
			t.Errorf("%s got %q", name, got)
		}
	}
}

// A token is made for a proven app, kept, and made again before it ends.
func TestApp(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	made, life := 0, time.Hour
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := verify(r, &key.PublicKey); err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		made++
		w.WriteHeader(http.StatusCreated)
		ends := time.Now().Add(life).UTC().Format(time.RFC3339)
		fmt.Fprintf(w, `{"token":"token%d","expires_at":%q}`, made, ends)
	}))
	defer api.Close()
	app := &App{ID: "7", Installation: "42", KeyFile: file, API: api.URL}
	token := func(want string) {
		t.Helper()
		if got, err := app.Token(t.Context()); got != want || err != nil {
			t.Errorf("%q %v, not %q", got, err, want)
		}
	}
	token("token1")
	token("token1")
	app.Forget()
	life = time.Minute
	token("token2")
	token("token3") // the second ends too soon
	wrong := &App{ID: "8", Installation: "42", KeyFile: file, API: api.URL}
	_, err = wrong.Token(t.Context())
	if err == nil || !strings.Contains(err.Error(), "401 Unauthorized: 'Issuer' claim ('iss') must be the App ID") {
		t.Errorf("%v", err)
	}
}

// verify verifies a request as GitHub documents it.
func verify(r *http.Request, key *rsa.PublicKey) error {
	if r.Method != http.MethodPost || r.URL.Path != "/app/installations/42/access_tokens" {
		return fmt.Errorf("%s %s", r.Method, r.URL.Path)
	}
	signed, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return errors.New("no token")
	}
	return (&forgetest.App{ID: "7", Key: key}).Verify(signed, time.Now())
}
