package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"slipway/bench/work"
)

// The targets of a deploy: parts of what another one takes, and the memory for very many objects.
const (
	loopTarget      = 1.3
	kubectlTarget   = 1
	unchangedTarget = 0.1 // of kubectl diff
	heapTarget      = 150 << 20
	readyTarget     = 100 * time.Millisecond
	most            = 10_000 // objects
	admin           = "admin"
)

// server is a sandbox of the bench's own.
type server struct {
	access
	process *exec.Cmd
	config  string // the kubeconfig
	kubectl string
	// registry is a host and port, git an address.
	registry, git string
}

// deploys measures deploys to one API server: by slipway, by kubectl, and by a loop that only sends the
// applies.
func (b *bench) deploys(t *table, root string, small bool) (err error) {
	s, err := serve(filepath.Join(b.temp, "sandbox"), root)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	fmt.Fprintf(t.w, "\nTime of whole processes against one API server on this machine, "+
		"each in a namespace of its own; medians.\n\n")
	fmt.Fprintf(t.w, "%-32s %-11s %16s %16s %9s  %s\n", "", "", "peer", "slipway", "ratio", "target")
	sizes := []int{1000, 3000}
	if small {
		sizes = sizes[:1]
	}
	for _, n := range sizes {
		if err := b.deployed(t, s, n); err != nil {
			return err
		}
	}
	if err := b.ready(t, s); err != nil || small {
		return err
	}
	return b.heap(t, s)
}

// deployed measures the first deploy of n objects, and what is asked when nothing has changed.
func (b *bench) deployed(t *table, s *server, n int) error {
	var loop, applied, first, diff, plan, status walls
	for i := range 3 {
		p := map[string]place{}
		for _, who := range []string{"loop", "kubectl", "slipway"} {
			var err error
			if p[who], err = b.place(s, fmt.Sprintf("%s-%d-%d", who, n, i), n); err != nil {
				return err
			}
		}
		all, err := applies(p["loop"].file, p["loop"].namespace)
		if err != nil {
			return err
		}
		began := time.Now()
		if err := s.loop(all); err != nil {
			return err
		}
		loop = append(loop, time.Since(began))
		for _, step := range []struct {
			times *walls
			who   string
			argv  []string
		}{
			{&applied, "kubectl", []string{s.kubectl, "apply", "--server-side", "-f", p["kubectl"].file}},
			{&first, "slipway", []string{b.slipway, "deploy", admin, "--yes"}},
			{&diff, "kubectl", []string{s.kubectl, "diff", "--server-side", "-f", p["kubectl"].file}},
			{&plan, "slipway", []string{b.slipway, "plan", admin, "--exit-code"}},
			{&status, "slipway", []string{b.slipway, "status"}},
		} {
			if err := s.quiet(p); err != nil {
				return err
			}
			c, err := b.at(s, p[step.who], step.argv...)
			if err != nil {
				return err
			}
			*step.times = append(*step.times, c.wall)
		}
		for _, one := range p {
			if err := s.namespace(http.MethodDelete, one.namespace); err != nil {
				return err
			}
		}
	}
	name := func(what string) string { return fmt.Sprintf("%s, %d objects", what, n) }
	t.compared(name("first deploy"), "bare loop", loop, first, loopTarget)
	t.compared(name("first deploy"), "kubectl", applied, first, kubectlTarget)
	t.compared(name("plan, no change"), "kubectl diff", diff, plan, unchangedTarget)
	t.compared(name("status"), "kubectl diff", diff, status, unchangedTarget)
	return nil
}

// place is a project and its namespace.
type place struct{ dir, file, namespace string }

func (b *bench) place(s *server, name string, n int) (place, error) {
	p := place{dir: filepath.Join(b.temp, "deploy", name), namespace: name}
	var err error
	if p.file, err = work.Objects(p.dir, admin, n); err != nil {
		return p, err
	}
	return p, s.namespace(http.MethodPost, name)
}

