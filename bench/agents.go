package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"slipway/bench/work"
)

// The targets of an agent.
const (
	commitTarget = time.Second // beside what the server needs for the applies
	repairTarget = time.Second
	idleTarget   = 0.02 // of a core
	fleetTarget  = 60 * time.Second
)

// agents measures an agent: from a commit to its objects, from an edit to its repair, at rest, and with very
// many environments. A part is one of these alone; empty: all.
func (b *bench) agents(t *table, root, part string, small bool) (err error) {
	s, err := serve(filepath.Join(b.temp, "agent-sandbox"), root)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	fmt.Fprintf(t.w, "\nAn agent beside one API server and one Git server on this machine.\n\n")
	fmt.Fprintf(t.w, "%-32s %-11s %16s %16s %9s  %s\n", "", "", "server alone", "slipway", "", "target")
	many, fleet := most, 1000
	if small {
		many, fleet = 1000, 50
		t.note("10,000 objects and 1,000 environments are left out (BENCH=small)")
	}
	for _, p := range []struct {
		name    string
		measure func() error
	}{
		{"reaction", func() error { return b.reaction(t, s) }},
		{"rest", func() error { return b.rest(t, s, many) }},
		{"fleet", func() error { return b.fleet(t, s, fleet) }},
	} {
		if part == "" || part == p.name {
			err = errors.Join(err, p.measure())
		}
	}
	return err
}

// kept writes a project of n objects in a namespace, publishes it, and starts its agent.
func (b *bench) kept(s *server, name string, n int) (follow, *agent, error) {
	dir := filepath.Join(b.temp, "agent", name)
	if _, err := work.Objects(dir, admin, n); err != nil {
		return follow{}, nil, err
	}
	file := filepath.Join(dir, "slipway.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		return follow{}, nil, err
	}
	there := strings.Replace(string(text), "class: local", "class: local, namespace: "+name, 1)
	err = errors.Join(os.WriteFile(file, []byte(there), 0o644), s.namespace(http.MethodPost, name))
	if err != nil {
		return follow{}, nil, err
	}
	f, err := s.publish(dir, name)
	if err != nil {
		return f, nil, err
	}
	f.environments = []string{admin}
	a, err := b.agent(s, f)
	if err != nil {
		return f, nil, err
	}
	if err := a.synced(f, 10*time.Minute); err != nil {
		return f, nil, errors.Join(err, a.stop())
	}
	return f, a, nil
}

// reaction measures the times from a webhook to the changed object, and from an edit to its repair.
func (b *bench) reaction(t *table, s *server) (err error) {
	// More than five edits of a field within a minute are a fight, and 20 objects have ten ConfigMaps.
	const objects, commits, edits = 20, 15, 50
	f, a, err := b.kept(s, "reaction", objects)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.stop()) }()
	var server, applied, repaired walls
	for i := range commits {
		alone := fmt.Sprint("alone-", i)
		all, err := applies(filepath.Join(f.dir, "k8s", "all.yaml"), alone)
		if err != nil {
			return err
		}
		if err := s.namespace(http.MethodPost, alone); err != nil {
			return err
		}
		began := time.Now()
		if err := s.loop(all); err != nil {
			return err
		}
		server = append(server, time.Since(began))
		d, err := a.reacts(s, f, fmt.Sprint("level-", i))
		if err != nil {
			return err
		}
		applied = append(applied, d)
	}
	level := fmt.Sprint("level-", commits-1)
	for i := range edits {
		name := fmt.Sprintf("app-%05d-%d", i%5, 2+i/5%2)
		d, err := s.repaired("reaction", name, level)
		if err != nil {
			return fmt.Errorf("edit %d: %w", i, err)
		}
		repaired = append(repaired, d)
	}
	limit := commitTarget + server.median()
	t.row(fmt.Sprintf("commit applied, %d objects", objects), "median", milliseconds(server.median()),
		milliseconds(applied.median()), "", "≤ "+milliseconds(limit), applied.median() <= limit)
	if b.hasFlux(t) {
		flux, err := b.fluxReaction(s)
		if err != nil {
			return err
		}
		fmt.Fprintf(t.w, "  %-30s %s\n", "Flux, asked by annotation", milliseconds(flux))
	}
	slowest := repaired.percentile(99)
	t.row("edit repaired", "p99", "", milliseconds(slowest), "", "≤ "+milliseconds(repairTarget),
		slowest <= repairTarget)
	return nil
}

