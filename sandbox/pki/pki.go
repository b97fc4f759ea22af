// Package pki keeps the keys and certificates of one sandbox in a folder: two authorities and the
// service-account key live as long as the folder, leaf certificates are issued anew at each start.
// It knows nothing of Kubernetes beyond the names that it is told.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Names of the authorities and of the service-account key in the folder.
const (
	CA             = "ca"
	FrontProxyCA   = "front-proxy-ca"
	ServiceAccount = "sa"
)

// Leaf describes one certificate to issue.
type Leaf struct {
	Name          string   // of its files
	CommonName    string   // the user name, for a client
	Organizations []string // the groups, for a client
	DNSNames      []string // makes it a serving certificate for these names and for loopback
	FrontProxy    bool     // signed by the front proxy's authority
}

// Keys is a folder of keys and certificates.
type Keys struct{ dir string }

// Cert is the path of a certificate.
func (k Keys) Cert(name string) string { return filepath.Join(k.dir, name+".crt") }

// Key is the path of a private key.
func (k Keys) Key(name string) string { return filepath.Join(k.dir, name+".key") }

// Public is the path of the service-account key's public half.
func (k Keys) Public() string { return filepath.Join(k.dir, ServiceAccount+".pub") }

// Ensure makes what the folder lacks and issues the leaves.
func Ensure(dir string, leaves []Leaf) (Keys, error) {
	k := Keys{dir}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return k, err
	}
	ca, err := k.authority(CA)
	if err != nil {
		return k, err
	}
	proxy, err := k.authority(FrontProxyCA)
	if err != nil {
		return k, err
	}
	if err := k.serviceAccount(); err != nil {
		return k, err
	}
	for _, l := range leaves {
		by := ca
		if l.FrontProxy {
			by = proxy
		}
		if err := k.issue(l, by); err != nil {
			return k, fmt.Errorf("issue %s: %w", l.Name, err)
		}
	}
	return k, nil
}

func (k Keys) authority(name string) (tls.Certificate, error) {
	// The certificate is written last, so its absence means that the pair is not there yet.
	if _, err := os.Stat(k.Cert(name)); errors.Is(err, fs.ErrNotExist) {
		if err := k.newAuthority(name); err != nil {
			return tls.Certificate{}, fmt.Errorf("make authority %s: %w", name, err)
		}
	}
	c, err := tls.LoadX509KeyPair(k.Cert(name), k.Key(name))
	if err != nil {
		return c, fmt.Errorf("read authority %s: %w", name, err)
	}
	return c, nil
}

func (k Keys) newAuthority(name string) error {
	t := template(pkix.Name{CommonName: "sandbox-" + name}, 10)
	t.IsCA, t.BasicConstraintsValid = true, true
	t.KeyUsage |= x509.KeyUsageCertSign
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	return k.sign(name, t, t, key, key)
}

func (k Keys) issue(l Leaf, by tls.Certificate) error {
	t := template(pkix.Name{CommonName: l.CommonName, Organization: l.Organizations}, 1)
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(l.DNSNames) > 0 {
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		t.DNSNames = append([]string{"localhost"}, l.DNSNames...)
		t.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	return k.sign(l.Name, t, by.Leaf, key, by.PrivateKey.(crypto.Signer))
}

func (k Keys) sign(name string, t, parent *x509.Certificate, key *ecdsa.PrivateKey, by crypto.Signer) error {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), by)
	if err != nil {
		return err
	}
	if err := writeKey(k.Key(name), key); err != nil {
		return err
	}
	return writePEM(k.Cert(name), "CERTIFICATE", der, 0o644)
}

// serviceAccount makes the key that signs service-account tokens. It outlives restarts, or every
// token that was handed out would die.
func (k Keys) serviceAccount() error {
	if _, err := os.Stat(k.Public()); err == nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if err := writeKey(k.Key(ServiceAccount), key); err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return writePEM(k.Public(), "PUBLIC KEY", der, 0o644)
}

func template(subject pkix.Name, years int) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      subject,
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(years, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(path, "EC PRIVATE KEY", der, 0o600)
}

// writePEM replaces the file in one step: a process killed half-way leaves no torn key behind.
func writePEM(path, kind string, der []byte, mode fs.FileMode) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
