package agent_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"slipway/internal/agent"
	"slipway/internal/cluster/sandboxtest"
)

// judged is a project whose ConfigMaps say by themselves that they are bad.
const judged = `project: shop
environments:
  test: {path: k8s, class: staging}
health:
  - kind: ConfigMap
    healthy: object.data.a != 'bad'
    failed: object.data.a == 'bad'
`

// startJudged runs an agent that reverts bad commits, with a first release.
func (k *kept) startJudged(t *testing.T, more string) {
	t.Helper()
	k.write(t, "slipway.yaml", judged)
	k.write(t, "k8s/app.yaml", manifests)
	k.push(t, "first")
	k.run(t, "onDrift: repair, writeBack: push", more)
	k.log.await(t, "is release 1, healthy")
}

// direct is the repository without the proxy in front of it.
func (k *kept) direct(t *testing.T) string {
	return sandboxtest.Shared(t).GitServer + "/" + k.namespace + "/shop.git"
}

// Two other bots push to the branch while the agent pushes its revert: one after the agent has read the tip,
// one before that. The revert is made again on top, and is there once.
func TestRacingBots(t *testing.T) {
	t.Parallel()
	k := newKept(t)
	bot := &kept{dir: filepath.Join(t.TempDir(), "bot")}
	if err := os.Mkdir(bot.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var races atomic.Int64
	races.Store(-1) // until the test itself has pushed
	k.onGit = func(r *http.Request) {
		reads := strings.Contains(r.URL.RawQuery, "git-receive-pack")
		pushes := r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "git-receive-pack")
		if n := races.Load(); n == 0 && pushes || n == 1 && reads {
			races.Add(1)
			bot.write(t, fmt.Sprintf("bot%d/image.txt", n), "v2")
			bot.push(t, fmt.Sprintf("bot %d", n))
		}
	}
	k.startJudged(t, "")
	// Each push that takes commits off the branch is noted: a later one may hide it.
	rewritten := filepath.Join(t.TempDir(), "rewritten")
	k.hook(t, "update", "git merge-base --is-ancestor \"$2\" \"$3\" || echo \"$@\" >>"+rewritten)
	bad := k.value(t, "bad")
	bot.exec(t, "clone", "-q", k.direct(t), ".")
	races.Store(0)
	k.log.await(t, "reverted on main")
	k.log.await(t, "verdict=synced")
	k.exec(t, "pull", "-q", "--ff-only")
	subjects := strings.Split(k.exec(t, "log", "--format=%s", bad+"..HEAD"), "\n")
	if len(subjects) != 3 || !strings.HasPrefix(subjects[0], "Revert test to commit ") ||
		subjects[1] != "bot 1" || subjects[2] != "bot 0" {
		t.Errorf("after the bad commit the branch has %q", subjects)
	}
	if text, err := os.ReadFile(rewritten); err == nil {
		t.Errorf("pushed by force: %s", text)
	}
	if text, err := os.ReadFile(filepath.Join(k.dir, "k8s/app.yaml")); err != nil || string(text) != manifests {
		t.Errorf("%v, %s", err, text)
	}
}

// protect has the Git server refuse pushes to main.
func (k *kept) protect(t *testing.T) {
	t.Helper()
	k.hook(t, "pre-receive", "if grep -q refs/heads/main; then echo main is protected >&2; exit 1; fi")
}

// hook has the Git server run a shell script.
func (k *kept) hook(t *testing.T, name, script string) {
	t.Helper()
	file := filepath.Join(sandboxtest.Shared(t).Data, "git", k.namespace, "shop.git", "hooks", name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// forge serves a Gitea that opens pull requests, and returns them with the lines of a repository with it.
func (k *kept) forge(t *testing.T) (opened *lines, more string) {
	t.Helper()
	opened = newLines()
	forge := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var body map[string]string
		_ = json.NewDecoder(r.Body).Decode(&body)
		opened.add(fmt.Sprintf("%s %s: %s into %s: %s\n%s", r.Method, r.URL.Path, body["head"], body["base"],
			body["title"], body["body"]))
		rw.WriteHeader(http.StatusCreated)
		fmt.Fprint(rw, `{"number": 7, "html_url": "https://forge/pull/7"}`)
	}))
	t.Cleanup(forge.Close)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return opened, "  forge: {kind: gitea, api: " + forge.URL + ", tokenFile: " + token + "}\n"
}

