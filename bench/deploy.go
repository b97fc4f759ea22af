package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
	kubectl         = "kubectl"
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

// deploys measures deploys to one API server: by slipway, by kubectl, by Helm, and by a loop that only sends
// the applies.
func (b *bench) deploys(t *table, root string, o options) (err error) {
	s, err := serve(filepath.Join(b.temp, "sandbox"), root)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if o.memory {
		t.load()
		return b.heap(t, s)
	}
	fmt.Fprintf(t.w, "\nTime of whole processes against one API server on this machine, "+
		"each in a namespace of its own; medians of %d.\n", o.rounds)
	t.load()
	fmt.Fprintf(t.w, "\n%-32s %-14s %16s %16s %9s  %s\n", "", "", "peer", "slipway", "ratio", "target")
	sizes := []int{1000, 3000}
	if o.small {
		sizes = sizes[:1]
	}
	for _, n := range sizes {
		if err := b.deployed(t, s, n, o.rounds); err != nil {
			return err
		}
	}
	if err := b.ready(t, s); err != nil || o.small {
		return err
	}
	return b.heap(t, s)
}

// step is one program's run on its place; without arguments it is the bare loop.
type step struct {
	name, who string
	argv      []string
}

// The names of steps.
const (
	bareLoop     = "bare loop"
	kubectlApply = "kubectl apply"
	helmInstall  = "helm install"
	ourDeploy    = "slipway deploy"
	kubectlDiff  = "kubectl diff"
	ourPlan      = "slipway plan"
	ourStatus    = "slipway status"
)

// steps are what the programs do one after the other, each on its own place.
func (b *bench) steps(s *server, p map[string]place) []step {
	return []step{
		{bareLoop, "loop", nil},
		{kubectlApply, kubectl, []string{s.kubectl, "apply", "--server-side", "-f", p[kubectl].file}},
		{helmInstall, helm,
			[]string{b.peers[helm], "install", "bench", filepath.Join(p[helm].dir, work.ChartDir)}},
		{ourDeploy, "slipway", []string{b.slipway, "deploy", admin, "--yes"}},
		{kubectlDiff, kubectl, []string{s.kubectl, "diff", "--server-side", "-f", p[kubectl].file}},
		{ourPlan, "slipway", []string{b.slipway, "plan", admin, "--exit-code"}},
		{ourStatus, "slipway", []string{b.slipway, "status"}},
	}
}

// deployed measures the first deploy of n objects, and what is asked when nothing has changed.
func (b *bench) deployed(t *table, s *server, n, rounds int) error {
	costs := map[string]samples{}
	for i := range rounds {
		places := map[string]place{}
		for _, who := range []string{"loop", kubectl, helm, "slipway"} {
			var err error
			if places[who], err = b.place(s, fmt.Sprintf("%s-%d-%d", who, n, i), n); err != nil {
				return err
			}
		}
		for _, step := range b.steps(s, places) {
			c, err := b.stepped(s, places[step.who], step)
			if err != nil {
				return err
			}
			costs[step.name] = append(costs[step.name], c)
		}
		if err := s.clear(places); err != nil {
			return err
		}
	}
	for _, row := range []struct {
		name, peer, ours string
		target           float64
	}{
		{"first deploy", bareLoop, ourDeploy, loopTarget},
		{"first deploy", kubectlApply, ourDeploy, kubectlTarget},
		{"first deploy", helmInstall, ourDeploy, 0},
		{"plan, no change", kubectlDiff, ourPlan, unchangedTarget},
		{"status", kubectlDiff, ourStatus, unchangedTarget},
	} {
		name := fmt.Sprintf("%s, %d objects", row.name, n)
		t.compared(name, row.peer, costs[row.peer], costs[row.ours], row.target)
	}
	return nil
}

// stepped runs a step, and waits until the controllers have done what it gave them to do: the CPU time of the
// server includes that.
func (b *bench) stepped(s *server, p place, of step) (cost, error) {
	var all []apply
	if of.argv == nil {
		var err error
		if all, err = applies(p.file, p.namespace); err != nil {
			return cost{}, err
		}
	}
	before, err := s.cpu()
	if err != nil {
		return cost{}, err
	}
	var c cost
	if of.argv == nil {
		c, err = measured(func() error { return s.loop(all) })
	} else {
		c, err = b.at(s, p, of.argv...)
	}
	if err == nil {
		err = s.quiet(p)
	}
	if err != nil {
		return cost{}, err
	}
	after, err := s.cpu()
	c.server = after - before
	return c, err
}

