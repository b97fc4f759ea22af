package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"slipway/bench/work"
)

const (
	faults         = 4 // the code with which check ends that has found something
	invalid        = 1 // and that of kubeconform
	checkTarget    = 300 * time.Millisecond
	overrideTarget = 2 * time.Second
	targetServices = 12
	manyTarget     = 30 * time.Second
)

// checks measures check on the tutorial, and how its cost grows with the number of overrides.
func (b *bench) checks(t *table, root string, small bool) error {
	fmt.Fprintf(t.w, "\n%-32s %-14s %16s %16s %9s  %s\n", "", "", "CPU min, median", "wall min, median",
		"each", "target")
	tutorial := filepath.Join(root, "examples", "tutorial")
	if _, err := b.asked(t, "check examples/tutorial", tutorial, 0, 11, checkTarget, "check"); err != nil {
		return err
	}
	err := b.conforms(t, "kubeconform, the same objects", root, tutorial, []string{"--all"}, []string{"--chart", "chart", "-f", "values-prod.yaml"})
	if err != nil {
		return err
	}
	t.note("kube-linter is not here: the module proxy refused it (403) when this was written")
	for _, growth := range []struct {
		what  string
		write func(string, int) (int, error)
		sizes []int
	}{{"services", work.Overrides, []int{6, 12, 24, 48}}, {"values", work.Values, []int{20, 60}}} {
		for _, n := range growth.sizes {
			if small && n == 48 {
				continue
			}
			dir := filepath.Join(b.temp, "overrides", fmt.Sprint(growth.what, n))
			count, err := growth.write(dir, n)
			if err != nil {
				return err
			}
			target := time.Duration(0)
			if growth.what == "services" && n == targetServices {
				target = overrideTarget
			}
			name := fmt.Sprintf("check %d %s × 3", n, growth.what)
			left, err := b.asked(t, name, dir, count, 3, target, "check")
			if err != nil {
				return err
			}
			if left > 0 {
				t.note("%s: %d overrides were left untried at the end of the budget", name, left)
			}
			if target == 0 {
				continue
			}
			if _, err := b.asked(t, fmt.Sprintf("why, %d services", n), dir, 0, 3, 0, "why", "prod", "Deployment/svc03", "spec.replicas"); err != nil {
				return err
			}
		}
	}
	return b.grown(t, small)
}

// grown measures check and why on Skaffold modules and on overlays made of one another, of several sizes, and
// check on many objects.
func (b *bench) grown(t *table, small bool) error {
	for _, kind := range []struct {
		what  string
		write func(string, int) error
	}{{"modules", work.Modules}, {"nested", work.Nested}} {
		for _, n := range []int{4, 8, 16, 32} {
			if small && n == 32 {
				continue
			}
			dir := filepath.Join(b.temp, "grown", fmt.Sprint(kind.what, n))
			if err := kind.write(dir, n); err != nil {
				return err
			}
			for _, args := range [][]string{{"check"}, {"why", "prod", "Deployment/svc01", "spec.replicas"}} {
				if _, err := b.asked(t, fmt.Sprintf("%s %d %s × 3", args[0], n, kind.what), dir, 0, 3, 0, args...); err != nil {
					return err
				}
			}
		}
	}
	if small {
		return nil
	}
	dir := filepath.Join(b.temp, "grown", "many")
	if err := work.Kustomize(dir, 3001); err != nil {
		return err
	}
	_, err := b.asked(t, "check 3,001 objects × 3", dir, 0, 1, manyTarget, "check")
	return err
}

// asked runs slipway several times and prints a row, with the cost of one override where there are some.
// It says how many overrides check has not tried.
func (b *bench) asked(t *table, name, dir string, overrides, times int, target time.Duration, args ...string) (int, error) {
	file := filepath.Join(b.temp, "asked.json")
	cpu, wall, err := b.sampled(dir, file, times, append([]string{b.slipway, "-o", "json"}, args...)...)
	if err != nil {
		return 0, err
	}
	each, limit, left := "", "", 0
	if overrides > 0 {
		if left, err = untried(file); err != nil {
			return 0, err
		}
		name += fmt.Sprintf(": %d", overrides)
		each = fmt.Sprintf("%.1f ms", 1e3*cpu[0].Seconds()/float64(overrides-left))
		if left > 0 {
			limit = fmt.Sprintf("(%d untried)", left)
		}
	}
	if target == 0 {
		fmt.Fprintf(t.w, "%-32s %-14s %16s %16s %9s  %s\n", name, args[0], both(cpu), both(wall), each, limit)
		return left, nil
	}
	// What else the machine does only ever adds to wall time: the best run is nearest to the truth.
	t.row(name, args[0], both(cpu), both(wall), each, "< "+target.String(), wall[0] < target && left == 0)
	return left, nil
}

// both are the least and the median.
func both(sorted []time.Duration) string {
	return fmt.Sprintf("%.3f, %.3f s", sorted[0].Seconds(), sorted[len(sorted)/2].Seconds())
}

// sampled runs a program several times that may end with its code for "faults found", and gives what each run
// took, the least first.
func (b *bench) sampled(dir, file string, times int, argv ...string) (cpu, wall []time.Duration, err error) {
	for range times {
		c, err := b.run(dir, file, b.home, argv...)
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && (exit.ExitCode() == faults || exit.ExitCode() == invalid && argv[0] == b.peers[kubeconform]) {
			err = nil
		}
		if err != nil {
			return nil, nil, err
		}
		cpu, wall = append(cpu, c.cpu), append(wall, c.wall)
	}
	slices.Sort(cpu)
	slices.Sort(wall)
	return cpu, wall, nil
}

// untried counts the overrides that a report of check says it has not tried.
func untried(file string) (int, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	var report struct{ Unchecked []struct{ What, Why string } }
	if err := json.Unmarshal(text, &report); err != nil {
		return 0, fmt.Errorf("what check printed: %w", err)
	}
	n := 0
	for _, u := range report.Unchecked {
		if strings.HasPrefix(u.Why, "trying the overrides takes more than") {
			n++
		}
	}
	return n, nil
}