// at runs a program on a place.
func (b *bench) at(s *server, p place, argv ...string) (cost, error) {
	config := filepath.Join(p.dir, "kubeconfig")
	text, err := exec.Command(s.kubectl, "--kubeconfig", s.config, "--context", admin,
		"config", "view", "--minify", "--flatten").Output()
	if err != nil {
		return cost{}, err
	}
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return cost{}, err
	}
	set := exec.Command(s.kubectl, "--kubeconfig", config,
		"config", "set-context", admin, "--namespace", p.namespace)
	if err := set.Run(); err != nil {
		return cost{}, err
	}
	m := b.machine
	m.kubeconfig = config
	return m.run(p.dir, filepath.Join(b.temp, "deploy.out"), b.home, argv...)
}

// heap measures the memory of a deploy of very many objects, and of a plan of them.
func (b *bench) heap(t *table, s *server) error {
	p, err := b.place(s, "many", most)
	if err != nil {
		return err
	}
	for _, verb := range [][]string{{"deploy", admin, "--yes"}, {"plan", admin}, {"status"}} {
		c, err := b.at(s, p, append([]string{b.slipway}, verb...)...)
		if err != nil {
			return err
		}
		t.row(fmt.Sprintf("%s, %d objects", verb[0], most), "peak memory", "", mebibytes(c.rss), "",
			"< "+mebibytes(heapTarget), c.rss < heapTarget)
	}
	return s.namespace(http.MethodDelete, p.namespace)
}

// serve starts a sandbox, and waits until it is ready.
func serve(data, root string) (*server, error) {
	s := &server{process: exec.Command(filepath.Join(root, "bin", "slipway-sandbox"), "serve", "--data", data,
		"--port=0", "--registry-port=0"), kubectl: filepath.Join(root, "bin", "kubectl")}
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	for range 600 {
		time.Sleep(100 * time.Millisecond) // the sandbox writes its file when it is ready, and tells nobody else
		var state struct{ Kubeconfig, Registry, GitServer string }
		text, err := os.ReadFile(filepath.Join(data, "sandbox.json"))
		if err != nil || json.Unmarshal(text, &state) != nil {
			continue
		}
		s.config, s.registry, s.git = state.Kubeconfig, state.Registry, state.GitServer
		s.access, err = newAccess(s.config)
		return s, err
	}
	return nil, errors.Join(errors.New("the sandbox did not become ready"), s.stop())
}

func (s *server) stop() error {
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	_ = s.process.Wait() // its exit code says that it was signalled
	return nil
}

// namespace creates or deletes one.
func (s *server) namespace(method, name string) error {
	path := "/api/v1/namespaces"
	if method == http.MethodDelete {
		path += "/" + name
	}
	body := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": %q}}`, name)
	if method == http.MethodDelete {
		body = ""
	}
	_, err := s.request(method, path, "application/json", []byte(body))
	return err
}

// quiet waits until the controllers have seen all Deployments: what they do is not the next program's cost.
func (s *server) quiet(places map[string]place) error {
	for _, p := range places {
		for {
			text, err := s.request(http.MethodGet, fmt.Sprintf("/apis/apps/v1/namespaces/%s/deployments", p.namespace),
				"", nil)
			if err != nil {
				return err
			}
			var list struct {
				Items []struct {
					Metadata struct{ Generation int }
					Status   struct{ ObservedGeneration int }
				}
			}
			if err := json.Unmarshal(text, &list); err != nil {
				return err
			}
			seen := true
			for _, d := range list.Items {
				seen = seen && d.Status.ObservedGeneration >= d.Metadata.Generation
			}
			if seen {
				break
			}
			time.Sleep(200 * time.Millisecond) // a watch would cost the server what is to be measured
		}
	}
	return nil
}

// walls are times of one thing.
type walls []time.Duration

func (w walls) median() time.Duration {
	all := slices.Sorted(slices.Values(w))
	return all[len(all)/2]
}

// compared prints the times of two programs.
func (t *table) compared(name, peer string, theirs, ours walls, target float64) {
	ratio := ours.median().Seconds() / theirs.median().Seconds()
	text := func(w walls) string { return fmt.Sprintf("%.2f s", w.median().Seconds()) }
	t.row(name, peer, text(theirs), text(ours), times(ratio), "≤ "+times(target), ratio <= target)
}
