package sops

import (
	"bytes"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"filippo.io/age/armor"
	"github.com/ProtonMail/go-crypto/openpgp"
	pgparmor "github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/ssh"
)

// The files of testdata were encrypted by the SOPS library, 3.13.3; NAME.plain is what went in.

// alone hides the machine's own keys and sets an empty home directory.
func alone(t *testing.T) string {
	home := t.TempDir()
	for _, v := range []string{"HOME", "XDG_CONFIG_HOME", "GNUPGHOME"} {
		t.Setenv(v, home)
	}
	for _, v := range []string{"SOPS_AGE_KEY", "SOPS_AGE_KEY_FILE", "SOPS_AGE_SSH_PRIVATE_KEY_FILE",
		"SOPS_AGE_KEY_CMD"} {
		t.Setenv(v, "")
		os.Unsetenv(v)
	}
	return home
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDecrypt(t *testing.T) {
	alone(t)
	t.Setenv("SOPS_AGE_KEY_FILE", "testdata/age.txt")
	for name, secrets := range map[string][]string{
		"values.yaml": {"ada", "hunter22: #1", "2026-01-02T03:04:05Z", "line one\nline two\n", "db-0",
			"12", "document"},
		"values.json": {"ada", "a<b", "v"},
		"app.env":     {"ada", "a=b c", "one\\ntwo"},
		"app.ini":     {"ada", "a;b", "redis"},
		"tls.key":     {"-----BEGIN KEY-----\nline\n-----END KEY-----\n"},
		"partly.yaml": {"hunter22"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Decrypt("k8s/"+name, read(t, name))
			if err != nil {
				t.Fatal(err)
			}
			want := string(read(t, name+".plain"))
			want = strings.TrimPrefix(want, "# who logs in\n") // an encrypted comment is dropped
			want = strings.Replace(want, "user     =", "user =", 1)
			if diff := cmp.Diff(want, string(got.Bytes)); diff != "" {
				t.Error(diff)
			}
			for i, s := range secrets {
				secrets[i] = strings.ReplaceAll(s, `\n`, "\n")
			}
			if diff := cmp.Diff(secrets, got.Secrets); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecryptLeavesOthersAlone(t *testing.T) {
	alone(t)
	for name, text := range map[string]string{
		"plain.yaml":  "a: 1\n",
		"key.yaml":    "sops: {mac: none}\n",
		"key.json":    `{"sops": {"lastmodified": "x"}}`,
		"speaks.yaml": "data:\n  sops: |\n    mac: ENC[AES256_GCM,data:x,iv:y,tag:z,type:str]\n",
		"speaks.md":   "# How\n\nsops: mac\n{{ ENC[AES256_GCM,\n",
		"tpl.yaml":    "{{- if .Values.sops }}\nx: ENC[AES256_GCM,data\n{{ end }}\n",
		"empty.yaml":  "",
		"app.env":     "sops_version=1\nX=ENC[AES256_GCM,\n",
		"app.ini":     "[sops]\nx = ENC[AES256_GCM,\n",
	} {
		got, err := Decrypt(name, []byte(text))
		if err != nil || string(got.Bytes) != text || len(got.Secrets) != 0 {
			t.Errorf("%s: %q %v %v", name, got.Bytes, got.Secrets, err)
		}
	}
}

// An encrypted file that was modified is refused.
func TestDecryptChanged(t *testing.T) {
	alone(t)
	t.Setenv("SOPS_AGE_KEY_FILE", "testdata/age.txt")
	whole, partly := string(read(t, "values.yaml")), string(read(t, "partly.yaml"))
	password := regexp.MustCompile(`password: (.*)`).FindStringSubmatch(whole)[1]
	for name, c := range map[string]struct{ text, want string }{
		"open value":      {strings.Replace(whole, "everybody", "nobody", 1), "its MAC does not match"},
		"value made open": {strings.Replace(whole, password, "mine", 1), "its MAC does not match"},
		"value elsewhere": {regexp.MustCompile(`user: .*`).ReplaceAllString(whole, "user: "+password),
			"user: the value was modified or moved after SOPS encrypted it"},
		"value left out": {strings.Replace(whole, "password: "+password+"\n", "", 1), "its MAC does not match"},
		"broken value": {strings.Replace(whole, password, "ENC[AES256_GCM,data]", 1),
			"password: not a SOPS value"},
		"no nonce": {strings.Replace(whole, password, "ENC[AES256_GCM,data:AA==,iv:=,tag:AA==,type:str]", 1),
			"password: illegal base64"},
		"other time": {strings.Replace(whole, "2026-", "2025-", 1), "its MAC does not match"},
		"alias":      {"a: &a {}\nb: *a\n" + whole, "line 2: unexpected alias"},
		"made open, where only what is encrypted counts": {regexp.MustCompile(`password: .*`).ReplaceAllString(
			partly, "password: mine"), "its MAC does not match"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Decrypt("v.yaml", []byte(c.text))
			if err == nil || !strings.HasPrefix(err.Error(), "v.yaml: decrypt: ") || !strings.Contains(err.Error(),
				c.want) || got.Bytes != nil {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
	// Values outside the MAC may change.
	if got, err := Decrypt("v.yaml", []byte(strings.Replace(partly, "name: db", "name: da", 1))); err != nil ||
		!bytes.Contains(got.Bytes, []byte("name: da")) {
		t.Error(err)
	}
}

func TestDecryptWithoutKey(t *testing.T) {
	home := alone(t)
	text := read(t, "partly.yaml")
	recipient := regexp.MustCompile(`age1\w+`).FindString(string(text))
	keys := filepath.Join(home, "sops/age/keys.txt")
	_, err := Decrypt("k8s/db.yaml", text)
	want := "k8s/db.yaml: decrypt: no key for " + recipient + "; searched SOPS_AGE_KEY (not set), " +
		keys + " (does not exist)"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	t.Setenv("SOPS_AGE_KEY", "AGE-PLUGIN-X-1QQ AGE-SECRET-KEY-1BROKEN")
	t.Setenv("SOPS_AGE_KEY_FILE", "testdata/age-other.txt")
	t.Setenv("SOPS_AGE_KEY_CMD", "touch "+filepath.Join(home, "ran"))
	_, err = Decrypt("k8s/db.yaml", text)
	want = "k8s/db.yaml: decrypt: no key for " + recipient + "; searched SOPS_AGE_KEY (no usable key), " +
		"SOPS_AGE_KEY_FILE=testdata/age-other.txt (1 of other recipients), " + keys +
		" (does not exist), SOPS_AGE_KEY_CMD (not run: rendering starts no program)"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if _, err := os.Stat(filepath.Join(home, "ran")); err == nil {
		t.Error("a program was started")
	}
}

func TestDecryptRefused(t *testing.T) {
	alone(t)
	t.Setenv("SOPS_AGE_KEY_FILE", "testdata/age.txt")
	for name, want := range map[string]string{
		"kms.yaml":    "decrypt: its key is in AWS KMS: no service is asked over the network while rendering",
		"groups.yaml": "decrypt: key groups (key_groups) are not supported",
	} {
		_, err := Decrypt(name, read(t, name))
		var refused *KeyError
		if !errors.As(err, &refused) || err.Error() != name+": "+want {
			t.Errorf("got  %v\nwant %s: %s", err, name, want)
		}
	}
}

// Generated keys, in each place where SOPS looks for them.
func TestDecryptWithKeysOfEachKind(t *testing.T) {
	for name, encryptFor := range map[string]func(t *testing.T, home string, dataKey []byte) string{
		"age in the environment": func(t *testing.T, _ string, key []byte) string {
			other, id := newAge(t), newAge(t)
			t.Setenv("SOPS_AGE_KEY", other.String()+" "+id.String())
			return ageBlock(t, id.Recipient(), key)
		},
		"age in a file": func(t *testing.T, home string, key []byte) string {
			id := newAge(t)
			write(t, filepath.Join(home, "mine"), []byte("# public key: "+id.Recipient().String()+"\n"+
				id.String()+"\n"))
			t.Setenv("SOPS_AGE_KEY_FILE", filepath.Join(home, "mine"))
			return ageBlock(t, id.Recipient(), key)
		},
		"age in the usual file": func(t *testing.T, home string, key []byte) string {
			id := newAge(t)
			write(t, filepath.Join(home, "sops/age/keys.txt"), []byte(id.String()))
			return ageBlock(t, id.Recipient(), key)
		},
		"age by SSH": func(t *testing.T, home string, key []byte) string {
			public, private, err := ed25519.GenerateKey(nil)
			check(t, err)
			block, err := ssh.MarshalPrivateKey(private, "")
			check(t, err)
			write(t, filepath.Join(home, ".ssh/id_ed25519"), pem.EncodeToMemory(block))
			p, err := ssh.NewPublicKey(public)
			check(t, err)
			recipient, err := agessh.NewEd25519Recipient(p)
			check(t, err)
			return ageBlock(t, recipient, key)
		},
		"PGP": func(t *testing.T, home string, key []byte) string {
			e := newPGP(t)
			var ring bytes.Buffer
			check(t, newPGP(t).SerializePrivate(&ring, nil))
			check(t, e.SerializePrivate(&ring, nil))
			write(t, filepath.Join(home, "secring.gpg"), ring.Bytes())
			return pgpBlock(t, e, key)
		},
		"PGP in letters": func(t *testing.T, home string, key []byte) string {
			e := newPGP(t)
			var ring bytes.Buffer
			w, err := pgparmor.Encode(&ring, openpgp.PrivateKeyType, nil)
			check(t, err)
			check(t, e.SerializePrivate(w, nil))
			check(t, w.Close())
			write(t, filepath.Join(home, "secring.gpg"), ring.Bytes())
			return pgpBlock(t, e, key)
		},
	} {
		t.Run(name, func(t *testing.T) {
			home := alone(t)
			text := rewrap(t, func(key []byte) string { return encryptFor(t, home, key) })
			got, err := Decrypt("db.yaml", text)
			if err != nil || !slices.Equal(got.Secrets, []string{"hunter22"}) {
				t.Errorf("%q %v", got.Secrets, err)
			}
		})
	}
}

func TestPGPNeedsAnOpenKey(t *testing.T) {
	home := alone(t)
	e := newPGP(t)
	text := rewrap(t, func(key []byte) string { return pgpBlock(t, e, key) })
	_, err := Decrypt("db.yaml", text)
	if err == nil || !strings.Contains(err.Error(), "no key for PGP 0123; searched "+filepath.Join(home,
		"secring.gpg")+" (does not exist; gpg is not started") {
		t.Error(err)
	}
	check(t, e.EncryptPrivateKeys([]byte("passphrase"), nil))
	var ring bytes.Buffer
	check(t, e.SerializePrivateWithoutSigning(&ring, nil))
	write(t, filepath.Join(home, "secring.gpg"), ring.Bytes())
	_, err = Decrypt("db.yaml", text)
	if err == nil || !strings.Contains(err.Error(), "secring.gpg (no usable key)") {
		t.Error(err)
	}
}

// rewrap is partly.yaml with its data key encrypted for another recipient.
func rewrap(t *testing.T, block func(key []byte) string) []byte {
	t.Helper()
	text := read(t, "partly.yaml")
	t.Setenv("SOPS_AGE_KEY", string(read(t, "age.txt")))
	_, meta, err := load(asYAML, text)
	check(t, err)
	key, err := meta.dataKey("partly.yaml")
	check(t, err)
	os.Unsetenv("SOPS_AGE_KEY")
	replacement := block(key)
	return regexp.MustCompile(`(?s)    age:.*(    encrypted_regex)`).ReplaceAll(text, []byte(replacement+"$1"))
}

func ageBlock(t *testing.T, r age.Recipient, key []byte) string {
	var b bytes.Buffer
	a := armor.NewWriter(&b)
	w, err := age.Encrypt(a, r)
	check(t, err)
	return listed(t, "age", "recipient", &b, w, a, key)
}

func pgpBlock(t *testing.T, e *openpgp.Entity, key []byte) string {
	var b bytes.Buffer
	a, err := pgparmor.Encode(&b, "PGP MESSAGE", nil)
	check(t, err)
	w, err := openpgp.Encrypt(a, []*openpgp.Entity{e}, nil, nil, nil)
	check(t, err)
	return listed(t, "pgp", "fp", &b, w, a, key)
}

// listed is the part of the metadata that holds an encrypted data key.
func listed(t *testing.T, kind, who string, b *bytes.Buffer, w, armored io.WriteCloser, key []byte) string {
	_, err := w.Write(key)
	check(t, err)
	check(t, w.Close())
	check(t, armored.Close())
	out, err := yaml.Marshal(map[string]any{kind: []any{map[string]string{who: "0123", "enc": b.String()}}})
	check(t, err)
	return regexp.MustCompile(`(?m)^`).ReplaceAllString(strings.TrimSpace(string(out)), "    ") + "\n"
}

func newAge(t *testing.T) *age.X25519Identity {
	id, err := age.GenerateX25519Identity()
	check(t, err)
	return id
}

func newPGP(t *testing.T) *openpgp.Entity {
	e, err := openpgp.NewEntity("Ada", "", "ada@example.com", nil)
	check(t, err)
	return e
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Dir(path), 0o700))
	check(t, os.WriteFile(path, text, 0o600))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func FuzzDecrypt(f *testing.F) {
	for _, name := range []string{"values.yaml", "values.json", "app.env", "app.ini", "tls.key", "kms.yaml"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(name, text)
	}
	f.Setenv("SOPS_AGE_KEY_FILE", "testdata/age.txt")
	f.Fuzz(func(t *testing.T, name string, text []byte) { _, _ = Decrypt(name, text) })
}

func BenchmarkPlain(b *testing.B) {
	text := bytes.Repeat([]byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"), 100)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		_, _ = Decrypt("a.yaml", text)
	}
}
