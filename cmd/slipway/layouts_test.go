package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"slipway/internal/project"
	"slipway/internal/render/foldertest"
)

// In each layout that detection knows, init writes down what was found, and check works on what init wrote.
func TestInitThenCheckInEachLayout(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	names, err := filepath.Glob(filepath.Join(sourceDir, "..", "..", "internal/project/testdata/detect/*.txtar"))
	if err != nil || len(names) < 50 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			dir := foldertest.Of(t, completed(archive))
			found, err := project.Open(dir)
			if !hasEnvironments(archive) {
				if !errors.Is(err, project.ErrNone) {
					t.Errorf("an archive without environments: %v, %v", found.Environments, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			slipway := func(args ...string) (string, int) {
				var stdout, stderr bytes.Buffer
				code := run(append(args, "--dir", dir), os.Stdin, &stdout, &stderr)
				if code != codeDone && code != codeFaults {
					t.Fatalf("slipway %v: %d %s", args, code, stderr.String())
				}
				return stdout.String(), code
			}
			if out, _ := slipway("init"); !strings.Contains(out, "wrote slipway.yaml") {
				t.Fatal(out)
			}
			written, err := project.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			if first := found.Environments[0]; first.Name != "default" || len(first.Paths) != 1 {
				if diff := cmp.Diff(described(found), described(written)); diff != "" {
					t.Errorf("init wrote other environments than detection found: %s", diff)
				}
			}
			out, _ := slipway("check", "--output", "json")
			var report struct{ Environments []string }
			if err := json.Unmarshal([]byte(out), &report); err != nil {
				t.Fatal(err)
			}
			for _, e := range written.Environments {
				if !slices.Contains(report.Environments, e.Name) && !unrendered[path.Base(filepath.ToSlash(name))] {
					t.Errorf("%s is not checked: %s", e.Name, out)
				}
			}
		})
	}
}

// hasEnvironments reports whether the wanted result of a layout states an environment, beside its notes.
func hasEnvironments(archive *txtar.Archive) bool {
	for _, f := range archive.Files {
		if f.Name != "want" {
			continue
		}
		for line := range strings.Lines(string(f.Data)) {
			if line != "\n" && !strings.HasPrefix(line, "note: ") {
				return true
			}
		}
	}
	return false
}

// Layouts with charts that are fetched, and with environments that have no objects.
var unrendered = map[string]bool{"public_team_env.txtar": true, "argo_set_git.txtar": true,
	"skaffold_required.txtar": true}

func described(p project.Project) (all []string) {
	for _, e := range p.Environments {
		all = append(all, fmt.Sprint(e.Name, e.Class, e.Namespace, e.Paths, e.Skaffold))
		for _, c := range e.Charts {
			all = append(all, fmt.Sprint(c.Path, c.Release, c.Namespace, c.Values, c.Set, c.SetJSON))
		}
	}
	return all
}

var yamlNames = regexp.MustCompile(`[a-z0-9./-]+\.ya?ml`)

// completed are the files of a layout, with what rendering needs beside what detection reads.
func completed(archive *txtar.Archive) map[string]string {
	files := map[string]string{"README.md": ""}
	object := func(name string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " +
			regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.TrimSuffix(name, path.Ext(name)), "-") + "}\n"
	}
	stated := hasEnvironments(archive)
	for _, f := range archive.Files {
		text, base := string(f.Data), path.Base(f.Name)
		switch {
		case f.Name == "want":
			continue
		case !stated: // nothing renders, and what the files lack may be why nothing is found
		case base == "Chart.yaml":
			if !strings.Contains(text, "apiVersion:") {
				text = "apiVersion: v2\nversion: 0.1.0\n" + text
			}
			if !strings.Contains(text, "name:") {
				text += "name: " + path.Base(path.Dir("/shop/"+f.Name)) + "\n"
			}
			files[path.Join(path.Dir(f.Name), "templates/object.yaml")] = "apiVersion: v1\nkind: ConfigMap\n" +
				"metadata: {name: '{{ .Release.Name }}-{{ .Chart.Name }}'}\n"
		case strings.Contains(text, "apiVersion:") && !strings.Contains(text, "metadata:") &&
			!strings.Contains(base, "kustomization") && !strings.Contains(base, "skaffold"):
			text = object(f.Name)
		case strings.Contains(base, "ustomization") && strings.Contains(text, "kind: Component"):
			text += "commonAnnotations: {a: b}\n"
		case strings.Contains(base, "ustomization") && text == "":
			text = "resources: [object.yaml]\n"
			files[path.Join(path.Dir(f.Name), "object.yaml")] = object(f.Name)
		case strings.Contains(base, "ustomization"):
			if !strings.Contains(text, "toolkit.fluxcd.io") {
				for _, r := range yamlNames.FindAllString(text, -1) {
					files[path.Join(path.Dir(f.Name), r)] = object(path.Join(path.Dir(f.Name), r))
				}
			}
		}
		files[f.Name] = text
	}
	for name := range files {
		if !fs.ValidPath(name) {
			delete(files, name)
		}
	}
	return files
}
