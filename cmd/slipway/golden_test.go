package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"
)

// Each case of internal/render/testdata/golden: what kustomize and helm print, slipway prints, and
// where they fail, it fails. Where slipway alone is to refuse, the command line ends in what it says.
// "make golden" asks the peers again.
func TestGolden(t *testing.T) {
	dir := filepath.Join(sourceDir, "..", "..", "internal", "render", "testdata", "golden")
	cases, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < 45 {
		t.Fatalf("%d cases in %s", len(cases), dir)
	}
	t.Setenv("SLIPWAY_CACHE", "off")
	for _, path := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) { golden(t, path) })
	}
}

func golden(t *testing.T, path string) {
	a, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	want := map[string]string{}
	for _, f := range a.Files {
		if name, ok := strings.CutPrefix(f.Name, "want/"); ok {
			want[name] = string(f.Data)
			continue
		}
		writeInput(t, f)
	}
	n := 0
	for line := range strings.Lines(string(a.Comment)) {
		command, says, _ := strings.Cut(strings.TrimSpace(line), " # ")
		command, fails := strings.CutPrefix(command, "! ")
		args, ok := ours(strings.Fields(command))
		if !ok {
			continue
		}
		n++
		if fails || says != "" {
			goldenFails(t, command, args, says)
			continue
		}
		text, ok := want[fmt.Sprintf("%d.yaml", n)]
		if !ok {
			t.Fatalf("no answer to %q: run make golden", command)
		}
		goldenPrints(t, command, args, text)
	}
	if n != len(want) {
		t.Errorf("%d command lines, %d answers: run make golden", n, len(want))
	}
}

// writeInput writes a file of a case below the current folder.
func writeInput(t *testing.T, f txtar.File) {
	name, encoded := strings.CutSuffix(f.Name, ".base64")
	data := f.Data
	if encoded {
		var err error
		if data, err = base64.StdEncoding.DecodeString(strings.TrimSpace(string(data))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// ours are the arguments that stand for a peer's command line; false: it is none.
func ours(words []string) ([]string, bool) {
	switch {
	case len(words) > 2 && words[0] == "kustomize" && words[1] == "build":
		args := []string{"render"}
		for _, w := range words[2 : len(words)-1] {
			if w != "--enable-helm" { // here it always is
				args = append(args, w)
			}
		}
		return append(args, "--kustomize", words[len(words)-1]), true
	case len(words) > 3 && words[0] == "helm" && words[1] == "template":
		return append([]string{"render", "--release", words[2], "--chart", words[3]}, words[4:]...), true
	}
	return nil, false
}

func goldenPrints(t *testing.T, command string, args []string, want string) {
	var stdout, stderr bytes.Buffer
	if code := run(args, os.Stdin, &stdout, &stderr); code != 0 {
		t.Errorf("%s: exit code %d: %s", command, code, stderr.String())
		return
	}
	if strings.HasPrefix(command, "kustomize") {
		if diff := cmp.Diff(want, stdout.String()); diff != "" {
			t.Errorf("%s (-peer +slipway):\n%s", command, diff)
		}
		return
	}
	if diff := cmp.Diff(documents(t, want), documents(t, stdout.String())); diff != "" {
		t.Errorf("%s (-peer +slipway):\n%s", command, diff)
	}
}

func goldenFails(t *testing.T, command string, args []string, says string) {
	var stdout, stderr bytes.Buffer
	code := run(args, os.Stdin, &stdout, &stderr)
	if code == 0 || stdout.Len() > 0 {
		t.Errorf("%s: exit code %d, and prints %q", command, code, stdout.String())
	}
	if !strings.Contains(stderr.String(), says) {
		t.Errorf("%s says nothing of %s: %s", command, says, stderr.String())
	}
}

// documents parses a stream as Kubernetes would: what is empty is none, and a List is its items.
func documents(t *testing.T, stream string) []any {
	t.Helper()
	var out []any
	rest := "\n" + strings.ReplaceAll(stream, "\r\n", "\n")
	for more := true; more; {
		var text string
		if text, rest, more = strings.Cut(rest, "\n---"); more {
			text += "\n"
		}
		var doc any
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if list, ok := doc.(map[string]any); ok && list["kind"] == "List" {
			out = append(out, list["items"].([]any)...)
		} else if ok && (list["kind"] != nil || list["apiVersion"] != nil) { // nothing else is an object
			out = append(out, doc)
		}
	}
	return out
}
