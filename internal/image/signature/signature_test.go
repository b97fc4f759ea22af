package signature_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"google.golang.org/protobuf/encoding/protojson"

	"slipway/internal/image/imagetest"
	"slipway/internal/image/signature"
	"slipway/internal/project"
)

const (
	bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"
	predicate  = "https://sigstore.dev/cosign/sign/v1"
	identity   = "https://github.com/acme/shop/.github/workflows/ci.yml@refs/heads/main"
	issuer     = "https://token.actions.githubusercontent.com"
)

// repository is one in a registry of this process, with the referrers API or without.
func repository(t *testing.T, api bool) name.Repository {
	t.Helper()
	return imagetest.Must(name.NewRepository(imagetest.Start(t, registry.WithReferrersSupport(api))+"/acme/shop",
		name.Insecure))
}

func pushed(t *testing.T, r name.Repository) signature.Image {
	img := imagetest.Must(random.Image(64, 1))
	digest := imagetest.Must(img.Digest()).String()
	imagetest.Push(r.Name()+"@"+digest, img)
	return signature.Image{Digest: r.Digest(digest), Options: []remote.Option{remote.WithContext(t.Context())}}
}

func pemOf(t *testing.T, key crypto.Signer) (private, public []byte) {
	t.Helper()
	der := imagetest.Must(x509.MarshalPKCS8PrivateKey(key))
	pub := imagetest.Must(x509.MarshalPKIXPublicKey(key.Public()))
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub})
}

func authority(t *testing.T, d project.Signature, file []byte) []signature.Authority {
	t.Helper()
	by := imagetest.Must(signature.Authorities([]project.Signature{d}, func(string) ([]byte, error) {
		return file, nil
	}))
	return by
}

func find(t *testing.T, img signature.Image, by []signature.Authority) (who, found string) {
	t.Helper()
	who, list, err := signature.Find(t.Context(), img, by)
	if err != nil {
		t.Fatal(err)
	}
	return who, strings.Join(list, "\n")
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	text := imagetest.Must(os.ReadFile("testdata/" + name))
	return text
}

// Each kind of key signs, once, in registries of both kinds; and its public half alone verifies it.
func TestKeys(t *testing.T) {
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	large, _ := rsa.GenerateKey(rand.Reader, 2048)
	_, other := pemOf(t, p256)
	cases := map[string]struct{ private, public []byte }{
		"cosign's own": {readFile(t, "cosign.key"), readFile(t, "cosign.pub")},
	}
	for name, key := range map[string]crypto.Signer{"P-384": p384, "Ed25519": ed, "RSA": large} {
		c := cases[name]
		c.private, c.public = pemOf(t, key)
		cases[name] = c
	}
	for name, c := range cases {
		for _, api := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				img := pushed(t, repository(t, api))
				s := imagetest.Must(signature.PrivateKey("key", c.private, []byte("test")))
				for _, want := range []bool{true, false} {
					if signed, err := s.Sign(t.Context(), img); err != nil || signed != want {
						t.Fatalf("signed: %v, want %v: %v", signed, want, err)
					}
				}
				if who, found := find(t, img, authority(t, project.Signature{Key: "its own"},
					c.public)); who != "its own" {
					t.Error(found)
				}
				if who, found := find(t, img, authority(t, project.Signature{Key: "another"}, other)); who != "" ||
					!strings.HasSuffix(found, "is not one: made with another key, or modified") {
					t.Errorf("by %q: %s", who, found)
				}
			})
		}
	}
}

// What cosign 3.1.3 has signed is signed (`cosign sign --key cosign.key`).
func TestCosignsSignature(t *testing.T) {
	img := signature.Image{Digest: repository(t,
		true).Digest("sha256:eba388b6ef64b1556f3ad35c5445a3df3e53d9d325aef116f2dc70da2d4f3ae0")}
	imagetest.Attach(img.Digest, bundleType, readFile(t, "cosign.json"))
	if who, found := find(t, img, authority(t, project.Signature{Key: "cosign.pub"},
		readFile(t, "cosign.pub"))); who != "cosign.pub" {
		t.Error(found)
	}
}

