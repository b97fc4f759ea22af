package main

import (
	"errors"
	"os"

	"github.com/spf13/pflag"

	"slipway/internal/image/signature"
)

// signing holds the flags of build that are about signatures.
type signing struct {
	sign        bool
	key, config string
}

func signFlags(f *pflag.FlagSet, usage string) *signing {
	var s signing
	f.BoolVar(&s.sign, "sign", false, usage)
	f.StringVar(&s.key, "key", "",
		"with --sign: private key, FILE or env://NAME; $COSIGN_PASSWORD decrypts it")
	f.StringVar(&s.config, "signing-config", "",
		"with --sign, without --key: `FILE` that names the Sigstore services (default the public ones)")
	return &s
}

// asked says that one of the flags was given.
func (s *signing) asked() bool { return s.sign || s.key+s.config != "" }

// signer returns the signer, so that a wrong key fails before the build; nil without --sign.
func (s *signing) signer() (*signature.Signer, error) {
	switch {
	case !s.sign && s.key+s.config != "":
		return nil, &usageError{errors.New("--key and --signing-config require --sign")}
	case !s.sign:
		return nil, nil
	case s.key != "" && s.config != "":
		return nil, &usageError{errors.New("--signing-config cannot be used with --key")}
	}
	return signature.NewSigner(signature.SignerOptions{Key: s.key, Config: s.config}, os.LookupEnv)
}
