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

// file writes a file, and returns its path.
func (l lab) file(name, text string) string {
	l.t.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
	return path
}

// ssh makes a key, and returns it with git's arguments to sign with it.
func (l lab) ssh(kind, name string) (public string, sign []string) {
	l.t.Helper()
	path := filepath.Join(l.dir, name)
	l.run("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", path)
	text, err := os.ReadFile(path + ".pub")
	if err != nil {
		l.t.Fatal(err)
	}
	return strings.TrimSpace(string(text)), signWith(path)
}

func signWith(key string) []string {
	return []string{"-c", "gpg.format=ssh", "-c", "user.signingKey=" + key, "-c", "commit.gpgSign=true"}
}

// isAs reports whether an error is what is expected: the same, or one that ends with its text.
func isAs(err, want error) bool {
	return want == nil && err == nil || want != nil && (errors.Is(err, want) ||
		strings.HasSuffix(fmt.Sprint(err), want.Error()))
}

func TestVerify(t *testing.T) {
	l := newLab(t)
	gpg := func(who string) (string, []string) {
		l.run("gpg", "--batch", "--passphrase", "", "--quick-gen-key", who, "ed25519", "sign", "0")
		return l.run("gpg", "--armor", "--export", who),
			[]string{"-c", "user.signingKey=" + who, "-c", "commit.gpgSign=true"}
	}
	ada, asAda := l.ssh("ed25519", "ada")
	_, asMallory := l.ssh("ecdsa", "mallory")
	rsa, asRSA := l.ssh("rsa", "rsa")
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
		"for all":       {good, list(`namespaces="g?t*,!file" `), "", "ada@example.com", nil},
		"not for git":   {good, list(`namespaces="*,!git" `), "", "", ErrForeign},
		"an option": {good, list("touch-required "), "", "",
			errors.New(`line 1: unknown option "touch-required"`)},
	} {
		t.Run(name, func(t *testing.T) {
			var trusted Trusted
			if c.allowed != "" {
				trusted.AllowedSigners = l.file("allowed", c.allowed)
			}
			if c.ring != "" {
				trusted.OpenPGP = l.file("ring", c.ring)
			}
			who, err := trusted.Verify(c.commit)
			if !isAs(err, c.err) || !strings.HasPrefix(who, c.who) {
				t.Errorf("%q %v", who, err)
			}
		})
	}
}

// A certificate counts where a line names its authority, for the principals that both name, while both are
// valid. ssh-keygen must say the same.
func TestVerifyCertificate(t *testing.T) {
	l := newLab(t)
	authority, _ := l.ssh("ed25519", "authority")
	other, _ := l.ssh("ed25519", "other")
	ada, asAda := l.ssh("ed25519", "ada")
	plain := l.commit(asAda...)
	key := filepath.Join(l.dir, "ada")
	certified := func(options ...string) string {
		l.run("ssh-keygen", append(append([]string{"-q", "-s", filepath.Join(l.dir, "authority"), "-I", "x"},
			options...), key+".pub")...)
		return l.commit(signWith(key + "-cert.pub")...)
	}
	good := certified("-n", "bob@example.com,ada@example.com", "-V", "20260501:20260701")
	line := func(who, options string) string {
		return who + " cert-authority" + options + " " + authority + "\n"
	}
	for name, c := range map[string]struct {
		commit, allowed, who string
	}{
		"a principal":       {good, line("ada@example.com", ""), "ada@example.com"},
		"a pattern":         {good, line("*@example.org,*@example.com", ""), "bob@example.com"},
		"excluded":          {good, line("*@example.com,!bob@*", ""), "ada@example.com"},
		"another principal": {good, line("eve@example.com", ""), ""},
		"all excluded":      {good, line("*,!*@example.com", ""), ""},
		"another authority": {good, "* cert-authority " + other + "\n", ""},
		"no authority":      {good, "* " + authority + "\n", ""},
		"the key alone":     {good, "* " + ada + "\n", ""},
		"no certificate":    {plain, line("*", ""), ""},
		"line ended":        {good, line("*", `,valid-before="20260515"`), ""},
		"other namespace":   {good, line("*", `,namespaces="file"`), ""},
		"in both times":     {good, line("*", `,valid-after="20260515",namespaces="git"`), "bob@example.com"},
		"expired":           {certified("-n", "ada@example.com", "-V", "20260101:20260501"), line("*", ""), ""},
		"not valid yet":     {certified("-n", "ada@example.com", "-V", "20260615:20260701"), line("*", ""), ""},
		"no principals":     {certified(), line("*", ""), ""},
		"of a host":         {certified("-h", "-n", "ada@example.com"), line("*", ""), ""},
		"critical option": {certified("-n", "ada@example.com", "-O", "critical:x@example.com=y"),
			line("*", ""), ""},
	} {
		t.Run(name, func(t *testing.T) {
			who, err := Trusted{AllowedSigners: l.file("allowed", c.allowed)}.Verify(c.commit)
			if c.who == "" && !errors.Is(err, ErrForeign) || c.who != "" && !strings.HasPrefix(who, c.who+" (") {
				t.Errorf("%q %v", who, err)
			}
			if name == "critical option" {
				return // ssh-keygen does not look at these
			}
			hash := strings.TrimSpace(l.run("git", "hash-object", "-t", "commit", "-w", l.file("commit", c.commit)))
			git := exec.Command("git", "-c", "gpg.ssh.allowedSignersFile="+filepath.Join(l.dir, "allowed"),
				"verify-commit", hash)
			git.Dir = l.dir
			if out, err := git.CombinedOutput(); (err == nil) != (c.who != "") {
				t.Errorf("git says %v: %s", err, out)
			}
		})
	}
}