var levels = regexp.MustCompile(`LEVEL: \S+`)

// reacts commits another level, sends the webhook, and returns how long it takes until an object has it.
func (a *agent) reacts(s *server, f follow, level string) (time.Duration, error) {
	file := filepath.Join(f.dir, "k8s", "all.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	text = levels.ReplaceAll(text, []byte("LEVEL: "+level))
	if err := errors.Join(os.WriteFile(file, text, 0o644), f.commit(level)); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := a.hook(level); err != nil {
		return 0, err
	}
	at, err := s.whenLevel(f.environment(), "app-00004-3", level, nil)
	if err != nil {
		return 0, err
	}
	return at.Sub(began), a.synced(f, time.Minute)
}

// environment is the namespace of a project of one environment: both have its name.
func (f follow) environment() string { return filepath.Base(f.dir) }

// repaired changes a ConfigMap as kubectl edit does, and returns how long it takes until it is as it was.
func (s *server) repaired(namespace, name, level string) (time.Duration, error) {
	var began time.Time
	at, err := s.whenLevel(namespace, name, level, func() error {
		path := fmt.Sprintf("/api/v1/namespaces/%s/configmaps/%s?fieldManager=kubectl-edit", namespace, name)
		began = time.Now()
		_, err := s.request(http.MethodPatch, path, "application/merge-patch+json",
			[]byte(`{"data": {"LEVEL": "by hand"}}`))
		return err
	})
	return at.Sub(began), err
}

// whenLevel watches a ConfigMap until it has a level; after the first state of it, it calls change if that is
// given, and the level must come after that.
func (s *server) whenLevel(namespace, name, level string, change func() error) (time.Time, error) {
	client := *s.client
	client.Timeout = 2 * time.Minute
	response, err := client.Get(fmt.Sprintf(
		"%s/api/v1/namespaces/%s/configmaps?watch=true&fieldSelector=metadata.name=%s", s.address, namespace, name))
	if err != nil {
		return time.Time{}, err
	}
	defer response.Body.Close()
	changed := change == nil
	for events := json.NewDecoder(response.Body); ; {
		var e struct {
			Object struct{ Data map[string]string }
		}
		if err := events.Decode(&e); err != nil {
			return time.Time{}, fmt.Errorf("%s never had the level %s: %w", name, level, err)
		}
		switch is := e.Object.Data["LEVEL"]; {
		case !changed && is == level:
			if err := change(); err != nil {
				return time.Time{}, err
			}
		case !changed:
			changed = true
		case is == level:
			return time.Now(), nil
		}
	}
}

// rest measures an agent that has nothing to do.
func (b *bench) rest(t *table, s *server, objects int) (err error) {
	const watched = time.Minute
	_, a, err := b.kept(s, "rest", objects)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.stop(), s.namespace(http.MethodDelete, "rest")) }()
	time.Sleep(watched / 4) // what follows the first deploy is not rest
	before, err := ticks(a.process.Process.Pid)
	if err != nil {
		return err
	}
	time.Sleep(watched) // what it uses meanwhile is the figure
	after, err := ticks(a.process.Process.Pid)
	if err != nil {
		return err
	}
	memory, err := resident(a.process.Process.Pid)
	if err != nil {
		return err
	}
	share := float64(after-before) / 100 / watched.Seconds()
	name := fmt.Sprintf("at rest, %d objects", objects)
	t.row(name, "of a core", "", fmt.Sprintf("%.1f %%", 100*share), "", fmt.Sprintf("≤ %g %%", 100*idleTarget),
		share <= idleTarget)
	t.row(name, "memory", "", mebibytes(memory), "", "< "+mebibytes(heapTarget), memory < heapTarget)
	return nil
}

