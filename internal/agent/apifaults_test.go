package agent_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"slipway/internal/cluster/faultproxy"
	"slipway/internal/cluster/sandboxtest"
	"slipway/internal/deploy"
	"slipway/internal/project"
	"slipway/internal/release"
)

// A third of the agent's requests to the API server fail in one way, in each phase: a first deploy, an
// upgrade, a repair, and a bad commit with its way back and its revert. In the end cluster and Git are equal,
// each commit was deployed once, and each release has its outcome.
func TestAPIFaults(t *testing.T) {
	t.Parallel()
	for _, faults := range [][]string{
		{"429", "503"}, {"500", "409"}, {"410", "dropped watch"}, {"half an answer", "stall"},
		{"reset before the server has it", "reset after the server has answered"},
	} {
		t.Run(strings.Join(faults, ", "), func(t *testing.T) {
			t.Parallel()
			k := newKept(t)
			k.faults = &faultproxy.Proxy{Seed: 1, Rate: 0.3, Stall: time.Second, Only: faults}
			done := k.faults.Done()
			ends := func(phase string) {
				t.Helper()
				if now := k.faults.Done(); now == done {
					t.Errorf("%s: no request failed: %s", phase, now)
				} else {
					done = now
				}
			}
			k.startJudged(t, "")
			ends("a first deploy")
			second := k.value(t, "2")
			k.log.await(t, "commit "+second[:7]+" is release 2")
			ends("an upgrade")
			k.edit(t, "one", "by hand")
			k.log.await(t, "repaired: ConfigMap "+k.namespace+"/one")
			ends("a repair")
			k.value(t, "bad")
			k.log.await(t, "reverted on main")
			k.log.await(t, "verdict=synced")
			ends("a bad commit")
			k.faults.Mend()
			k.awaitPolls(t, 5)
			k.checkEnd(t, []string{k.exec(t, "rev-parse", second+"^"), second})
		})
	}
}

// checkEnd fails unless the cluster has the value 2, as Git has, and each of the commits was
// deployed once.
func (k *kept) checkEnd(t *testing.T, commits []string) {
	t.Helper()
	k.exec(t, "pull", "-q", "--ff-only")
	if text := k.exec(t, "show", "HEAD:k8s/app.yaml"); strings.Count(text, `a: "2"`) != 2 {
		t.Errorf("Git has\n%s", text)
	}
	for _, name := range []string{"one", "two"} {
		if got := k.data(t, name); got != "2" {
			t.Errorf("ConfigMap %s has %q", name, got)
		}
	}
	env := project.Environment{Name: "test", Class: project.Staging, Context: "admin"}
	target, err := deploy.Connect(project.Source{Project: project.Project{Name: "shop"}}, env,
		deploy.ConnectOptions{Kubeconfig: sandboxtest.Shared(t).Kubeconfig, Namespace: k.namespace})
	if err != nil {
		t.Fatal(err)
	}
	history, err := target.Records().History(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	healthy, held, back := map[string]int{}, 0, 0
	for _, r := range history {
		switch {
		case r.Status == release.Pending:
			t.Errorf("release %d has no outcome", r.Revision)
		case r.Revert: // a repair
		case r.RollbackOf > 0:
			back++
		case r.Held():
			held++
		case r.Status == release.Healthy:
			healthy[r.Commit]++
		}
	}
	if len(healthy) != 2 || healthy[commits[0]] != 1 || healthy[commits[1]] != 1 || held != 1 || back != 1 {
		t.Errorf("healthy deploys %v of %v, %d held, %d rollbacks", healthy, commits, held, back)
	}
}

// An API server that turns down what a deploy writes, for longer than it is asked, says nothing about the
// commit: it is neither quarantined nor reverted, and deployed once the server takes it.
func TestBusyServer(t *testing.T) {
	t.Parallel()
	k := newKept(t)
	var busy atomic.Bool
	k.refuse = func(r *http.Request) int {
		isWrite := r.Method == http.MethodPatch && r.URL.Query().Get("dryRun") == ""
		if busy.Load() && isWrite && strings.HasSuffix(r.URL.Path, "/configmaps/two") {
			return http.StatusGatewayTimeout
		}
		return 0
	}
	k.startJudged(t, "")
	busy.Store(true)
	second := k.value(t, "2")
	k.log.await(t, "commit "+second[:7]+" waits for the API server: it rejected release 2")
	busy.Store(false)
	k.log.await(t, "commit "+second[:7]+" is release ")
	if got := k.data(t, "one"); got != "2" {
		t.Errorf("ConfigMap one has %q", got)
	}
	k.exec(t, "pull", "-q", "--ff-only")
	if head := k.exec(t, "rev-parse", "HEAD"); head != second {
		t.Errorf("the branch is at %s, not at %s", head, second)
	}
}
