package deploy_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/cluster"
	"slipway/internal/cluster/faultproxy"
	"slipway/internal/deploy"
	"slipway/internal/release"
)

// faultSeeds is the variable with the seeds of TestFaults, as "7" or "1-200"; `make faults` sets it. The
// default is short, and so are its stalls.
const faultSeeds = "SLIPWAY_FAULT_SEEDS"

func seeds(t *testing.T) (first, last uint64, stall time.Duration) {
	t.Helper()
	text, stall := os.Getenv(faultSeeds), 30*time.Second
	if text == "" {
		text, stall = "1-6", time.Second
	}
	from, to, found := strings.Cut(text, "-")
	if !found {
		to = from
	}
	first, err := strconv.ParseUint(from, 10, 32)
	last, lastErr := strconv.ParseUint(to, 10, 32)
	if err := errors.Join(err, lastErr); err != nil {
		t.Fatalf("%s: %v", faultSeeds, err)
	}
	return first, last, stall
}

// times are how long deploys took.
type times struct {
	mu           sync.Mutex
	quiet, fault []time.Duration
	failed       []string // deploys that the next one had to repair
}

func (s *times) add(list *[]time.Duration, began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*list = append(*list, time.Since(began))
}

// A fifth of the requests to the API server break, as a seed decides. Each deploy becomes healthy, or fails
// with a record and without leaving anything behind that the next deploy does not repair.
func TestFaults(t *testing.T) {
	t.Parallel()
	first, last, stall := seeds(t)
	var took times
	t.Cleanup(func() { took.judge(t, stall) })
	for seed := first; seed <= last; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			p := &faultproxy.Proxy{Seed: seed, Rate: 0.2, Stall: stall}
			s := newStage(t, "../../examples/myapp", p.Wrap)
			defer s.makeRoom(t, p)
			defer func() {
				if t.Failed() {
					t.Logf("%s=%d go test ./internal/deploy -run TestFaults", faultSeeds, seed)
					t.Logf("what happened: %s", p.Done())
				}
			}()
			for i := range 2 {
				s.greet(t, fmt.Sprintf("greeting %d", i))
				s.deployFaulty(t, p, &took)
			}
			if os.Getenv(faultSeeds) == "" {
				return
			}
			s.greet(t, "the last greeting")
			began := time.Now()
			s.apply(t, s.propose(t))
			took.add(&took.quiet, began)
		})
	}
}