// measured is the cost of a part of this process.
func measured(do func() error) (cost, error) {
	var before, after syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &before); err != nil {
		return cost{}, err
	}
	began := time.Now()
	if err := do(); err != nil {
		return cost{}, err
	}
	c := cost{wall: time.Since(began)}
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &after); err != nil {
		return cost{}, err
	}
	c.cpu = time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	return c, nil
}

// place is a project and its namespace.
type place struct{ dir, file, namespace string }

func (b *bench) place(s *server, name string, n int) (place, error) {
	p := place{dir: filepath.Join(b.temp, "deploy", name), namespace: name}
	var err error
	if p.file, err = work.Objects(p.dir, admin, n); err == nil {
		err = work.Chart(p.dir, p.file)
	}
	if err != nil {
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
	for _, run := range []struct {
		name string
		argv []string
	}{
		{"first plan", []string{"plan", admin}}, {"first deploy", []string{"deploy", admin, "--yes"}},
		{"plan, no change", []string{"plan", admin}}, {"status", []string{"status"}},
	} {
		c, err := b.at(s, p, append([]string{b.slipway}, run.argv...)...)
		if err == nil {
			err = s.quiet(p)
		}
		if err != nil {
			return err
		}
		t.row(fmt.Sprintf("%s, %d objects", run.name, most), "peak memory", "", mebibytes(c.rss), "",
			"< "+mebibytes(heapTarget), c.rss < heapTarget)
		fmt.Fprintf(t.w, "%-32s %-14s %16s %16s\n", "  without pages of files", "", "", mebibytes(c.anonymous))
	}
	return s.clear(map[string]place{"slipway": p})
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

// clear deletes namespaces, and waits until they are gone: what the server does for that is not the next
// program's cost.
func (s *server) clear(places map[string]place) error {
	for _, p := range places {
		if err := s.namespace(http.MethodDelete, p.namespace); err != nil {
			return err
		}
	}
	for _, p := range places {
		for {
			_, err := s.request(http.MethodGet, "/api/v1/namespaces/"+p.namespace, "", nil)
			if gone := (*statusError)(nil); errors.As(err, &gone) && gone.code == http.StatusNotFound {
				break
			}
			if err != nil {
				return err
			}
			time.Sleep(200 * time.Millisecond) // a watch would cost the server what is to be measured
		}
	}
	return nil
}

// cpu is the CPU time that the server has taken so far: its API server, etcd, controllers and nodes are one
// process.
func (s *server) cpu() (time.Duration, error) {
	const ticks = 100 // a second, on every Linux
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.process.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // the name before may have blanks
	user, err := strconv.Atoi(fields[11])
	system, e := strconv.Atoi(fields[12])
	return time.Duration(user+system) * time.Second / ticks, errors.Join(err, e)
}

// quiet waits until the controllers have seen all Deployments of a place.
func (s *server) quiet(p place) error {
	for {
		path := fmt.Sprintf("/apis/apps/v1/namespaces/%s/deployments", p.namespace)
		text, err := s.request(http.MethodGet, path, "", nil)
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
			return nil
		}
		time.Sleep(200 * time.Millisecond) // a watch would cost the server what is to be measured
	}
}

// walls are times of one thing.
type walls []time.Duration

func (w walls) median() time.Duration {
	all := slices.Sorted(slices.Values(w))
	return all[len(all)/2]
}

// compared prints the times of two programs, and the CPU times that they and the server took for them.
// Without a target it only tells the ratio.
func (t *table) compared(name, peer string, theirs, ours samples, target float64) {
	peers, own := walls(theirs.wall()).median(), walls(ours.wall()).median()
	ratio := own.Seconds() / peers.Seconds()
	text := func(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
	limit := "≤ " + times(target)
	if target == 0 {
		limit, target = "", math.Inf(1)
	}
	t.row(name, peer, text(peers), text(own), times(ratio), limit, ratio <= target)
	both := func(s samples) string {
		return fmt.Sprintf("%.2f + %.2f s", s.cpu().Seconds(), s.server().Seconds())
	}
	cpu := (ours.cpu() + ours.server()).Seconds() / (theirs.cpu() + theirs.server()).Seconds()
	fmt.Fprintf(t.w, "%-32s %-14s %16s %16s %9s\n", "  CPU: its own + the server's", "", both(theirs),
		both(ours), times(cpu))
}
