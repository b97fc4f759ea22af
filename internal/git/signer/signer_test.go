package signer

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// lab is a repository whose commits ssh-keygen and gpg sign.
type lab struct {
	t    *testing.T
	dir  string
	home string
}

func (l lab) run(name string, args ...string) string {
	l.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = l.dir
	cmd.Env = append(os.Environ(), "GNUPGHOME="+l.home, "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_AUTHOR_NAME=Ada",
		"GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com",
		"GIT_COMMITTER_DATE=2026-06-01T00:00:00Z")
	out, err := cmd.Output()
	if err != nil {
		l.t.Fatalf("%s %v: %v", name, args, err)
	}
	return string(out)
}

// commit signs as the settings say, and returns the commit as Git stores it.
func (l lab) commit(args ...string) string {
	l.run("git", append(args, "commit", "-q", "--allow-empty", "-m", "a message\n\nwith lines\n")...)
	return l.run("git", "cat-file", "commit", "HEAD")
}

func newLab(t *testing.T) lab {
	home, err := os.MkdirTemp("", "gpg") // the path of gpg's sockets must be short
	if err != nil {
		t.Fatal(err)
	}
	l := lab{t, t.TempDir(), home}
	t.Cleanup(func() {
		l.run("gpgconf", "--kill", "all")
		os.RemoveAll(home)
	})
	l.run("git", "init", "-q")
	return l
}

func TestVerify(t *testing.T) {
	l := newLab(t)
	file := func(name, text string) string {
		path := filepath.Join(l.dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ssh := func(kind, name string) (string, []string) {
		path := filepath.Join(l.dir, name)
		l.run("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", path)
		public, err := os.ReadFile(path + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(public)),
			[]string{"-c", "gpg.format=ssh", "-c", "user.signingKey=" + path, "-c", "commit.gpgSign=true"}
	}
	gpg := func(who string) (string, []string) {
		l.run("gpg", "--batch", "--passphrase", "", "--quick-gen-key", who, "ed25519", "sign", "0")
		return l.run("gpg", "--armor", "--export", who),
			[]string{"-c", "user.signingKey=" + who, "-c", "commit.gpgSign=true"}
	}
	ada, asAda := ssh("ed25519", "ada")
	_, asMallory := ssh("ecdsa", "mallory")
	rsa, asRSA := ssh("rsa", "rsa")
	bob, asBob := gpg("bob@example.com")
	_, asEve := gpg("eve@example.com")
	good := l.commit(asAda...)
	list := func(options string) string { return "ada@example.com " + options + ada + "\n" }
	for name, c := range map[string]struct {
		commit        string
		allowed, ring string
		who           string
		err           error
	}{
		"SSH":           {good, "# people\n\n" + list(""), "", "ada@example.com (ssh-ed25519 SHA256:", nil},
		"RSA":           {l.commit(asRSA...), "rsa@example.com " + rsa, "", "rsa@example.com (ssh-rsa ", nil},
		"OpenPGP":       {l.commit(asBob...), "", bob, "bob@example.com (OpenPGP ", nil},
		"unsigned":      {l.commit(), list(""), bob, "", ErrUnsigned},
		"foreign SSH":   {l.commit(asMallory...), list(""), bob, "", ErrForeign},
		"foreign PGP":   {l.commit(asEve...), list(""), bob, "", ErrForeign},
		"nobody of SSH": {good, "", bob, "", ErrForeign},
		"changed":       {strings.Replace(good, "a message", "b message", 1), list(""), bob, "", ErrForged},
		"another tree":  {strings.Replace(good, "tree ", "tree 0", 1), list(""), bob, "", ErrForged},
		"for files":     {good, list(`namespaces="file" `), "", "", ErrForeign},
		"for git":       {good, list(`namespaces="file,git" `), "", "ada@example.com", nil},
		"ended":         {good, list(`valid-before="20260101" `), "", "", ErrForeign},
		"not begun":     {good, list(`valid-after="20260701" `), "", "", ErrForeign},
		"in its time":   {good, list(`valid-after="20260501Z",valid-before="202607010000" `), "", "ada@", nil},
		"an authority":  {good, list("cert-authority "), "", "", errors.New("line 1: cert-authority is not supported")},
	} {
		t.Run(name, func(t *testing.T) {
			var trusted Trusted
			if c.allowed != "" {
				trusted.AllowedSigners = file("allowed", c.allowed)
			}
			if c.ring != "" {
				trusted.OpenPGP = file("ring", c.ring)
			}
			who, err := trusted.Verify(c.commit)
			isRight := c.err == nil && err == nil || c.err != nil && (errors.Is(err, c.err) ||
				strings.HasSuffix(fmt.Sprint(err), c.err.Error()))
			if !isRight || !strings.HasPrefix(who, c.who) {
				t.Errorf("%q %v", who, err)
			}
		})
	}
}
