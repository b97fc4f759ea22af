package signature

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// Signer signs with a key, or with the identity in a CI platform's token.
type Signer struct {
	// self is the authority of the key; empty without a key.
	self []Authority
	// with returns the key pair and the services of one signature.
	with func(context.Context) (sign.Keypair, sign.BundleOptions, error)
}

// KeyError says that a key cannot be used.
type KeyError struct {
	Name string
	Err  error
}

func (e *KeyError) Error() string { return fmt.Sprintf("key %s: %v", e.Name, e.Err) }
func (e *KeyError) Unwrap() error { return e.Err }

// TrustError says that a trusted root could not be loaded.
type TrustError struct {
	File string // empty: the public Sigstore's
	Err  error
}

func (e *TrustError) Error() string {
	return fmt.Sprintf("trusted root of signatures: %s: %v", cmp.Or(e.File, "the public Sigstore's"), e.Err)
}
func (e *TrustError) Unwrap() error { return e.Err }

// ServiceError says that a certificate authority, a transparency log or a timestamp authority failed.
type ServiceError struct{ Err error }

func (e *ServiceError) Error() string { return fmt.Sprintf("make a signature: %v", e.Err) }
func (e *ServiceError) Unwrap() error { return e.Err }

// PrivateKey returns a signer with a private key in PEM, plain or encrypted as by cosign. It fails with a
// *KeyError.
func PrivateKey(name string, text, password []byte) (*Signer, error) {
	key, err := cryptoutils.UnmarshalPEMToPrivateKey(text, cryptoutils.StaticPasswordFunc(password))
	if block, _ := pem.Decode(text); err != nil && block != nil && strings.HasPrefix(block.Type, "ENCRYPTED ") {
		err = errors.New("the password does not decrypt the key")
	}
	if err != nil {
		return nil, &KeyError{Name: name, Err: err}
	}
	private, ok := key.(crypto.Signer)
	if !ok {
		return nil, &KeyError{Name: name, Err: fmt.Errorf("%T cannot sign", key)}
	}
	self, err := publicKey(name, private.Public())
	if err != nil {
		return nil, err
	}
	algorithm, err := signature.GetDefaultAlgorithmDetails(private.Public())
	if err != nil {
		return nil, &KeyError{Name: name, Err: err}
	}
	return &Signer{self: []Authority{self}, with: func(ctx context.Context) (sign.Keypair,
		sign.BundleOptions, error) {
		return keypair{private, algorithm}, sign.BundleOptions{Context: ctx}, nil
	}}, nil
}

// Sign signs an image, unless the same key has signed it already. signed tells whether it did.
func (s *Signer) Sign(ctx context.Context, img Image) (signed bool, err error) {
	if len(s.self) > 0 {
		if who, _, err := Find(ctx, img, s.self); err != nil || who != "" {
			return false, err
		}
	}
	keys, o, err := s.with(ctx)
	if err != nil {
		return false, &ServiceError{err}
	}
	algorithm, hex, _ := strings.Cut(img.Digest.DigestStr(), ":")
	statement := fmt.Sprintf(
		`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{%q:%q}}],"predicateType":%q,"predicate":{}}`,
		algorithm, hex, predicateType)
	made, err := sign.Bundle(&sign.DSSEData{Data: []byte(statement),
		PayloadType: "application/vnd.in-toto+json"}, keys, o)
	if err != nil {
		return false, &ServiceError{err}
	}
	b, err := bundle.NewBundle(made)
	if err != nil {
		return false, err
	}
	return true, attach(img, b)
}

// keypair adapts a private key to the library, which supports only keys that it generates itself.
type keypair struct {
	crypto.Signer
	algorithm signature.AlgorithmDetails
}

func (k keypair) GetHashAlgorithm() protocommon.HashAlgorithm { return k.algorithm.GetProtoHashType() }
func (k keypair) GetSigningAlgorithm() protocommon.PublicKeyDetails {
	return k.algorithm.GetSignatureAlgorithm()
}
func (k keypair) GetKeyAlgorithm() string        { return fmt.Sprint(k.algorithm.GetKeyType()) }
func (k keypair) GetPublicKey() crypto.PublicKey { return k.Public() }
func (k keypair) GetPublicKeyPem() (string, error) {
	text, err := cryptoutils.MarshalPublicKeyToPEM(k.Public())
	return string(text), err
}

// GetHint is cosign's hint of a public key.
func (k keypair) GetHint() []byte {
	der, _ := x509.MarshalPKIXPublicKey(k.Public())
	sum := sha256.Sum256(der)
	return []byte(base64.StdEncoding.EncodeToString(sum[:]))
}

func (k keypair) SignData(_ context.Context, data []byte) (sig, digest []byte, err error) {
	hash := k.algorithm.GetHashType()
	if hash != 0 { // Ed25519 takes the data itself
		h := hash.New()
		h.Write(data)
		data = h.Sum(nil)
	}
	sig, err = k.Sign(rand.Reader, data, hash)
	return sig, data, err
}
