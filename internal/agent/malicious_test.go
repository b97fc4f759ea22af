package agent

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/internal/agent/child"
	"slipway/internal/cluster/sandboxtest"
)

// malicious is a repository that somebody made to harm the agent. The error of its environment has a text;
// an empty one says that the environment is deployed and nothing else happens.
type malicious struct {
	want  string
	files map[string]string // "-> TARGET" is a link
	build func(t *testing.T, r *repository)
}

const cm = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\n"

// kustomized is a project whose kustomization has these lines.
func kustomized(lines string, more ...string) map[string]string {
	files := map[string]string{"k8s/kustomization.yaml": lines, "k8s/x.yaml": cm}
	for i := 0; i+1 < len(more); i += 2 {
		files[more[i]] = more[i+1]
	}
	return files
}

// charted is a project with a chart that has this template.
func charted(template string, more ...string) map[string]string {
	files := map[string]string{
		"slipway.yaml":           "project: p\nenvironments:\n  NAME: {charts: [{path: chart, release: NAME}]}\n",
		"chart/Chart.yaml":       "apiVersion: v2\nname: c\nversion: 1.0.0\n",
		"chart/templates/x":      template,
		"chart/templates/a.yaml": cm + "data:\n  a: {{ include \"x\" . | quote }}\n",
	}
	for i := 0; i+1 < len(more); i += 2 {
		files[more[i]] = more[i+1]
	}
	files["chart/templates/_x.tpl"] = template
	delete(files, "chart/templates/x")
	return files
}

// archived is a project with a chart archive of these entries.
func archived(t *testing.T, r *repository, entries ...tar.Header) {
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	archive := tar.NewWriter(zipped)
	entries = append([]tar.Header{{Name: "c/Chart.yaml"}, {Name: "c/templates/a.yaml"}}, entries...)
	texts := map[string]string{
		"c/Chart.yaml":       "apiVersion: v2\nname: c\nversion: 1.0.0\n",
		"c/templates/a.yaml": strings.ReplaceAll(cm, "NAME", r.name),
	}
	for _, h := range entries {
		text := texts[h.Name]
		if h.Size == 0 {
			h.Size = int64(len(text))
		} else {
			text = strings.Repeat("\x00", int(h.Size))
		}
		h.Mode = 0o644
		if err := archive.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(text)); err != nil && h.Typeflag != tar.TypeSymlink {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	r.write("c.tgz", out.String())
	r.write("slipway.yaml", "project: p\nenvironments:\n  NAME: {charts: [{path: c.tgz, release: NAME}]}\n")
}

// entry adds a path to the index as no working tree can have it.
func (r *repository) entry(mode, path, content string) {
	r.t.Helper()
	r.git("update-index", "--add", "--cacheinfo", mode+","+r.blob(content)+","+path)
}

func (r *repository) blob(content string) string { return r.object("blob", content) }

// object stores an object that git would refuse.
func (r *repository) object(kind, content string) string {
	r.t.Helper()
	cmd := exec.Command("git", "hash-object", "-w", "--literally", "-t", kind, "--stdin")
	cmd.Dir, cmd.Stdin = r.dir, strings.NewReader(content)
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// rawTree commits the files and one more entry of the root, which git would refuse.
func rawTree(mode, name, kind, content string) func(*testing.T, *repository) {
	return func(t *testing.T, r *repository) {
		r.write("k8s/x.yaml", cm)
		r.git("add", "-A")
		hash := r.object(kind, content)
		raw, err := hex.DecodeString(hash)
		if err != nil {
			t.Fatal(err)
		}
		list, err := exec.Command("git", "-C", r.dir, "cat-file", "tree", r.git("write-tree")).Output()
		if err != nil {
			t.Fatal(err)
		}
		root := r.object("tree", mode+" "+name+"\x00"+string(raw)+string(list))
		r.git("update-ref", "refs/heads/main", r.git("commit-tree", "-m", "raw", root))
	}
}

func nested(depth int) map[string]string {
	files := map[string]string{}
	for i := range depth {
		files[fmt.Sprintf("k%d/kustomization.yaml", i)] = fmt.Sprintf(
			"resources: [../k%d, ../k%d]\nnameSuffix: -a\n", i+1, i+1)
	}
	files[fmt.Sprintf("k%d/kustomization.yaml", depth)] = "resources: [x.yaml]\n"
	files[fmt.Sprintf("k%d/x.yaml", depth)] = cm
	files["k8s/kustomization.yaml"] = "resources: [../k0]\n"
	return files
}

func bomb() string {
	var text strings.Builder
	text.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range 9 {
		fmt.Fprintf(&text, "a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 9), i)
	}
	return text.String()
}

// Each malicious repository is refused or contained, and an environment of a good one is deployed meanwhile.
func TestMalicious(t *testing.T) {
	marker := filepath.Join(os.TempDir(), "slipway-malicious")
	place, all := sandboxtest.NewPlace(t), repositories()
	var names []string
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	if len(names) < 40 {
		t.Fatalf("only %d repositories", len(names))
	}
	config := "repositories:\n"
	add := func(r *repository, name string) {
		config += fmt.Sprintf("- {url: %q, interval: 5s, environments: {%s: {context: test}}}\n", r.url, name)
	}
	for _, name := range names {
		r := newRepository(t)
		r.name = name
		for path, text := range all[name].files {
			r.write(path, text)
		}
		if _, has := all[name].files["slipway.yaml"]; !has {
			r.write("slipway.yaml", "project: p\nenvironments:\n  "+name+": {path: k8s}\n")
		}
		if build := all[name].build; build != nil {
			build(t, r)
		}
		out, _ := exec.Command("git", "-C", r.dir, "rev-parse", "-q", "--verify", "HEAD").Output()
		if len(out) == 0 {
			r.git("add", "-A", "-f")
			r.git("commit", "-q", "-m", "bad")
		}
		r.git("push", "-q", r.url, "HEAD:refs/heads/main")
		add(r, name)
	}
	good := newRepository(t)
	good.write("slipway.yaml", "project: p\nenvironments: {good: {path: k8s}}\n")
	good.write("k8s/x.yaml", fmt.Sprintf(configMap, "good", "1"))
	good.push()
	add(good, "good")
	agent := start(t, place.Kubeconfig, config, func(a *Agent) {
		a.children = &child.Pool{Memory: 512 << 20, Time: 20 * time.Second}
	})
	agent.says(t, "is release 1, healthy", 1)
	standing := map[string]Status{}
	agent.until(t, "an answer to all", func(string) bool {
		clear(standing)
		for _, s := range agent.Statuses() {
			if s.Error = cmp.Or(s.Error, s.SourceError); s.Error != "" || s.Verdict == Synced {
				standing[s.Environment] = s
			}
		}
		return len(standing) == len(names)+1
	})
	good.write("k8s/x.yaml", fmt.Sprintf(configMap, "good", "2"))
	good.push()
	agent.says(t, "is release 2, healthy", 1)
	for _, name := range names {
		s, want := standing[name], all[name].want
		if want == "" && s.Verdict != Synced || want != "" && !strings.Contains(s.Error, want) {
			t.Errorf("%s: %s %q, not %q", name, s.Verdict, s.Error, want)
		}
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("a program of a repository was run")
	}
}