// The branch is protected: the revert becomes one pull request, however many passes follow.
func TestProtectedBranch(t *testing.T) {
	t.Parallel()
	k := newKept(t)
	opened, more := k.forge(t)
	k.startJudged(t, more)
	bad := k.value(t, "bad")
	k.protect(t)
	k.log.await(t, "opened a pull request with the revert: https://forge/pull/7")
	k.awaitPolls(t, 10)
	asked, branch := opened.take(), "slipway/revert-test-"+bad[:7]
	if len(asked) != 1 || !strings.HasPrefix(asked[0], "POST /repos/"+k.namespace+"/shop/pulls: "+branch+
		" into main: Revert test to commit ") || !strings.Contains(asked[0], "main is protected") {
		t.Errorf("the forge was asked %q", asked)
	}
	k.exec(t, "fetch", "-q")
	if main := k.exec(t, "rev-parse", "origin/main"); main != bad {
		t.Errorf("main is %s, not %s", main, bad)
	}
	if text := k.exec(t, "show", "origin/"+branch+":k8s/app.yaml"); text != strings.TrimSpace(manifests) {
		t.Errorf("the pull request has\n%s", text)
	}
}

// A commit that changes a file and no object is not taken back with a later one that fails, also where the
// agent has not seen it before: it was down, or both came in one push.
func TestRevertKeepsComments(t *testing.T) {
	t.Parallel()
	k := newKept(t)
	k.startJudged(t, "")
	noted := "# the owners are shop@example.com\n" + manifests
	k.write(t, "k8s/app.yaml", noted)
	k.exec(t, "commit", "-qam", "a note")
	k.write(t, "k8s/app.yaml", strings.Replace(noted, `a: "1"`, `a: "bad"`, 1))
	k.push(t, "bad")
	k.log.await(t, "reverted on main")
	k.exec(t, "pull", "-q", "--ff-only")
	if text, err := os.ReadFile(filepath.Join(k.dir, "k8s/app.yaml")); err != nil || string(text) != noted {
		t.Errorf("%v\n%s", err, text)
	}
}

// Lines that others have changed since are in a pull request that is a draft and names them.
func TestUndecidedLines(t *testing.T) {
	t.Parallel()
	k := newKept(t)
	opened, more := k.forge(t)
	k.write(t, "slipway.yaml", judged)
	k.write(t, "k8s/app.yaml", manifests)
	k.push(t, "first")
	k.run(t, "writeBack: pull-request", more)
	k.log.await(t, "is release 1, healthy")
	bad := strings.Replace(manifests, `a: "1"`, `a: "bad"`, 1)
	k.write(t, "k8s/app.yaml", bad)
	k.push(t, "bad")
	k.log.await(t, "opened a pull request")
	k.write(t, "k8s/app.yaml", strings.Replace(bad, `a: "bad"}`, `a: 'bad'} # for now`, 1))
	late := k.push(t, "the same value, with a note")
	k.log.await(t, "opened a pull request")
	asked := opened.take()
	if len(asked) != 2 || strings.Contains(asked[0], "WIP") || strings.Contains(asked[0], "Undecided") {
		t.Fatalf("the forge was asked %q", asked)
	}
	undecided := "- k8s/app.yaml, line 5\n  commit " + late[:7] + " has\n      data: {a: 'bad'} # for now\n" +
		"  this revert has\n      data: {a: \"1\"}\n"
	if !strings.Contains(asked[1], "into main: WIP: Revert test to commit ") ||
		!strings.Contains(asked[1], undecided) {
		t.Errorf("the forge was asked\n%s", asked[1])
	}
}

// While the Git server is down the agent goes on with what it has, and says so. It asks ever more rarely, and
// as often as before once it gets an answer (argoproj/argo-cd#21599).
func TestFault1GitDown(t *testing.T) {
	t.Parallel()
	k := newKept(t)
	k.write(t, "slipway.yaml", judged)
	k.write(t, "k8s/app.yaml", manifests)
	k.push(t, "first")
	k.run(t, "onDrift: repair", "")
	k.log.await(t, "is release 1, healthy")
	k.value(t, "2")
	k.log.await(t, "is release 2, healthy")
	k.gitDown.Store(true)
	k.log.await(t, "the server cannot be reached")
	if s := k.agent.Statuses()[0]; s.SourceErrorSince.IsZero() || s.Verdict != agent.Synced {
		t.Errorf("status %+v", s)
	}
	k.edit(t, "one", "by hand")
	k.log.await(t, "repaired: ConfigMap "+k.namespace+"/one")
	if got := k.data(t, "one"); got != "2" {
		t.Errorf("repaired to %q", got)
	}
	for range 5 { // each pause is twice as long as the one before
		k.git.await(t, "down ")
	}
	down := k.pollsApart(t)
	k.gitDown.Store(false)
	k.log.await(t, "it can be read again")
	if up := min(k.pollsApart(t), k.pollsApart(t), k.pollsApart(t)); up > down/4 {
		t.Errorf("the agent polls each %s after the outage, and each %s at its end", up, down)
	}
	last := k.value(t, "3")
	k.log.await(t, "commit "+last[:7]+" is release")
}

