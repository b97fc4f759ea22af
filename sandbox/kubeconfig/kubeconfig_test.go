package kubeconfig_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"

	"slipway/sandbox/kubeconfig"
	"slipway/sandbox/pki"
)

func sample(t *testing.T) kubeconfig.File {
	t.Helper()
	keys, err := pki.Ensure(t.TempDir(), []pki.Leaf{{Name: "dev", CommonName: "dev-user"},
		{Name: "prod", CommonName: "prod-user"}})
	if err != nil {
		t.Fatal(err)
	}
	f := kubeconfig.File{
		Server: "https://127.0.0.1:1", CAFile: keys.Cert(pki.CA),
		Sandbox: &kubeconfig.Sandbox{Registry: "127.0.0.1:2", GitServer: "http://127.0.0.1:3", Data: "/data"},
	}
	for _, n := range []string{"dev", "prod"} {
		f.Contexts = append(f.Contexts, kubeconfig.Context{Name: n, Namespace: n, User: n + "-user",
			CertFile: keys.Cert(n), KeyFile: keys.Key(n)})
	}
	return f
}

func TestClientsReadContextsAndTheSandboxMark(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kubeconfig")
	f := sample(t)
	if err := kubeconfig.Write(path, f); err != nil {
		t.Fatal(err)
	}
	c, err := clientcmd.LoadFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if c.CurrentContext != "dev" {
		t.Errorf("current context %q", c.CurrentContext)
	}
	prod := c.Contexts["prod"]
	if prod == nil || prod.Namespace != "prod" || prod.AuthInfo != "prod-user" {
		t.Errorf("context prod: %+v", prod)
	}
	ext, ok := c.Clusters[prod.Cluster].Extensions[kubeconfig.Extension].(*runtime.Unknown)
	if !ok {
		t.Fatalf("extensions: %v", c.Clusters[prod.Cluster].Extensions)
	}
	var got kubeconfig.Sandbox
	if err := json.Unmarshal(ext.Raw, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(*f.Sandbox, got); d != "" {
		t.Error(d)
	}
}

func TestChosenContextStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kubeconfig")
	f := sample(t)
	if err := kubeconfig.Write(path, f); err != nil {
		t.Fatal(err)
	}
	c, err := clientcmd.LoadFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c.CurrentContext = "prod"
	if err := clientcmd.WriteToFile(*c, path); err != nil {
		t.Fatal(err)
	}
	f.Server = "https://127.0.0.1:9"
	if err := kubeconfig.Write(path, f); err != nil {
		t.Fatal(err)
	}
	if c, err = clientcmd.LoadFromFile(path); err != nil {
		t.Fatal(err)
	}
	if c.CurrentContext != "prod" || c.Clusters["sandbox"].Server != f.Server {
		t.Errorf("current %q, server %q", c.CurrentContext, c.Clusters["sandbox"].Server)
	}
	// A file that a person broke is no reason not to start.
	if err := os.WriteFile(path, []byte("{broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := kubeconfig.Write(path, f); err != nil {
		t.Error(err)
	}
}
