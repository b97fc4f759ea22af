package cluster

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"slipway/internal/cluster/sandboxtest"
	"slipway/internal/object"
)

// Clusters share a connection where server, credentials and identity are the same, and only there.
func TestConnections(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	var shared Connections
	as := func(context, namespace, account string) *Cluster {
		return open(t, Options{Kubeconfig: p.Kubeconfig, Context: context, Namespace: namespace, Account: account,
			Shared: &shared})
	}
	admin, user := as("admin", "one", ""), as("test", "one", "")
	for name, c := range map[string]struct {
		with, without *Cluster
	}{
		"another namespace": {as("admin", "two", ""), as("test", "two", "")},
		"an account, and the user behind it": {
			&Cluster{link: as("admin", "one", "bot").account.self}, as("admin", "one", "bot"),
		},
		"another account":             {admin, as("admin", "one", "other")},
		"an account of the same name": {admin, as("admin", "two", "bot")},
	} {
		if c.with.link != admin.link {
			t.Errorf("%s: does not share", name)
		}
		if c.without.link == admin.link {
			t.Errorf("%s: shares", name)
		}
	}
	if a, b := as("admin", "one", "bot"), as("admin", "two", "bot"); a.link == b.link || a.link == user.link {
		t.Error("two accounts share")
	}
	if a, b := as("admin", "one", "bot"), as("admin", "one", "bot"); !a.Shares(b) || a.Shares(admin) {
		t.Error("the same account does not share, or shares with the user")
	}
}

// What the server serves is asked once for all clusters of a connection, and again for a kind that is new.
func TestConnectionsNoticeNewKinds(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	var asked atomic.Int64
	kubeconfig := sandboxtest.Through(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/apis" {
				asked.Add(1)
			}
			next.ServeHTTP(w, r)
		})
	})
	var shared Connections
	at := func(namespace string) *Cluster {
		return open(t, Options{Kubeconfig: kubeconfig, Context: "proxy", Namespace: namespace, Shared: &shared})
	}
	find := func(c *Cluster, ref object.Ref, version string) error {
		_, err := c.mapping(t.Context(), ref, version)
		return err
	}
	first := at("one")
	deployment := object.Ref{Group: "apps", Kind: "Deployment"}
	for _, c := range []*Cluster{first, at("two"), at("three")} {
		if err := find(c, deployment, ""); err != nil {
			t.Fatal(err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times for three clusters", n)
	}

	kind := "g" + strings.ReplaceAll(p.Namespace, "-", "")
	ref := object.Ref{Group: "acme.example", Kind: kind}
	if find(first, ref, "") == nil {
		t.Fatal("the kind exists")
	}
	definition := p.Parse(t, fmt.Sprintf(widgets, kind)).Objects()[0]
	if err := p.admin.Apply(t.Context(), definition, false); err != nil {
		t.Fatal(err)
	}
	for p.admin.Serves(t.Context(), groupKind(ref)) != nil {
		time.Sleep(50 * time.Millisecond) // a kind is served some time after its definition, and nothing tells
	}
	if err := find(at("four"), ref, ""); err != nil {
		t.Errorf("a cluster that was opened later: %v", err)
	}
	if err := find(first, ref, ""); err != nil {
		t.Errorf("one that was opened before: %v", err)
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("asked %d times with a new kind", n)
	}
}