// ticks is what a process and its children have used of a core, in hundredths of a second.
func ticks(pid int) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	sum := 0
	for _, f := range fields[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.Atoi(f)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

var residents = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)

// resident is the memory that a process holds, in bytes.
func resident(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	m := residents.FindSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("process %d has no VmRSS", pid)
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	return n << 10, err
}

// fleet measures the first deploy of very many small environments by one agent.
func (b *bench) fleet(t *table, s *server, environments int) (err error) {
	dir := filepath.Join(b.temp, "agent", "fleet")
	names, err := work.Fleet(dir, admin, environments)
	if err != nil {
		return err
	}
	alone, err := s.applyAlone(dir, names)
	if err != nil {
		return err
	}
	f, err := s.publish(dir, "fleet")
	if err != nil {
		return err
	}
	f.environments = names
	before, err := s.cpu()
	if err != nil {
		return err
	}
	began := time.Now()
	a, err := b.agent(s, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.stop()) }()
	if err := a.synced(f, time.Hour); err != nil {
		return err
	}
	ours := fleetCost{wall: time.Since(began)}
	used, err := ticks(a.process.Process.Pid)
	if err != nil {
		return err
	}
	after, err := s.cpu()
	if err != nil {
		return err
	}
	ours.program, ours.server = time.Duration(used)*10*time.Millisecond, after-before
	if ours.memory, err = resident(a.process.Process.Pid); err != nil {
		return err
	}
	limit, name := fleetTarget*time.Duration(environments)/1000, fmt.Sprintf("first deploy of %d environments",
		environments)
	t.row(name, "in all", milliseconds(alone), milliseconds(ours.wall),
		fmt.Sprintf("%.2f×", float64(ours.wall)/float64(alone)), "≤ "+milliseconds(limit), ours.wall <= limit)
	ours.print(t, "the agent")
	return b.besideFlux(t, s, f)
}

// besideFlux deploys the same environments by Flux, where its controllers were built: with their defaults,
// and with 20 reconciles at a time.
func (b *bench) besideFlux(t *table, s *server, f follow) error {
	if !b.hasFlux(t) {
		return nil
	}
	for _, concurrent := range []int{0, 20} {
		theirs, err := b.fluxFleet(s, f, concurrent)
		if err != nil {
			return err
		}
		name := "Flux"
		if concurrent > 0 {
			name += fmt.Sprintf(", %d at a time", concurrent)
		}
		theirs.print(t, name)
	}
	return nil
}

// fleetCost is what the first deploy of many environments takes: of time, of CPU time from the start of the
// program, and of memory at its end.
type fleetCost struct {
	wall, program, server time.Duration
	memory                int64
}

func (c fleetCost) print(t *table, name string) {
	fmt.Fprintf(t.w, "  %-30s %s; CPU: %.1f s of its own, %.1f s of the server; %s\n", name,
		milliseconds(c.wall), c.program.Seconds(), c.server.Seconds(), mebibytes(c.memory))
}

// applyAlone makes the namespaces of a fleet, and as many others, into which it applies the same objects. It
// returns how long these applies took.
func (s *server) applyAlone(dir string, names []string) (time.Duration, error) {
	var namespaces, objects []apply
	for _, name := range names {
		other := "alone-" + name
		for _, n := range []string{name, other} {
			body := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": %q}}`, n)
			namespaces = append(namespaces, apply{path: "/api/v1/namespaces/" + n, body: []byte(body)})
		}
		more, err := applies(filepath.Join(dir, "k8s", name, "all.yaml"), other)
		if err != nil {
			return 0, err
		}
		objects = append(objects, more...)
	}
	if err := s.loop(namespaces); err != nil {
		return 0, err
	}
	began := time.Now()
	err := s.loop(objects)
	return time.Since(began), err
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
