package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// authority makes a certificate of its own authority for 127.0.0.1.
func authority(t *testing.T) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"},
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	raw, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
}

// The API server gets another authority: its file is read again when a cluster is opened, as for each commit.
// The token of the pod expires: its file is read again as soon as the server refuses the one that is known.
func TestFault51Rotation(t *testing.T) {
	first, firstText := authority(t)
	second, secondText := authority(t)
	var token atomic.Value
	token.Store("secret")
	var serves atomic.Pointer[tls.Certificate]
	serves.Store(&first)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token.Load().(string) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(`{}`))
	}))
	s.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{Certificates: []tls.Certificate{*serves.Load()}}, nil
	}}
	s.StartTLS()
	t.Cleanup(s.Close)
	dir := t.TempDir()
	mount := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mount("token", "secret")
	mount("namespace", "prod")
	mount("ca.crt", string(firstText))
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
	t.Setenv("KUBERNETES_SERVICE_PORT", port)
	var shared Connections
	reach := func() *Cluster {
		t.Helper()
		c, err := OpenInCluster(dir, Options{Shared: &shared})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ask := func(c *Cluster) error {
		return c.typed.CoreV1().RESTClient().Get().AbsPath("/version").Do(t.Context()).Error()
	}
	c := reach()
	if err := ask(c); err != nil {
		t.Fatal(err)
	}
	serves.Store(&second)
	mount("ca.crt", string(secondText))
	s.CloseClientConnections()
	if err := ask(c); err == nil {
		t.Error("the connection goes on with the old authority's certificate")
	}
	c = reach()
	if err := ask(c); err != nil {
		t.Errorf("after the authority was replaced: %v", err)
	}
	// The kubelet writes another token, and the server does not take the old one any more.
	mount("token", "next")
	token.Store("next")
	if err := ask(c); !apierrors.IsUnauthorized(err) && err != nil {
		t.Errorf("with the old token: %v", err)
	}
	if err := ask(c); err != nil {
		t.Errorf("after the token was replaced: %v", err)
	}
}
