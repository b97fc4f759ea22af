package sops

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"filippo.io/age/armor"
	"github.com/ProtonMail/go-crypto/openpgp"
	pgparmor "github.com/ProtonMail/go-crypto/openpgp/armor"
)

// KeyError reports that no key for an encrypted file was found.
type KeyError struct {
	File string
	// Recipients can decrypt it. Looked are the places that were searched for keys, with the result.
	Recipients, Looked []string
	// Refused is the reason why no key was searched for.
	Refused string
}

func (e *KeyError) Error() string {
	if e.Refused != "" {
		return e.File + ": decrypt: " + e.Refused
	}
	return fmt.Sprintf("%s: decrypt: no key for %s; searched %s", e.File, strings.Join(e.Recipients, " or "),
		strings.Join(e.Looked, ", "))
}

// metadata is what SOPS writes into a file beside the values. Each single key decrypts the data key.
type metadata struct {
	Age []struct {
		Recipient string `yaml:"recipient"`
		Enc       string `yaml:"enc"`
	} `yaml:"age"`
	PGP []struct {
		Fingerprint string `yaml:"fp"`
		Enc         string `yaml:"enc"`
	} `yaml:"pgp"`
	KMS           []any  `yaml:"kms"`
	GCP           []any  `yaml:"gcp_kms"`
	Azure         []any  `yaml:"azure_kv"`
	Vault         []any  `yaml:"hc_vault"`
	Huawei        []any  `yaml:"hckms"`
	Groups        []any  `yaml:"key_groups"`
	LastModified  string `yaml:"lastmodified"`
	MAC           string `yaml:"mac"`
	EncryptedOnly bool   `yaml:"mac_only_encrypted"`
}

// services are the names of key services that need the network.
func (m *metadata) services() []string {
	var names []string
	for _, s := range []struct {
		name string
		keys []any
	}{{"AWS KMS", m.KMS}, {"GCP KMS", m.GCP}, {"Azure Key Vault", m.Azure}, {"HashiCorp Vault", m.Vault},
		{"Huawei Cloud KMS", m.Huawei}} {
		if len(s.keys) > 0 {
			names = append(names, s.name)
		}
	}
	return names
}

// dataKey decrypts the key of the values.
func (m *metadata) dataKey(name string) ([]byte, error) {
	missing := &KeyError{File: name}
	if len(m.Age) > 0 {
		ids := identities(&missing.Looked)
		for _, k := range m.Age {
			missing.Recipients = append(missing.Recipients, k.Recipient)
			if r, err := age.Decrypt(armor.NewReader(strings.NewReader(k.Enc)), ids...); err == nil {
				return io.ReadAll(r)
			}
		}
	}
	if len(m.PGP) > 0 {
		ring := keyring(&missing.Looked)
		for _, k := range m.PGP {
			missing.Recipients = append(missing.Recipients, "PGP "+k.Fingerprint)
			if key, err := openPGP(k.Enc, ring); err == nil {
				return key, nil
			}
		}
	}
	if len(m.Groups) > 0 {
		missing.Refused = "key groups (key_groups) are not supported"
	} else if len(missing.Recipients) == 0 {
		missing.Refused = "its key is in " + strings.Join(m.services(), " and ") +
			": no service is asked over the network while rendering"
	}
	return nil, missing
}

func openPGP(enc string, ring openpgp.EntityList) ([]byte, error) {
	block, err := pgparmor.Decode(strings.NewReader(enc))
	if err != nil {
		return nil, err
	}
	message, err := openpgp.ReadMessage(block.Body, ring, nil, nil)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(message.UnverifiedBody)
}

// identities are the user's age keys, from the places where SOPS looks for them; looked reports the places.
// It starts no program (SOPS_AGE_KEY_CMD, plugins) and asks for no passphrase.
func identities(looked *[]string) []age.Identity {
	var ids []age.Identity
	take := func(place string, text []byte, err error) {
		switch n := len(ids); {
		case errors.Is(err, os.ErrNotExist):
			*looked = append(*looked, place+" (does not exist)")
		case err != nil:
			*looked = append(*looked, place+" (cannot be read)")
		default:
			ids = append(ids, parse(text)...)
			*looked = append(*looked, fmt.Sprintf("%s (%s)", place, count(len(ids)-n)))
		}
	}
	if keys, ok := os.LookupEnv("SOPS_AGE_KEY"); ok {
		take("SOPS_AGE_KEY", []byte(keys), nil)
	} else {
		*looked = append(*looked, "SOPS_AGE_KEY (not set)")
	}
	for _, variable := range []string{"SOPS_AGE_KEY_FILE", "SOPS_AGE_SSH_PRIVATE_KEY_FILE"} {
		if path := os.Getenv(variable); path != "" {
			text, err := os.ReadFile(path)
			take(variable+"="+path, text, err)
		}
	}
	if config, err := configDir(); err == nil {
		path := filepath.Join(config, "sops", "age", "keys.txt")
		text, err := os.ReadFile(path)
		take(path, text, err)
	}
	if home, err := os.UserHomeDir(); err == nil {
		for _, name := range []string{"id_ed25519", "id_rsa"} {
			path := filepath.Join(home, ".ssh", name)
			if text, err := os.ReadFile(path); err == nil {
				take(path, text, nil)
			}
		}
	}
	for _, variable := range []string{"SOPS_AGE_KEY_CMD", "SOPS_AGE_SSH_PRIVATE_KEY_CMD"} {
		if os.Getenv(variable) != "" {
			*looked = append(*looked, variable+" (not run: rendering starts no program)")
		}
	}
	return ids
}

func configDir() (string, error) {
	if dir := os.Getenv("XDG_CONFIG_HOME"); dir != "" && runtime.GOOS == "darwin" {
		return dir, nil
	}
	return os.UserConfigDir()
}

func count(keys int) string {
	if keys == 0 {
		return "no usable key"
	}
	return fmt.Sprintf("%d of other recipients", keys)
}

// parse returns all keys that it finds in a text.
func parse(text []byte) []age.Identity {
	if bytes.Contains(text, []byte("PRIVATE KEY-----")) {
		if id, err := agessh.ParseIdentity(text); err == nil {
			return []age.Identity{id}
		}
		return nil
	}
	var ids []age.Identity
	for _, word := range strings.Fields(string(text)) {
		if id, err := age.ParseIdentities(strings.NewReader(word)); err == nil {
			ids = append(ids, id...)
		}
	}
	return ids
}

// keyring reads GnuPG's file of secret keys, but not the newer format, which only GnuPG's own programs read.
func keyring(looked *[]string) openpgp.EntityList {
	dir := os.Getenv("GNUPGHOME")
	if dir == "" {
		home, _ := os.UserHomeDir()
		dir = filepath.Join(home, ".gnupg")
	}
	path := filepath.Join(dir, "secring.gpg")
	text, err := os.ReadFile(path)
	if err != nil {
		*looked = append(*looked,
			path+" (does not exist; gpg is not started: create it with `gpg --export-secret-keys`)")
		return nil
	}
	read := openpgp.ReadKeyRing
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("-----BEGIN")) {
		read = openpgp.ReadArmoredKeyRing
	}
	ring, err := read(bytes.NewReader(text))
	if err != nil {
		*looked = append(*looked, path+" (not a keyring)")
		return nil
	}
	ring = slices.DeleteFunc(ring, func(e *openpgp.Entity) bool {
		return e.PrivateKey == nil || e.PrivateKey.Encrypted
	})
	*looked = append(*looked, fmt.Sprintf("%s (%s)", path, count(len(ring))))
	return ring
}
