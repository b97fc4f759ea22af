package cluster

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/cluster/sandboxtest"
	"slipway/internal/object"
)

const kubeconfig = `apiVersion: v1
kind: Config
clusters:
- name: sandbox
  cluster:
    server: https://$ADDRESS
    extensions:
    - {name: slipway.dev/sandbox, extension: {registry: "127.0.0.1:5000", gitserver: "http://127.0.0.1:9418"}}
- {name: plain, cluster: {server: "https://plain.invalid"}}
contexts:
- {name: prod, context: {cluster: sandbox, namespace: shop, user: ada}}
- {name: dev, context: {cluster: plain, user: ada}}
users:
- {name: ada, user: {token: t}}
`

func writeKubeconfig(t *testing.T, address string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(strings.Replace(kubeconfig, "$ADDRESS", address, 1)),
		0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestOpen(t *testing.T) {
	file := writeKubeconfig(t, "127.0.0.1:1")
	c := open(t, Options{Kubeconfig: file, Context: "prod"})
	if c.context != "prod" || c.Namespace() != "shop" || c.server != "https://127.0.0.1:1" {
		t.Errorf("context %q, namespace %q, server %q", c.context, c.Namespace(), c.server)
	}
	s, ok := c.Sandbox()
	if diff := cmp.Diff(Sandbox{Registry: "127.0.0.1:5000", GitServer: "http://127.0.0.1:9418"},
		s); !ok || diff != "" {
		t.Error(ok, diff)
	}

	c = open(t, Options{Kubeconfig: file, Context: "dev"})
	if _, ok := c.Sandbox(); ok || c.Namespace() != "default" {
		t.Errorf("sandbox %v, namespace %q", ok, c.Namespace())
	}
	if c = open(t, Options{Kubeconfig: file, Context: "dev", Namespace: "other"}); c.Namespace() != "other" {
		t.Errorf("namespace %q", c.Namespace())
	}

	var unknown *UnknownContextError
	if _, err := Open(Options{Kubeconfig: file, Context: "staging"}); !errors.As(err, &unknown) ||
		err.Error() != `the kubeconfig has no context "staging"` {
		t.Errorf("unknown context: %v", err)
	}
	if names, err := Contexts(file); err != nil || !cmp.Equal(names, []string{"dev", "prod"}) {
		t.Errorf("contexts %v, %v", names, err)
	}
	if _, err := Contexts(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a kubeconfig that is not there was read")
	}
}

// Every act says at once that no cluster answers, and where.
func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	c := open(t, Options{Kubeconfig: writeKubeconfig(t, address), Context: "prod"})
	set := manifests(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop}}`)

	acts := map[string]func() error{
		"place":   func() error { _, err := Place(t.Context(), c, set); return err },
		"permit":  func() error { return Permit(t.Context(), c, nil) },
		"observe": func() error { _, err := Observe(t.Context(), c, set, ObserveOptions{}); return err },
		"apply":   func() error { return c.Apply(t.Context(), set.Objects()[0], false) },
		"delete":  func() error { return c.Delete(t.Context(), set.Refs()[0], "") },
		"secrets": func() error { _, err := ListSecrets(t.Context(), c, "slipway.dev/release", ""); return err },
		"lease":   func() error { _, err := ReadLease(t.Context(), c, "l"); return err },
	}
	for name, act := range acts {
		err := act()
		var unreachable *UnreachableError
		if !errors.As(err, &unreachable) || unreachable.Context != "prod" || !strings.Contains(err.Error(),
			"https://"+address) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if who := username(t.Context(), c); who != "ada" {
		t.Errorf("who: %q", who)
	}
}

func TestUnauthorized(t *testing.T) {
	t.Parallel()
	s := sandboxtest.Shared(t)
	good := open(t, Options{Kubeconfig: s.Kubeconfig, Context: "admin"})
	file := writeKubeconfig(t, strings.TrimPrefix(good.server, "https://"))
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(data), "    extensions:",
		"    insecure-skip-tls-verify: true\n    extensions:", 1)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := open(t, Options{Kubeconfig: file, Context: "prod"})
	set := manifests(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop}}`)
	_, err = Observe(t.Context(), c, set, ObserveOptions{})
	var unauthorized *UnauthorizedError
	if !errors.As(err, &unauthorized) || unauthorized.User != "ada" {
		t.Errorf("%v", err)
	}
}

func manifests(t *testing.T, text string) object.Set {
	t.Helper()
	return place{}.Parse(t, text)
}