// data is the value of a ConfigMap in the cluster.
func (k *kept) data(t *testing.T, name string) string {
	t.Helper()
	live, err := k.client.CoreV1().ConfigMaps(k.namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return live.Data["a"]
}

const task = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: tasks.GROUP}
spec:
  group: GROUP
  scope: Namespaced
  names: {kind: Task, plural: tasks}
  versions:
    - name: v1
      served: true
      storage: true
      subresources: {status: {}}
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
apiVersion: GROUP/v1
kind: Task
metadata: {name: index}
spec: {of: 1}
`

// report writes the status of the Task as its controller does.
func (k *kept) report(t *testing.T, generation int, phase string) {
	t.Helper()
	client := k.client.CoreV1().RESTClient()
	path := "/apis/" + k.namespace + ".example.com/v1/namespaces/" + k.namespace + "/tasks/index"
	for {
		var live struct{ Metadata struct{ Generation int } }
		text, err := client.Get().AbsPath(path).DoRaw(t.Context())
		if err == nil && json.Unmarshal(text, &live) == nil && live.Metadata.Generation == generation {
			break
		}
		k.awaitPolls(t, 1)
	}
	k.awaitPolls(t, 5) // the agent sees the object as it is before the controller does
	body := fmt.Sprintf(`{"status": {"observedGeneration": %d, "phase": %q}}`, generation, phase)
	if err := client.Patch(types.MergePatchType).AbsPath(path + "/status").Body([]byte(body)).
		Do(t.Context()).Error(); err != nil {
		t.Fatal(err)
	}
}

// Health that a controller reported before this apply says nothing about it (akuity/kargo#1411).
func TestStaleHealth(t *testing.T) {
	t.Parallel()
	k := newKept(t)
	group := k.namespace + ".example.com"
	text := strings.ReplaceAll(task, "GROUP", group)
	k.write(t, "slipway.yaml", judged+"  - kind: Task."+group+"\n    healthy: object.status.phase == 'Done'\n"+
		"    failed: object.status.phase == 'Error'\n")
	k.write(t, "k8s/app.yaml", text)
	k.push(t, "first")
	k.run(t, "onDrift: repair", "")
	k.report(t, 1, "Done")
	k.log.await(t, "is release 1, healthy")
	k.write(t, "k8s/app.yaml", strings.Replace(text, "of: 1", "of: 2", 1))
	bad := k.push(t, "bad")
	k.report(t, 2, "Error")
	k.report(t, 3, "Done") // of the objects of release 1, which are back
	k.log.await(t, "is held back: its objects are release 2, which is in quarantine: not healthy: Task ")
	for _, s := range k.agent.Statuses() {
		if s.Applied == bad {
			t.Errorf("the status says that %s is applied: %+v", bad, s)
		}
	}
}

// The pull of an image hangs. The commit that goes back is deployed at once (akuity/kargo#3258).
func TestHangingPull(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	registry := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-ended:
		}
	}))
	t.Cleanup(func() { close(ended); registry.Close() })
	k := newKept(t)
	k.startJudged(t, "")
	image := strings.TrimPrefix(registry.URL, "http://") + "/app:v2"
	k.write(t, "k8s/app.yaml", manifests+`---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "`+image+`"}]}
`)
	bad := k.push(t, "an image that cannot be pulled")
	k.log.await(t, "deploying commit "+bad[:7])
	k.api.await(t, "PATCH /apis/apps/v1/namespaces/"+k.namespace+"/deployments/web")
	began := time.Now()
	good := k.value(t, "2")
	k.log.await(t, "commit "+good[:7]+" is release 3, healthy")
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the way back took %s", took)
	}
}
