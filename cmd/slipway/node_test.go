package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestNode runs scripts on a real node, where e2e/run has started one. SLIPWAY_TEST_NODE is its directory.
func TestNode(t *testing.T) { testscript.Run(t, nodeScripts(t, "testdata/node")) }

// TestNodeDies ends the kubelet: nothing can follow it.
func TestNodeDies(t *testing.T) { testscript.Run(t, nodeScripts(t, "testdata/nodedies")) }

func nodeScripts(t *testing.T, dir string) testscript.Params {
	node := os.Getenv("SLIPWAY_TEST_NODE")
	if node == "" { // a kubelet needs root, cgroups and containerd, which CI may lack: see docs/decisions.md
		t.Skip("no real node: make e2e starts one, as root")
	}
	p := scripts(dir)
	p.Setup = func(env *testscript.Env) error {
		env.Setenv("NODE", node)
		return setup(env)
	}
	return p
}

// load sends requests until it is stopped, a new connection every 20 ms.
type load struct {
	stop     chan struct{}
	requests sync.WaitGroup

	mu       sync.Mutex
	sent     int
	lost     []string
	versions map[string]bool
}

// cmdLoad sends requests to a Service while other commands run:
//
//	load start ENV SERVICE   begins, from outside the pods
//	load stop                prints "N requests, M lost, versions A B", and why they were lost
func cmdLoad(ts *testscript.TestScript, neg bool, args []string) {
	switch {
	case !neg && len(args) == 3 && args[0] == "start":
		r, _, err := adminOf(ts).resource(args[1], "Service")
		ts.Check(err)
		l := &load{stop: make(chan struct{}), versions: map[string]bool{}}
		loads.Store(ts.Getenv("WORK"), l)
		l.requests.Add(1)
		go l.run("http://" + strings.TrimSpace(lookAt(ts, r, args[2], ".spec.clusterIP")) + "/")
	case !neg && len(args) == 1 && args[0] == "stop":
		v, ok := loads.LoadAndDelete(ts.Getenv("WORK"))
		if !ok {
			ts.Fatalf("load: nothing was started")
		}
		v.(*load).print(ts.Stdout())
	default:
		ts.Fatalf("usage: load start ENV SERVICE, or load stop")
	}
}

// loads are those that run, by the directory of their script.
var loads sync.Map

func (l *load) run(url string) {
	defer l.requests.Done()
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
			l.requests.Go(func() { l.note(ask(client, url)) })
		}
	}
}

// ask returns the version that answers.
func ask(client *http.Client, url string) (string, error) {
	r, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	var body struct{ Version string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return "", err
	}
	if r.StatusCode != http.StatusOK {
		return "", errors.New(r.Status)
	}
	return body.Version, nil
}

func (l *load) note(version string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
	if err != nil {
		l.lost = append(l.lost, err.Error())
		return
	}
	l.versions[version] = true
}

func (l *load) print(w io.Writer) {
	close(l.stop)
	l.requests.Wait()
	fmt.Fprintf(w, "%d requests, %d lost, versions %s\n", l.sent, len(l.lost),
		strings.Join(slices.Sorted(maps.Keys(l.versions)), " "))
	for _, why := range l.lost[:min(len(l.lost), 5)] {
		fmt.Fprintln(w, why)
	}
}