// makeRoom deletes the namespace: the nodes have no room for those of 200 seeds.
func (s *stage) makeRoom(t *testing.T, p *faultproxy.Proxy) {
	p.Mend()
	c := s.target.Cluster
	namespaces := c.Typed().CoreV1().Namespaces()
	if err := namespaces.Delete(t.Context(), c.Namespace(), metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
}

// greet commits another setting: a ConfigMap of a new name, Pods that read it, and an old ConfigMap to prune.
func (s *stage) greet(t *testing.T, text string) {
	t.Helper()
	path := filepath.Join(s.dir, "k8s", "overlays", "prod", "kustomization.yaml")
	lines, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Split(string(lines), "\n")
	i := slices.IndexFunc(list, func(l string) bool { return strings.Contains(l, "GREETING=") })
	list[i] = "      - GREETING=" + text
	if err := os.WriteFile(path, []byte(strings.Join(list, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	s.commit(t)
}

// deployFaulty deploys while requests break, repairs without faults what failed, and checks what is left.
func (s *stage) deployFaulty(t *testing.T, p *faultproxy.Proxy, took *times) {
	t.Helper()
	p.Break()
	began := time.Now()
	proposal, err := deploy.Propose(t.Context(), s.target, deploy.ProposeOptions{})
	if err != nil {
		t.Fatalf("plan: %v", err)
	}
	rel, err := deploy.Apply(t.Context(), s.target, proposal, deploy.Options{Who: "ada"})
	took.add(&took.fault, began)
	p.Mend()
	t.Logf("%s, and so far %s", time.Since(began), p.Done())
	s.checkRecord(t, rel, err)
	if err != nil {
		took.mu.Lock()
		took.failed = append(took.failed, fmt.Sprintf("%s: %v", t.Name(), err))
		took.mu.Unlock()
		if rel := s.apply(t, s.propose(t)); rel.Status != release.Healthy {
			t.Errorf("the next deploy: %+v", rel)
		}
	}
	s.checkRest(t)
}

// checkRecord expects the record of a deploy to say how it ended.
func (s *stage) checkRecord(t *testing.T, rel release.Release, err error) {
	t.Helper()
	history, herr := s.target.Records().History(t.Context())
	if herr != nil || len(history) == 0 {
		t.Fatalf("after %v: history %v, %v", err, history, herr)
	}
	for i, r := range history {
		if want := history[0].Revision - i; r.Revision != want {
			t.Errorf("release %d is missing: %v", want, history)
		}
		if r.Status == release.Pending || r.Status == release.Interrupted {
			t.Errorf("the outcome of release %d is not recorded (%v)", r.Revision, err)
		}
	}
	if err == nil && (history[0].Revision != rel.Revision || history[0].Status != release.Healthy) {
		t.Errorf("release %d is healthy; the record says %v", rel.Revision, history)
	}
	failed := func(r release.Release) bool {
		return r.Revision == rel.Revision && r.Status == release.Failed && r.Failure != ""
	}
	if err != nil && !slices.ContainsFunc(history, failed) {
		t.Errorf("%v: the record says %v", err, history)
	}
}

// checkRest expects the cluster to have what the source says, and nothing else.
func (s *stage) checkRest(t *testing.T) {
	t.Helper()
	if p := s.propose(t); !p.Done() {
		t.Errorf("the next plan: %+v", p.Plan.Changes)
	}
	c := s.target.Cluster
	lease, err := cluster.ReadLease(t.Context(), c, "slipway.myapp.prod")
	if err != nil || lease.Spec.HolderIdentity != nil {
		t.Errorf("the lock: %+v, %v", lease.Spec, err)
	}
	core := c.Typed().CoreV1()
	maps, err := core.ConfigMaps(c.Namespace()).List(t.Context(), metav1.ListOptions{LabelSelector: "env=prod"})
	if err != nil || len(maps.Items) != 1 {
		t.Errorf("%d ConfigMaps, %v", len(maps.Items), err)
	}
	history, err := s.target.Records().History(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := core.Secrets(c.Namespace()).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(secrets.Items) != len(history) {
		t.Errorf("%d Secrets for %d releases, %v", len(secrets.Items), len(history), err)
	}
}

// judge reports the times. Only `make faults` compares them: it has the machine to itself.
func (s *times) judge(t *testing.T, stall time.Duration) {
	for _, f := range s.failed {
		t.Log(f)
	}
	if len(s.quiet) == 0 || len(s.fault) == 0 {
		return
	}
	slices.Sort(s.quiet)
	slices.Sort(s.fault)
	quiet, longest := s.quiet[len(s.quiet)/2], s.fault[len(s.fault)-1]
	t.Logf("%d deploys, %d repaired by the next one; they took %s to %s, half of them at most %s, "+
		"a quiet one %s",
		len(s.fault), len(s.failed), s.fault[0], longest, s.fault[len(s.fault)/2], quiet)
	if bound := 4*quiet + stall; longest > bound {
		t.Errorf("one took %s, longer than %s", longest, bound)
	}
}

// The API server is away in the middle of a deploy, after its first change.
func TestOutage(t *testing.T) {
	t.Parallel()
	away := 8 * time.Second
	if os.Getenv(faultSeeds) != "" {
		away = time.Minute
	}
	var until atomic.Int64
	s := newStage(t, "../../examples/myapp", func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if time.Now().UnixNano() < until.Load() {
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(rw, r)
			if faultproxy.IsWrite(r) && r.Method == http.MethodPatch {
				until.CompareAndSwap(0, time.Now().Add(away).UnixNano())
			}
		})
	})
	rel := s.apply(t, s.propose(t))
	if said := s.warned.take(); len(said) != 2 || said[1] != "answers again" ||
		!strings.HasPrefix(said[0], "does not answer (") || !strings.HasSuffix(said[0], "retrying for up to 2m") {
		t.Errorf("away for %s, it said %q", away, said)
	}
	s.checkRecord(t, rel, nil)
	s.checkRest(t)
}
