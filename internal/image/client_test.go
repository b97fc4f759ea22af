package image

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/image/imagetest"
	"slipway/internal/image/signature"
	"slipway/internal/project"
)

// keys are a signer, and the authority that accepts its signatures.
func keys(t *testing.T) (*signature.Signer, []signature.Authority) {
	t.Helper()
	key := imagetest.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	private := pem.EncodeToMemory(&pem.Block{
		Type: "PRIVATE KEY", Bytes: imagetest.Must(x509.MarshalPKCS8PrivateKey(key)),
	})
	public := pem.EncodeToMemory(&pem.Block{
		Type: "PUBLIC KEY", Bytes: imagetest.Must(x509.MarshalPKIXPublicKey(&key.PublicKey)),
	})
	by, err := signature.Authorities([]project.Signature{{Key: "k.pub"}}, func(string) ([]byte, error) {
		return public, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return imagetest.Must(signature.PrivateKey("k", private, nil)), by
}

// What deploy asks: it looks and verifies, then looks again and may copy, then compares platforms. A plan
// asks the same. No manifest is fetched twice.
func TestRequestsOfARun(t *testing.T) {
	registry := startCounted(t)
	signer, by := keys(t)
	built := imagetest.Image(300, "amd64", nil)
	for _, name := range []string{"alone", "signed"} {
		imagetest.Push(registry.host+"/"+name+":"+source.Tag, built)
	}
	imagetest.Push(registry.host+"/many:"+source.Tag, imagetest.Index(300, nil, "amd64"))
	pin := Pin{Repository: registry.host + "/signed", Digest: imagetest.Must(built.Digest()).String()}
	if err := Sign(t.Context(), pin, signer, Options{}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		by   []signature.Authority
		want []string
	}{
		"alone": {want: []string{
			"GET /v2/",                    // which login the registry wants
			"GET manifests/" + source.Tag, // the tag's digest, and the manifest
			"GET blobs/",                  // the configuration: the platform of an image that has no index
		}},
		"many": {want: []string{
			"GET /v2/",
			"GET manifests/" + source.Tag, // the index names the platforms
		}},
		"signed": {by: by, want: []string{
			"GET /v2/",
			"GET manifests/" + source.Tag,
			"GET referrers/",        // what is attached to the image
			"GET manifests/sha256:", // the attachment
			"GET blobs/",            // the signature in it
			"GET blobs/",            // the configuration
		}},
	} {
		t.Run(name, func(t *testing.T) {
			registry.take()
			o := Options{Client: NewClient(nil)}
			m := matched(registry.host+"/"+name, "", "")
			ensure := func(build bool) Pin {
				return imagetest.Must(Ensure(t.Context(), source, project.Environment{}, m, nil, build, o))
			}
			p := ensure(false)
			if c.by != nil {
				imagetest.Must(Signed(t.Context(), p, nil, c.by, o))
			}
			p = ensure(true)
			imagetest.Must(Platforms(t.Context(), p, o))
			if diff := cmp.Diff(c.want, shapes(registry.all, name)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// shapes are requests without the repository and the digests.
func shapes(requests []string, repository string) []string {
	var all []string
	for _, r := range requests {
		r = strings.Replace(r, "/v2/"+repository+"/", "", 1)
		if i := strings.Index(r, "sha256:"); i >= 0 && strings.HasPrefix(r, "GET manifests/") {
			r = r[:i+len("sha256:")]
		} else if i >= 0 {
			r = r[:i]
		}
		all = append(all, r)
	}
	return all
}
