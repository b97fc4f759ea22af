package signature

import (
	"errors"
	"os"
	"strings"
)

// Lookup returns a variable of the environment, as os.LookupEnv does.
type Lookup func(name string) (value string, set bool)

// SignerOptions say what to sign with. The zero value signs with the identity token of a CI job, and with the
// public Sigstore.
type SignerOptions struct {
	// Key names a private key, as ReadNamed reads it; $COSIGN_PASSWORD decrypts it.
	Key string
	// Config is a file that names the Sigstore services to sign with, without a Key.
	Config string
}

// NewSigner returns a signer. It fails with a *KeyError, or with ErrNoToken where there is neither a key nor
// an identity token.
func NewSigner(o SignerOptions, env Lookup) (*Signer, error) {
	variable := func(name string) string {
		value, _ := env(name)
		return value
	}
	if o.Key != "" {
		text, err := ReadNamed(o.Key, env)
		if err != nil {
			return nil, &KeyError{Name: o.Key, Err: err}
		}
		return PrivateKey(o.Key, text, []byte(variable("COSIGN_PASSWORD")))
	}
	var config []byte
	if o.Config != "" {
		var err error
		if config, err = os.ReadFile(o.Config); err != nil {
			return nil, err
		}
	}
	return Keyless(config, variable)
}

// ReadNamed reads a file, or the variable of an env://NAME, as cosign does.
func ReadNamed(name string, env Lookup) ([]byte, error) {
	variable, ok := strings.CutPrefix(name, "env://")
	if !ok {
		return os.ReadFile(name)
	}
	text, set := env(variable)
	if !set {
		return nil, errors.New("the variable is not set")
	}
	return []byte(text), nil
}
