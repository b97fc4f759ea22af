package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"

	"slipway/sandbox/pki"
)

var leaves = []pki.Leaf{
	{Name: "server", CommonName: "server", DNSNames: []string{"*.kube-system.svc"}},
	{Name: "user", CommonName: "prod-user", Organizations: []string{"people"}},
	{Name: "proxy", CommonName: "front-proxy-client", FrontProxy: true},
}

func TestLeavesVerifyAgainstTheirAuthority(t *testing.T) {
	keys, err := pki.Ensure(t.TempDir(), leaves)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		leaf, authority string
		use             x509.ExtKeyUsage
		host            string
		ok              bool
	}{
		{"server", pki.CA, x509.ExtKeyUsageServerAuth, "127.0.0.1", true},
		{"server", pki.CA, x509.ExtKeyUsageServerAuth, "sandbox-metrics.kube-system.svc", true},
		{"server", pki.CA, x509.ExtKeyUsageServerAuth, "example.com", false},
		{"server", pki.CA, x509.ExtKeyUsageClientAuth, "", false},
		{"user", pki.CA, x509.ExtKeyUsageClientAuth, "", true},
		{"user", pki.FrontProxyCA, x509.ExtKeyUsageClientAuth, "", false},
		{"proxy", pki.FrontProxyCA, x509.ExtKeyUsageClientAuth, "", true},
		{"proxy", pki.CA, x509.ExtKeyUsageClientAuth, "", false},
	} {
		pair, err := tls.LoadX509KeyPair(keys.Cert(c.leaf), keys.Key(c.leaf))
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(read(t, keys.Cert(c.authority)))
		_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{c.use},
			DNSName: c.host})
		if (err == nil) != c.ok {
			t.Errorf("%s by %s for %q: %v", c.leaf, c.authority, c.host, err)
		}
	}
}

func TestSecondStartKeepsAuthoritiesAndServiceAccountKey(t *testing.T) {
	dir := t.TempDir()
	keys, err := pki.Ensure(dir, leaves)
	if err != nil {
		t.Fatal(err)
	}
	lasting := []string{keys.Cert(pki.CA), keys.Cert(pki.FrontProxyCA),
		keys.Key(pki.ServiceAccount), keys.Public()}
	before := map[string]string{}
	for _, p := range append(lasting, keys.Cert("user")) {
		before[p] = string(read(t, p))
	}
	if _, err := pki.Ensure(dir, leaves); err != nil {
		t.Fatal(err)
	}
	for _, p := range lasting {
		if string(read(t, p)) != before[p] {
			t.Errorf("%s changed", p)
		}
	}
	if string(read(t, keys.Cert("user"))) == before[keys.Cert("user")] {
		t.Error("the leaf was not issued anew")
	}
}

func TestPrivateKeysAreForTheOwnerOnly(t *testing.T) {
	keys, err := pki.Ensure(t.TempDir(), leaves)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{pki.CA, pki.FrontProxyCA, pki.ServiceAccount, "server", "user"} {
		st, err := os.Stat(keys.Key(n))
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v", n, st.Mode())
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
