package promote

import (
	"crypto/ed25519"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"slipway/internal/image"
)

// newKey returns a private key and its public part, as files have them.
func newKey(t *testing.T) (private []byte, public string) {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(priv, "")
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) + " agent"
}

// A verdict is that of its key on its commit, in every field.
func TestSignedVerdict(t *testing.T) {
	private, public := newKey(t)
	_, other := newKey(t)
	v := Verdict{
		Environment: "staging", Healthy: true, Release: 3, Since: time.Now(), Time: time.Now(),
		Images: []image.Pin{{Name: "web", Digest: "sha256:1"}},
	}
	signed, err := v.Sign("c0ffee", private)
	if err != nil {
		t.Fatal(err)
	}
	note, err := signed.in(`{"environment":"staging","healthy":false}` + "\nby a person\n" +
		`{"environment":"dev","healthy":true}` + "\n")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(note), "\n")
	if len(lines) != 3 || lines[0] != "by a person" {
		t.Fatalf("the note is %q", note)
	}
	read, ok := verdictOf(lines[2])
	if !ok || read.Environment != "staging" {
		t.Fatalf("%+v", read)
	}
	if err := read.verify("c0ffee", public); err != nil {
		t.Errorf("as it was read: %v", err)
	}
	changed := read
	changed.Images = []image.Pin{{Name: "web", Digest: "sha256:2"}}
	unsigned := read
	unsigned.Signature = ""
	for name, err := range map[string]error{
		"another commit": read.verify("deca1f", public), "another key": read.verify("c0ffee", other),
		"another digest": changed.verify("c0ffee", public), "unsigned": unsigned.verify("c0ffee", public),
		"not a key": read.verify("c0ffee", "ssh-ed25519 AAAA"),
	} {
		if err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}