func TestBadKeys(t *testing.T) {
	for name, c := range map[string]struct{ text, password, want string }{
		"no PEM": {"hello", "", "PEM decoding failed"},
		"public": {string(readFile(t, "cosign.pub")), "", "unknown private key"},
		"wrong password": {string(readFile(t, "cosign.key")), "tset",
			"the password does not decrypt the key"},
		"no password": {string(readFile(t, "cosign.key")), "", "the password does not decrypt the key"},
	} {
		_, err := signature.PrivateKey("some.key", []byte(c.text), []byte(c.password))
		if e := (*signature.KeyError)(nil); !errors.As(err, &e) || !strings.Contains(err.Error(),
			"key some.key: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Other attachments, broken ones and thousands of them, are not signatures and do no harm.
func TestOtherAttachments(t *testing.T) {
	img := pushed(t, repository(t, true))
	by := authority(t, project.Signature{Key: "cosign.pub"}, readFile(t, "cosign.pub"))
	imagetest.Attach(img.Digest, bundleType, []byte(`{"mediaType":"`+bundleType+`"}`))
	imagetest.Attach(img.Digest, bundleType, []byte("garbage"))
	who, found := find(t, img, by)
	if who != "" || strings.Count(found, "\n") != 1 {
		t.Errorf("by %q: %s", who, found)
	}
	for range 101 {
		imagetest.Attach(img.Digest, bundleType, []byte(rand.Text()))
	}
	if who, found = find(t, img, by); who != "" || !strings.HasSuffix(found,
		"3 more attachments were not read") {
		t.Errorf("by %q: %s", who, found)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	img.Options = []remote.Option{remote.WithContext(ctx)}
	if _, _, err := signature.Find(ctx, img, by); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// sigstore is a Sigstore in this process, and the file that makes others trust it.
func sigstore(t *testing.T) (*ca.VirtualSigstore, []byte) {
	t.Helper()
	s, err := ca.NewVirtualSigstore()
	if err != nil {
		t.Fatal(err)
	}
	logs := s.RekorLogs()
	for id, l := range logs {
		if l.ID, err = hex.DecodeString(id); err != nil { // it is given in the wrong form
			t.Fatal(err)
		}
	}
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01, s.FulcioCertificateAuthorities(), nil,
		s.TimestampingAuthorities(), logs)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(trusted)
	if err != nil {
		t.Fatal(err)
	}
	return s, text
}

// keyless is a bundle that a Sigstore's services have made of a statement.
func keyless(t *testing.T, s *ca.VirtualSigstore, statement string, logged bool) []byte {
	t.Helper()
	entity := imagetest.Must(s.AttestHashedRekordV2(identity, issuer, []byte(statement)))
	content := imagetest.Must(entity.VerificationContent())
	sig := imagetest.Must(entity.SignatureContent())
	envelope := sig.EnvelopeContent().RawEnvelope()
	raw := imagetest.Must(base64.StdEncoding.DecodeString(envelope.Signatures[0].Sig))
	times := imagetest.Must(entity.Timestamps())
	b := &protobundle.Bundle{
		MediaType: bundleType,
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content: &protobundle.VerificationMaterial_Certificate{
				Certificate: &protocommon.X509Certificate{RawBytes: content.Certificate().Raw},
			},
			TimestampVerificationData: &protobundle.TimestampVerificationData{
				Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: times[0]}},
			},
		},
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: []byte(statement), PayloadType: envelope.PayloadType,
			Signatures: []*protodsse.Signature{{Sig: raw}},
		}},
	}
	entries := imagetest.Must(entity.TlogEntries())
	for _, e := range entries {
		if logged {
			b.VerificationMaterial.TlogEntries = append(b.VerificationMaterial.TlogEntries, e.TransparencyLogEntry())
		}
	}
	text := imagetest.Must(protojson.Marshal(b))
	return text
}

