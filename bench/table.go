package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// The targets that hold for every load; those of cold renders differ by size.
const (
	warmTarget   = 0.03
	memoryTarget = 1.5
	growthTarget = 1.5
	startTarget  = 25 * time.Millisecond
)

// table prints rows as they are known, and counts the missed targets.
type table struct {
	w      io.Writer
	missed int
	notes  []string
}

func (t *table) head(small bool) {
	t.load()
	if small {
		t.note("3,001 objects are left out (BENCH=small)")
	}
	fmt.Fprintf(t.w, "CPU time (user and system) of whole processes, three environments: the peer in a process each,\nslipway in one. Medians; ± is half of the distance between the cheapest and the dearest run.\n\n")
	fmt.Fprintf(t.w, "%-32s %-14s %16s %16s %9s  %s\n", "", "", "peer", "slipway", "ratio", "target")
}

// load prints what else the machine does.
func (t *table) load() {
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		fmt.Fprintf(t.w, "Load of the machine at the start: %s\n", strings.Join(strings.Fields(string(load))[:3], " "))
	}
}

func (t *table) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

// row ends in the target and a verdict.
func (t *table) row(name, what, peer, ours, value, target string, met bool) {
	verdict := "ok"
	if !met {
		verdict = "MISSED"
		t.missed++
	}
	fmt.Fprintf(t.w, "%-32s %-14s %16s %16s %9s  %-9s %s\n", name, what, peer, ours, value, target, verdict)
}

func (t *table) speed(r result) {
	name := r.engine + " " + r.name
	for _, part := range []struct {
		what   string
		ours   samples
		target float64
	}{{"cold", r.colds, r.cold}, {"unchanged", r.warms, warmTarget}} {
		ratio := part.ours.cpu().Seconds() / r.peers.cpu().Seconds()
		t.row(name, part.what, seconds(r.peers), seconds(part.ours), times(ratio),
			"≤ "+times(part.target), ratio <= part.target)
	}
	if r.once {
		t.note("%s: the peer rendered one environment, once; its cost is counted %d times", name, len(r.peer))
	}
}

func (t *table) start(s samples, all []result) {
	fmt.Fprintln(t.w)
	t.row("slipway version", "start", "", fmt.Sprintf("%.1f ms ±%.0f%%", 1e3*s.cpu().Seconds(), 100*s.spread()), "",
		fmt.Sprintf("< %d ms", startTarget.Milliseconds()), s.cpu() < startTarget)
	for _, r := range all {
		if goal := warmTarget * r.peers.cpu().Seconds(); s.cpu().Seconds() > goal {
			t.note("%s %s, unchanged: the target is %.0f ms, and a process that does nothing takes %.0f", r.engine, r.name, 1e3*goal, 1e3*s.cpu().Seconds())
		}
	}
}

func (t *table) memory(all []result) {
	fmt.Fprintln(t.w)
	for _, r := range all {
		ours := max(r.colds.rss(), r.warms.rss())
		ratio := float64(ours) / float64(r.peers.rss())
		t.row(r.engine+" "+r.name, "peak memory", mebibytes(r.peers.rss()), mebibytes(ours), times(ratio),
			"≤ "+times(memoryTarget), ratio <= memoryTarget)
	}
}

// growth compares the cost of one object among many with that of one among few.
func (t *table) growth(all []result) {
	each := map[string]map[int]float64{kustomize: {}, helm: {}}
	for _, r := range all {
		if r.objects > 0 {
			each[r.engine][r.objects] = r.colds.cpu().Seconds() / float64(r.objects)
		}
	}
	fmt.Fprintln(t.w)
	for _, engine := range []string{kustomize, helm} {
		if many, ok := each[engine][3001]; ok {
			few := each[engine][301]
			t.row(engine+" cost of an object", "3001 : 301", fmt.Sprintf("%.2f ms at 301", 1e3*few), fmt.Sprintf("%.2f at 3001", 1e3*many),
				times(many/few), "≤ "+times(growthTarget), many <= growthTarget*few)
		}
	}
}

func (t *table) foot() {
	fmt.Fprintln(t.w)
	for _, n := range t.notes {
		fmt.Fprintln(t.w, "-", n)
	}
	fmt.Fprintf(t.w, "%d targets missed\n", t.missed)
}

// same demands that slipway prints what the peer has printed: otherwise it was not the same work.
func (b *bench) same(t *table, l load) error {
	for i, args := range l.alone {
		if l.once && i > 0 {
			break
		}
		file := filepath.Join(b.temp, "alone.yaml")
		if _, err := b.run(l.dir, file, b.home, append([]string{b.slipway}, args...)...); err != nil {
			return err
		}
		ours, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		theirs, err := os.ReadFile(b.output(l, i))
		if err != nil {
			return err
		}
		equal := bytes.Equal(ours, theirs)
		if l.engine == helm && !equal {
			if equal, err = sameObjects(ours, theirs); err != nil {
				return err
			}
		}
		if !equal {
			return fmt.Errorf("%s %s: slipway %s does not print what %s %s does", l.engine, l.name, strings.Join(args, " "), l.engine, strings.Join(l.peer[i], " "))
		}
	}
	return nil
}

func sameObjects(a, b []byte) (bool, error) {
	as, err := documents(a)
	if err != nil {
		return false, err
	}
	bs, err := documents(b)
	return reflect.DeepEqual(as, bs), err
}

// documents parses a stream; what is empty is none.
func documents(text []byte) ([]any, error) {
	var out []any
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var doc any
		if err := d.Decode(&doc); err == io.EOF {
			return out, nil
		} else if err != nil {
			return nil, err
		}
		if doc != nil {
			out = append(out, doc)
		}
	}
}

func seconds(s samples) string {
	return fmt.Sprintf("%.3f s ±%2.0f%%", s.cpu().Seconds(), 100*s.spread())
}

func times(ratio float64) string   { return fmt.Sprintf("%.3g×", ratio) }
func mebibytes(bytes int64) string { return fmt.Sprintf("%d MiB", bytes>>20) }
