// Command bench renders the same projects, and copies the same image, with slipway and with its peers,
// side by side in one run, and prints how many times the peer's CPU time and memory slipway takes.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	root := flag.String("root", "..", "the repository's folder; its bin folder holds the programs")
	conformance := flag.String("conformance", os.Getenv("SLIPWAY_CONFORMANCE"),
		"directory of render.tar.xz (default ROOT/../shared/conformance)")
	small := flag.Bool("small", false, "leave 3,001 objects out: they take the peer some minutes")
	strict := flag.Bool("strict", false, "fail when a target is missed")
	check := flag.Bool("check", false, "measure check alone, not rendering")
	images := flag.Bool("copy", false, "measure copying images alone, not rendering")
	deploys := flag.Bool("deploy", false, "measure deploys alone, not rendering")
	memory := flag.Bool("memory", false, "measure the memory of deploys of very many objects alone")
	agents := flag.Bool("agent", false, "measure the agent alone, not rendering")
	part := flag.String("part", "", "with -agent: measure reaction, rest or fleet alone")
	rounds := flag.Int("rounds", 3, "how often deploys are measured")
	flag.Parse()
	o := options{root: *root, conformance: *conformance, small: *small, check: *check, images: *images,
		deploys: *deploys || *memory, memory: *memory, rounds: *rounds, agents: *agents, part: *part}
	missed, err := run(os.Stdout, o)
	if err == nil && *strict && missed > 0 {
		err = fmt.Errorf("%d targets missed", missed)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one run of the comparison.
type bench struct {
	machine
	temp    string
	slipway string
	peers   map[string]string // the programs, by engine
	fluxes  string            // the directory of Flux's controllers
}

// options are the flags.
type options struct {
	rounds            int // how often deploys are measured
	root, conformance string
	small             bool
	// One of these: measure that alone.
	check, images, deploys, agents bool
	part                           string // of the agent's figures
	memory                         bool   // of deploys, only the memory
}

func run(w io.Writer, o options) (missed int, err error) {
	conformance, small := o.conformance, o.small
	temp, err := os.MkdirTemp("", "slipway-bench-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	root, err := filepath.Abs(o.root)
	if err != nil {
		return 0, err
	}
	if conformance == "" {
		conformance = filepath.Join(root, "..", "shared", "conformance")
	}
	b := &bench{
		machine: machine{home: filepath.Join(temp, "home")}, temp: temp,
		slipway: filepath.Join(root, "bin", "slipway"),
		peers:   map[string]string{}, fluxes: filepath.Join(root, "bin", "peers", "flux"),
	}
	for _, peer := range []string{kustomize, helm, kubeconform, crane} {
		b.peers[peer] = filepath.Join(root, "bin", "peers", peer)
	}
	t := &table{w: w}
	if named, err := b.alone(t, root, o); named {
		t.foot()
		return t.missed, err
	}
	t.head(small)
	loads, err := generated(filepath.Join(temp, "generated"), small)
	if err != nil {
		return 0, err
	}
	cases, err := unpacked(filepath.Join(temp, "cases"), conformance)
	if errors.Is(err, os.ErrNotExist) {
		t.note("the conformance cases are left out: there is no %s", filepath.Join(conformance, archive))
	} else if err != nil {
		return 0, err
	}
	var results []result
	for _, l := range append(loads, cases...) {
		r, err := b.measure(l)
		if err != nil {
			return 0, err
		}
		results = append(results, r)
		t.speed(r)
	}
	if err := b.start(t, results); err != nil {
		return 0, err
	}
	t.memory(results)
	t.growth(results)
	for _, r := range results {
		if err := b.same(t, r.load); err != nil {
			return 0, err
		}
	}
	if err := b.checks(t, root, small); err != nil {
		return 0, err
	}
	if err := b.copies(t, small); err != nil {
		return 0, err
	}
	if err := errors.Join(b.deploys(t, root, o), b.agents(t, root, "", small)); err != nil {
		return 0, err
	}
	t.foot()
	return t.missed, nil
}

// alone measures the one part that the flags name. It reports whether they name one.
func (b *bench) alone(t *table, root string, o options) (named bool, err error) {
	switch {
	case o.deploys:
		err = b.deploys(t, root, o)
	case o.agents:
		err = b.agents(t, root, o.part, o.small)
	case o.images:
		err = b.copies(t, o.small)
	case o.check:
		err = b.checks(t, root, o.small)
	default:
		return false, nil
	}
	return true, err
}

// start is what every command pays before it does anything.
func (b *bench) start(t *table, all []result) error {
	var s samples
	for range 21 {
		c, err := b.run(b.temp, filepath.Join(b.temp, "version"), b.home, b.slipway, "version")
		if err != nil {
			return err
		}
		s = append(s, c)
	}
	t.start(s, all)
	return nil
}