// An identity counts by its name and by who vouches for it, where the services of one's own trust say so.
func TestIdentities(t *testing.T) {
	mine, trust := sigstore(t)
	theirs, _ := sigstore(t)
	r := repository(t, true)
	statement := func(img signature.Image, predicate string) string {
		return `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` +
			strings.TrimPrefix(img.Digest.DigestStr(), "sha256:") + `"}}],"predicateType":"` + predicate +
			`","predicate":{}}`
	}
	for name, c := range map[string]struct {
		identity, issuer, predicate string
		by                          *ca.VirtualSigstore
		unlogged                    bool
		want                        string // part of why not; empty: it is signed
	}{
		"who it is":         {identity: identity},
		"any branch":        {identity: "https://github.com/acme/shop/.github/workflows/ci.yml@*"},
		"another branch":    {identity: strings.TrimSuffix(identity, "main") + "dev", want: "SAN"},
		"a part of it":      {identity: strings.TrimSuffix(identity, "/main"), want: "SAN"},
		"a pattern's sign":  {identity: strings.ReplaceAll(identity, ".", "+"), want: "SAN"},
		"another issuer":    {identity: identity, issuer: "https://example.com", want: "issuer"},
		"services not ours": {identity: identity, by: theirs, want: "transparency log: 0 < 1"},
		"not in a log":      {identity: identity, unlogged: true, want: "transparency log"},
		"an attestation": {identity: identity, predicate: "https://slsa.dev/provenance/v1",
			want: "an attestation, not a signature"},
	} {
		t.Run(name, func(t *testing.T) {
			img := pushed(t, r)
			by, kind, who := mine, predicate, project.Signature{Identity: c.identity, Issuer: issuer,
				TrustedRoot: "root.json"}
			if c.by != nil {
				by = c.by
			}
			if c.predicate != "" {
				kind = c.predicate
			}
			if c.issuer != "" {
				who.Issuer = c.issuer
			}
			imagetest.Attach(img.Digest, bundleType, keyless(t, by, statement(img, kind), !c.unlogged))
			got, found := find(t, img, authority(t, who, trust))
			if (got != "") != (c.want == "") || !strings.Contains(found, c.want) {
				t.Errorf("by %q: %s", got, found)
			}
			// A key never vouches for an identity's signature.
			if got, found := find(t, img, authority(t, project.Signature{Key: "cosign.pub"},
				readFile(t, "cosign.pub"))); got != "" || found == "" {
				t.Errorf("by %q", got)
			}
		})
	}
}

func TestKeylessNeedsAToken(t *testing.T) {
	if _, err := signature.Keyless(nil, func(string) string {
		return ""
	}); !errors.Is(err, signature.ErrNoToken) {
		t.Error(err)
	}
	_, err := signature.Keyless([]byte("{"), func(string) string { return "x" })
	if err == nil || !strings.Contains(err.Error(), "signing services: ") ||
		bytes.Contains([]byte(err.Error()), []byte("\n")) {
		t.Error(err)
	}
}

// GitHub's runner is asked for a token for Sigstore, and Fulcio gets it. What they refuse is said, and
// nothing is attached. (Signing with services that answer is not run here: there are none without a network.)
func TestKeylessAsks(t *testing.T) {
	const token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJjaSJ9.eA"
	certified := ""
	given := `{"value": "` + token + `"}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token" && r.URL.RawQuery == "job=1&audience=sigstore" &&
			r.Header.Get("Authorization") == "Bearer secret":
			_, _ = io.WriteString(w, given)
		case r.URL.Path == "/api/v2/signingCert":
			certified = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
			http.Error(w, "not today", http.StatusForbidden)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	service := func(version string) string {
		return `[{"url":"` + server.URL + `","majorApiVersion":` + version +
			`,"validFor":{"start":"2020-01-01T00:00:00Z"},"operator":"a"}]`
	}
	config := `{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","caUrls":` + service("1") +
		`,"rekorTlogUrls":` + service("2") + `,"rekorTlogConfig":{"selector":"ANY"},"tsaUrls":` + service("1") +
		`,"tsaConfig":{"selector":"ANY"}}`
	env := map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": server.URL + "/token?job=1",
		"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "secret"}
	s := imagetest.Must(signature.Keyless([]byte(config), func(name string) string { return env[name] }))
	img := pushed(t, repository(t, true))
	sign := func() string {
		signed, err := s.Sign(t.Context(), img)
		if e := (*signature.ServiceError)(nil); signed || !errors.As(err, &e) {
			t.Fatalf("signed: %v: %v", signed, err)
		}
		return err.Error()
	}
	if why := sign(); certified != token || !strings.Contains(why, "403") || strings.Contains(why, token) {
		t.Errorf("Fulcio got %q: %s", certified, why)
	}
	given = `{}`
	if why := sign(); !strings.Contains(why, "ask GitHub for an identity token: ") ||
		strings.Contains(why, "secret") {
		t.Error(why)
	}
	if _, found := find(t, img, authority(t, project.Signature{Key: "cosign.pub"},
		readFile(t, "cosign.pub"))); found != "" {
		t.Error(found)
	}
}
