package signature

import (
	"crypto"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"

	"slipway/internal/project"
)

// Authority is a key or an identity whose signatures are trusted.
type Authority struct {
	Name    string
	trusted root.TrustedMaterial
	how     []verify.VerifierOption
	who     verify.PolicyOption
}

// Authorities loads the keys and trusted roots of the signatures that a project accepts. It fails with a
// *KeyError or a *TrustError.
func Authorities(may []project.Signature, read func(name string) ([]byte, error)) ([]Authority, error) {
	var list []Authority
	for _, d := range may {
		var a Authority
		var err error
		if d.Key != "" {
			a, err = readKey(d.Key, read)
		} else {
			a, err = identity(d, read)
		}
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

func readKey(name string, read func(string) ([]byte, error)) (Authority, error) {
	text, err := read(name)
	var key crypto.PublicKey
	if err == nil {
		key, err = cryptoutils.UnmarshalPEMToPublicKey(text)
	}
	if err != nil {
		return Authority{}, &KeyError{Name: name, Err: err}
	}
	return publicKey(name, key)
}

func publicKey(name string, key crypto.PublicKey) (Authority, error) {
	verifier, err := signature.LoadDefaultVerifier(key)
	if err != nil {
		return Authority{}, &KeyError{Name: name, Err: err}
	}
	lasting := root.NewExpiringKey(verifier, time.Time{}, time.Time{})
	return Authority{
		Name: name,
		trusted: root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
			return lasting, nil
		}),
		how: []verify.VerifierOption{verify.WithNoObserverTimestamps()},
		who: verify.WithKey(),
	}, nil
}

// identity is an authority without a key: the signature must be in a transparency log, and made while its
// certificate was valid.
func identity(d project.Signature, read func(string) ([]byte, error)) (Authority, error) {
	var trusted *root.TrustedRoot
	var err error
	if d.TrustedRoot == "" {
		trusted, err = root.FetchTrustedRoot()
	} else {
		var text []byte
		if text, err = read(d.TrustedRoot); err == nil {
			trusted, err = root.NewTrustedRootFromJSON(text)
		}
	}
	if err != nil {
		return Authority{}, &TrustError{File: d.TrustedRoot, Err: err}
	}
	pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(d.Identity), `\*`, ".*") + "$"
	who, err := verify.NewShortCertificateIdentity(d.Issuer, "", "", pattern)
	if err != nil {
		return Authority{}, fmt.Errorf("identity %s of %s: %w", d.Identity, d.Issuer, err)
	}
	a := Authority{
		Name: d.Identity, trusted: trusted,
		how: []verify.VerifierOption{verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1)},
		who: verify.WithCertificateIdentity(who),
	}
	if len(trusted.CTLogs()) > 0 {
		a.how = append(a.how, verify.WithSignedCertificateTimestamps(1))
	}
	return a, nil
}

// verify returns why a bundle is not a signature of this digest by this authority; empty where it is.
func (a Authority) verify(b *bundle.Bundle, digest v1.Hash) string {
	v, err := verify.NewVerifier(a.trusted, a.how...)
	if err != nil {
		return err.Error()
	}
	raw, err := hex.DecodeString(digest.Hex)
	if err != nil {
		return err.Error()
	}
	result, err := v.Verify(b, verify.NewPolicy(verify.WithArtifactDigest(digest.Algorithm, raw), a.who))
	switch {
	case err != nil && strings.Contains(err.Error(), "could not verify envelope"):
		return "made with another key, or modified"
	case err != nil && strings.Contains(err.Error(), "does not match any digest"):
		return "made for another image"
	case err != nil:
		return err.Error()
	// An attestation, such as a provenance or a vulnerability report, is not a signature of the image.
	case result.Statement == nil || result.Statement.PredicateType != predicateType:
		return "an attestation, not a signature"
	}
	return ""
}
