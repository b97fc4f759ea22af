package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cost is what a whole process took.
type cost struct {
	cpu  time.Duration // user and system
	wall time.Duration
	rss  int64 // bytes, at its peak
	// anonymous is the part of rss that is not of files, sampled: what the kernel cannot drop.
	anonymous int64
	// server is the CPU time of the API server meanwhile, where there is one.
	server time.Duration
}

// machine runs programs in an environment of their own, so that nobody's configuration has a say.
type machine struct {
	home       string // of caches and configuration; below the work folder
	kubeconfig string // empty: programs reach no cluster
}

// run starts a program in dir, its standard output in a file, and waits for it.
func (m machine) run(dir, stdout, cache string, argv ...string) (cost, error) {
	out, err := os.Create(stdout)
	if err != nil {
		return cost{}, err
	}
	defer out.Close()
	var stderr strings.Builder
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, &stderr
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + m.home, "XDG_CACHE_HOME=" + cache,
		"HELM_CACHE_HOME=" + m.home, "HELM_CONFIG_HOME=" + m.home, "HELM_DATA_HOME=" + m.home,
	}
	if m.kubeconfig != "" {
		cmd.Env = append(cmd.Env, "KUBECONFIG="+m.kubeconfig)
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return cost{}, err
	}
	ended, peak := make(chan struct{}), make(chan int64)
	go func() { peak <- anonymousPeak(cmd.Process.Pid, ended) }()
	err = cmd.Wait()
	wall := time.Since(start)
	close(ended)
	anonymous := <-peak
	if err != nil {
		err = fmt.Errorf("%s in %s: %w: %s", strings.Join(argv, " "), dir, err, strings.TrimSpace(stderr.String()))
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return cost{}, fmt.Errorf("%s: the system does not say what it cost", filepath.Base(argv[0]))
	}
	return cost{
		cpu:  cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(),
		wall: wall, rss: usage.Maxrss << 10, anonymous: anonymous,
	}, err
}

// anonymousPeak looks every few milliseconds how much memory of a process is of no file, until it has ended.
func anonymousPeak(pid int, ended <-chan struct{}) (peak int64) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return peak
		case <-tick.C:
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		_, rest, found := strings.Cut(string(text), "RssAnon:")
		if fields := strings.Fields(rest); err == nil && found && len(fields) > 0 {
			kibibytes, _ := strconv.ParseInt(fields[0], 10, 64) // the kernel's own text
			peak = max(peak, kibibytes<<10)
		}
	}
}

// samples are the costs of one thing, measured again and again.
type samples []cost

func (s samples) cpu() time.Duration {
	return s.sorted()[len(s)/2]
}

// server is the median of what the server took.
func (s samples) server() time.Duration {
	all := make(walls, len(s))
	for i, c := range s {
		all[i] = c.server
	}
	return all.median()
}

// spread is half of the distance between the cheapest and the dearest, as a part of the median.
func (s samples) spread() float64 {
	all := s.sorted()
	return float64(all[len(all)-1]-all[0]) / 2 / float64(s.cpu())
}

func (s samples) sorted() []time.Duration {
	all := make([]time.Duration, len(s))
	for i, c := range s {
		all[i] = c.cpu
	}
	slices.Sort(all)
	return all
}

func (s samples) rss() int64 {
	var peak int64
	for _, c := range s {
		peak = max(peak, c.rss)
	}
	return peak
}

// load is one piece of work: a project with three environments that the peer renders in a process
// each and slipway in one.
type load struct {
	engine  string // kustomize or helm
	name    string
	objects int // of each environment; 0: not known
	dir     string
	// peer are the arguments of the peer's processes. Where one is enough to know the others by,
	// once says so, and it is counted for all.
	peer [][]string
	once bool
	// alone are the arguments by which slipway renders the same as one of the peer's processes.
	alone [][]string
	times int
	cold  float64 // the target: at most this part of the peer's CPU time
}

// result is what a load cost.
type result struct {
	load
	peers, colds, warms samples
}

// measure runs peer and slipway in turn, so that what else the machine does hits both.
func (b *bench) measure(l load) (result, error) {
	r := result{load: l}
	for i := range l.times {
		if !l.once || i == 0 {
			c, err := b.peerRuns(l)
			if err != nil {
				return r, err
			}
			r.peers = append(r.peers, c)
		}
		cache, err := os.MkdirTemp(b.temp, "cache-")
		if err != nil {
			return r, err
		}
		// The first run fills the cache as everybody's first run does; the second finds it.
		for _, into := range []*samples{&r.colds, &r.warms} {
			c, err := b.run(l.dir, filepath.Join(b.temp, "all.yaml"), cache, b.slipway, "render", "--all")
			if err == nil {
				err = b.whole(l)
			}
			if err != nil {
				return r, err
			}
			*into = append(*into, c)
		}
		if err := os.RemoveAll(cache); err != nil {
			return r, err
		}
	}
	return r, nil
}

// whole demands that slipway has printed all objects of all environments.
func (b *bench) whole(l load) error {
	f, err := os.Open(filepath.Join(b.temp, "all.yaml"))
	if err != nil || l.objects == 0 {
		return err
	}
	defer f.Close()
	n := 0
	// Line by line: a child's peak memory is never less than what this process had when it started it.
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if bytes.HasPrefix(lines.Bytes(), []byte("kind: ")) {
			n++
		}
	}
	if n != l.objects*len(l.peer) {
		return fmt.Errorf("%s %s: slipway printed %d objects, not %d times %d", l.engine, l.name, n, len(l.peer), l.objects)
	}
	return lines.Err()
}

// peerRuns is the sum of the peer's processes, and the peak of one.
func (b *bench) peerRuns(l load) (cost, error) {
	var sum cost
	for i, args := range l.peer {
		if l.once && i > 0 {
			sum.cpu += sum.cpu / time.Duration(i)
			continue
		}
		c, err := b.run(l.dir, b.output(l, i), b.home, append([]string{b.peers[l.engine]}, args...)...)
		if err != nil {
			return cost{}, err
		}
		sum = cost{cpu: sum.cpu + c.cpu, wall: sum.wall + c.wall, rss: max(sum.rss, c.rss)}
	}
	return sum, nil
}

// output is the file of what the peer prints for one environment.
func (b *bench) output(l load, i int) string {
	return filepath.Join(b.temp, fmt.Sprintf("%s-%s-%d.yaml", l.engine, strings.ReplaceAll(l.name, " ", "-"), i))
}
