package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"

	"slipway/internal/image/imagetest"
)

const bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// cmdSignature makes keys, looks at signatures with another client than ours, and fakes them:
//
//	signature key FILE [PASSWORD|ed25519]       writes FILE and FILE.pub; with a password in cosign's form
//	signature verify REPOSITORY@DIGEST FILE     with sigstore-go alone; FILE is the public key
//	signature count REPOSITORY@DIGEST           prints how many there are
//	signature move REPOSITORY FROM TO           what was signed of one digest, attached to another
//	signature forge REPOSITORY FROM TO          the same, with the digest in it replaced
func cmdSignature(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: signature key|verify|count|move|forge …")
	}
	switch args[0] {
	case "key":
		makeKey(ts, args[1:])
	case "verify":
		err := verifySignature(ts, args[1], ts.ReadFile(args[2]))
		if neg != (err != nil) {
			ts.Fatalf("signature of %s: %v", args[1], err)
		}
	case "count":
		fmt.Fprintln(ts.Stdout(), len(signaturesOf(ts, digestIn(ts, args[1]))))
	case "move", "forge":
		from, to := digestIn(ts, args[1]+"@"+args[2]), digestIn(ts, args[1]+"@"+args[3])
		for _, text := range signaturesOf(ts, from) {
			if args[0] == "forge" {
				text = forged(ts, text, args[2], args[3])
			}
			imagetest.Attach(to, bundleType, []byte(text))
		}
	default:
		ts.Fatalf("signature: unknown verb %s", args[0])
	}
}

func makeKey(ts *testscript.TestScript, args []string) {
	var key crypto.Signer
	var err error
	if len(args) > 1 && args[1] == "ed25519" {
		_, key, err = ed25519.GenerateKey(rand.Reader)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	ts.Check(err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	block := &pem.Block{Type: "PRIVATE KEY", Bytes: der}
	if len(args) > 1 && args[1] != "ed25519" {
		block.Type = "ENCRYPTED SIGSTORE PRIVATE KEY"
		block.Bytes, err = encrypted.Encrypt(der, []byte(args[1]))
		ts.Check(err)
	}
	public, err := cryptoutils.MarshalPublicKeyToPEM(key.Public())
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), pem.EncodeToMemory(block), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pub"), public, 0o644))
}

func digestIn(ts *testscript.TestScript, ref string) name.Digest {
	d, err := name.NewDigest(located(ref), name.Insecure)
	ts.Check(err)
	return d
}

// signaturesOf gives the bundles that the registry lists as referrers of an image.
func signaturesOf(ts *testscript.TestScript, d name.Digest) (texts []string) {
	index, err := remote.Referrers(d, remote.WithFilter("artifactType", bundleType))
	ts.Check(err)
	list, err := index.IndexManifest()
	ts.Check(err)
	for _, m := range list.Manifests {
		if m.ArtifactType != bundleType {
			continue
		}
		artifact, err := remote.Image(d.Context().Digest(m.Digest.String()))
		ts.Check(err)
		layers, err := artifact.Layers()
		ts.Check(err)
		r, err := layers[0].Compressed()
		ts.Check(err)
		text, err := io.ReadAll(r)
		ts.Check(err)
		ts.Check(r.Close())
		texts = append(texts, string(text))
	}
	return texts
}

func verifySignature(ts *testscript.TestScript, ref, public string) error {
	d := digestIn(ts, ref)
	key, err := cryptoutils.UnmarshalPEMToPublicKey([]byte(public))
	ts.Check(err)
	verifier, err := signature.LoadDefaultVerifier(key)
	ts.Check(err)
	trusted := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return root.NewExpiringKey(verifier, time.Time{}, time.Time{}), nil
	})
	v, err := verify.NewVerifier(trusted, verify.WithNoObserverTimestamps())
	ts.Check(err)
	algorithm, digits, _ := strings.Cut(d.DigestStr(), ":")
	raw, err := hex.DecodeString(digits)
	ts.Check(err)
	err = fmt.Errorf("there is none")
	for _, text := range signaturesOf(ts, d) {
		b := &bundle.Bundle{}
		ts.Check(b.UnmarshalJSON([]byte(text)))
		if _, err = v.Verify(b, verify.NewPolicy(verify.WithArtifactDigest(algorithm, raw),
			verify.WithKey())); err == nil {
			return nil
		}
	}
	return err
}

// forged is a bundle whose statement names another digest than the one that was signed.
func forged(ts *testscript.TestScript, text, from, to string) string {
	var b struct {
		MediaType            string          `json:"mediaType"`
		VerificationMaterial json.RawMessage `json:"verificationMaterial"`
		DSSE                 struct {
			Payload     []byte          `json:"payload"`
			PayloadType string          `json:"payloadType"`
			Signatures  json.RawMessage `json:"signatures"`
		} `json:"dsseEnvelope"`
	}
	ts.Check(json.Unmarshal([]byte(text), &b))
	before := b.DSSE.Payload
	b.DSSE.Payload = bytes.ReplaceAll(before, []byte(strings.TrimPrefix(from, "sha256:")),
		[]byte(strings.TrimPrefix(to, "sha256:")))
	if bytes.Equal(before, b.DSSE.Payload) {
		ts.Fatalf("nothing was forged in %s", before)
	}
	out, err := json.Marshal(b)
	ts.Check(err)
	return string(out)
}
