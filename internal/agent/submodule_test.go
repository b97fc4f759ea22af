package agent

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"slipway/internal/cluster/sandboxtest"
)

func TestModuleURL(t *testing.T) {
	const web, scp = "https://git.example.com/acme/shop.git", "git@git.example.com:acme/shop.git"
	for _, c := range []struct{ parent, address, want string }{
		{web, "../lib.git", "https://git.example.com/acme/lib.git"},
		{web, "./lib.git", "https://git.example.com/acme/shop.git/lib.git"},
		{web, "../../other/lib", "https://git.example.com/other/lib"},
		{web, "HTTPS://GIT.example.com:443/lib", "HTTPS://GIT.example.com:443/lib"},
		{web, "https://ada:token@git.example.com/lib", "https://git.example.com/lib"},
		{scp, "../lib.git", "git@git.example.com:acme/lib.git"},
		{scp, "../../lib.git", "git@git.example.com:lib.git"},
		{scp, "ssh://git@git.example.com/lib", "ssh://git@git.example.com/lib"},
		{web, "", ""},
		{web, "http://git.example.com/lib", ""},
		{web, "https://git.example.com:8443/lib", ""},
		{web, "https://git.example.com.evil.org/lib", ""},
		{web, "https://git.example.com@evil.org/lib", ""},
		{web, "git@git.example.com:acme/lib.git", ""},
		{web, "../../../evil.org/lib", ""},
		{web, "../../../../evil.org/lib", ""},
		{web, "../../..//evil.org/lib", ""},
		{web, "../../../..//evil.org/lib", ""},
		{web, "file:///etc", ""},
		{web, "/etc", ""},
		{web, "ext::sh -c id", ""},
		{web, "-u./evil", ""},
		{scp, "../../evil.org:lib", "git@git.example.com:evil.org:lib"}, // a path of the same server
		{scp, "evil.org:lib", ""},
	} {
		got, err := moduleURL(c.parent, c.address)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s of %s: %q, %v, not %q", c.address, c.parent, got, err, c.want)
		}
	}
}

// module commits a submodule at a path.
func (r *repository) module(path, url, commit string) {
	r.t.Helper()
	r.git("config", "-f", ".gitmodules", "submodule."+path+".path", path)
	r.git("config", "-f", ".gitmodules", "submodule."+path+".url", url)
	r.git("update-index", "--add", "--cacheinfo", "160000,"+commit+","+path)
}

// pushIndex commits the index and pushes it.
func (r *repository) pushIndex() string {
	r.t.Helper()
	r.git("add", "-f", ".gitmodules", "k8s", "slipway.yaml")
	r.git("commit", "-q", "-m", "submodules")
	r.git("push", "-q", r.url, "HEAD:refs/heads/main")
	return r.git("rev-parse", "HEAD")
}

// value commits a ConfigMap to a submodule's repository.
func (r *repository) value(v string) string {
	r.write("k8s/x.yaml", strings.Replace(cm, "NAME", "lib", 1)+"data: {a: "+fmt.Sprintf("%q", v)+"}\n")
	r.git("add", "k8s")
	r.git("commit", "-q", "-m", "value "+v)
	r.git("push", "-q", r.url, "HEAD:refs/heads/main")
	return r.git("rev-parse", "HEAD")
}

// A submodule of the same server is read at the commit that the repository names, where the configuration
// allows that. Those of another server, of submodules, and all others are refused, and no other server gets a
// request. Environments that need none of them are deployed.
func TestSubmodules(t *testing.T) {
	var asked atomic.Int64
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(evil.Close)
	place, lib, inner, repo := sandboxtest.NewPlace(t), newRepository(t), newRepository(t), newRepository(t)
	inner.value("1")
	lib.module("inner", inner.url, inner.git("rev-parse", "HEAD"))
	first := lib.value("1")
	second := lib.value("2")
	lib.value("3") // of the branch, and of no submodule
	repo.write("slipway.yaml", "project: p\nenvironments:\n  test: {path: lib/k8s}\n  own: {path: k8s}\n"+
		"  evil: {path: evil/k8s}\n  nested: {path: lib/inner/k8s}\n  gone: {path: gone/k8s}\n")
	repo.write("k8s/x.yaml", strings.Replace(cm, "NAME", "own", 1))
	repo.module("lib", "../"+filepath.Base(lib.url), first)
	repo.module("evil", evil.URL+"/lib.git", first)
	repo.module("gone", "../"+sandboxtest.Name("r")+".git", first)
	repo.pushIndex()
	config := func(submodules string) string {
		return "repositories:\n- url: " + repo.url + "\n  interval: 100ms\n  submodules: " + submodules +
			"\n  environments:\n    own: {context: test}\n    test: {context: test}\n    evil: {context: test}\n" +
			"    nested: {context: test}\n    gone: {context: test}\n"
	}
	t.Run("refused", func(t *testing.T) {
		agent := start(t, place.Kubeconfig, strings.ReplaceAll(config("refuse"), "    own: {context: test}\n", ""))
		agent.says(t, "a submodule, which the agent does not fetch: set `submodules: allow`", 4)
	})
	agent := start(t, place.Kubeconfig, config("allow"))
	agent.says(t, "is release 1, healthy", 2)
	agent.says(t, `lib.git\" is not of `, 1)
	agent.says(t, "a submodule of a submodule", 1)
	agent.says(t, "a submodule: the server does not have the repository", 1)
	repo.module("lib", "../"+filepath.Base(lib.url), second)
	repo.pushIndex()
	agent.says(t, "is release 2, healthy", 1)
	cfg, err := sandboxtest.Shared(t).Admin()
	if err != nil {
		t.Fatal(err)
	}
	live, err := kubernetes.NewForConfigOrDie(cfg).CoreV1().ConfigMaps(place.Namespace).
		Get(t.Context(), "lib", metav1.GetOptions{})
	if err != nil || live.Data["a"] != "2" {
		t.Errorf("the ConfigMap of the submodule: %v, %v", live.Data, err)
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("another server was asked %d times", n)
	}
}
