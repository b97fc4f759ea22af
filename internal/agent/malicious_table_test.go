package agent

import (
	"archive/tar"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// repositories are the malicious ones, by the names of their environments.
func repositories() map[string]malicious {
	marker := filepath.Join(os.TempDir(), "slipway-malicious")
	outside := "leads out of the repository"
	many := func(t *testing.T, r *repository) {
		r.write("k8s/x.yaml", cm)
		r.git("add", "-A")
		var index strings.Builder
		hash := r.blob(cm)
		for i := range 100_000 {
			fmt.Fprintf(&index, "100644 %s\tk8s/%d/%d.yaml\n", hash, i/1000, i)
		}
		cmd := exec.Command("git", "update-index", "--index-info")
		cmd.Dir, cmd.Stdin = r.dir, strings.NewReader(index.String())
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		r.git("commit", "-q", "-m", "many")
	}
	return map[string]malicious{
		"path-up": {
			want: "outside the project",
			files: map[string]string{
				"slipway.yaml": "project: p\nenvironments: {NAME: {path: ../../etc}}\n",
			},
		},
		"path-absolute": {
			want: "outside the project",
			files: map[string]string{
				"slipway.yaml": "project: p\nenvironments: {NAME: {path: /etc}}\n",
			},
		},
		"link-directory": {want: outside, files: map[string]string{"k8s": "-> /etc"}},
		"link-file": {
			want: outside,
			files: map[string]string{
				"k8s/x.yaml": "-> ../../../../etc/passwd",
			},
		},
		"link-over-link": {
			want: outside,
			files: map[string]string{
				"m":          "-> a/b",
				"a/b/x":      "1",
				"k8s/x.yaml": "-> ../m/../../../etc/passwd",
			},
		},
		"link-project": {want: outside, files: map[string]string{"slipway.yaml": "-> /etc/passwd"}},
		"link-itself": {
			want: "too many levels of symbolic links",
			files: map[string]string{
				"k8s": "-> k8s",
			},
		},
		"base-up": {
			want: "outside the project",
			files: kustomized(
				"resources: [../../../../../../etc/hosts]\n",
			),
		},
		"base-absolute": {
			want: "an absolute path outside the project",
			files: kustomized(
				"resources: [/etc/hosts]\n",
			),
		},
		"generator-file": {
			want: "an absolute path outside the project",
			files: kustomized(
				"configMapGenerator: [{name: a, files: [/etc/passwd]}]\n",
			),
		},
		"generator-link": {
			want: outside,
			files: kustomized(
				"configMapGenerator: [{name: a, files: [p]}]\n",
				"k8s/p",
				"-> /etc/passwd",
			),
		},
		"tree-git":      {want: "hasDotgit", build: rawTree("40000", ".git", "tree", "")},
		"tree-git-file": {want: "hasDotgit", build: rawTree("100644", ".GIT", "blob", "gitdir: /etc")},
		"tree-git-link": {want: "hasDotgit", build: rawTree("120000", ".git", "blob", "/etc")},
		"tree-up":       {want: "hasDotdot", build: rawTree("40000", "..", "tree", "")},
		"tree-slash":    {want: "fullPathname", build: rawTree("100644", "a/b", "blob", "x")},
		"modules-link":  {want: "gitmodulesSymlink", build: rawTree("120000", ".gitmodules", "blob", "/etc/passwd")},
		"modules-option": {
			want: "",
			files: map[string]string{
				"k8s/x.yaml":  cm,
				".gitmodules": "[submodule \"a\"]\n\tpath = a\n\turl = -u./evil\n",
			},
		},
		"submodule": {want: "a submodule", build: func(_ *testing.T, r *repository) {
			r.write("k8s/x.yaml", cm)
			r.git("add", "-A")
			r.git("update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("1", 40)+",k8s/sub")
			r.git("commit", "-q", "-m", "submodule")
		}},
		"lfs": {
			want: "Git LFS pointer",
			files: map[string]string{
				"k8s/x.yaml": "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n",
			},
		},
		"bomb-manifest": {
			want: "aliases stand for more than 100000 values",
			files: map[string]string{
				"k8s/x.yaml": cm + bomb(),
			},
		},
		"bomb-project": {want: "unknown key", files: map[string]string{"slipway.yaml": bomb()}},
		"bomb-values": {
			want: "aliases stand for more than 100000 values",
			files: charted(
				`{{ define "x" }}{{ toYaml .Values }}{{ end }}`,
				"chart/values.yaml",
				bomb(),
			),
		},
		"deep": {
			want: "exceeded max depth",
			files: map[string]string{
				"k8s/x.yaml": strings.Repeat("[", 200_000),
			},
		},
		"deep-project": {
			want: "exceeded max depth",
			files: map[string]string{
				"slipway.yaml": strings.Repeat("{a: ", 100_000),
			},
		},
		"huge-file": {
			want: "larger than 8 MiB",
			files: map[string]string{
				"k8s/x.yaml": cm + "# " + strings.Repeat("x", 9<<20),
			},
		},
		"huge-project": {
			want: "larger than 8 MiB",
			files: map[string]string{
				"slipway.yaml": "# " + strings.Repeat("x", 9<<20),
			},
		},
		"documents": {
			want: "more than 10000 documents",
			files: map[string]string{
				"k8s/x.yaml": strings.Repeat(cm+"---\n", 80_000),
			},
		},
		"zero-bytes": {
			want: "control characters",
			files: map[string]string{
				"k8s/x.yaml": cm + "\x00\x01",
			},
		},
		"project-tabs": {
			want: "cannot start any token",
			files: map[string]string{
				"slipway.yaml": "project:\n\t- x\n",
			},
		},
		"project-unknown": {
			want: "unknown key",
			files: map[string]string{
				"slipway.yaml": "project: p\nhooks: {pre: rm -rf /}\n" +
					"environments: {NAME: {path: k8s}}\n",
			},
		},
		"project-empty": {want: "the file is empty", files: map[string]string{"slipway.yaml": ""}},
		"files":         {want: "more than 20000 manifests", build: many},
		"remote-base": {
			want: "nothing is fetched while rendering",
			files: kustomized(
				"resources: [\"https://127.0.0.1:1/x.yaml\"]\n",
			),
		},
		"remote-git": {
			want: "nothing is fetched while rendering",
			files: kustomized(
				"resources: [\"git::ssh://git@127.0.0.1:1/x\"]\n",
			),
		},
		"remote-chart": {
			want: "charts are fetched only from",
			files: kustomized(
				"helmCharts: [{name: a, repo: \"http://127.0.0.1:1\", version: 1.0.0}]\n",
			),
		},
		"exec-function": {
			want: "only Kustomize's built-in plugins",
			files: kustomized(
				"generators: [g.yaml]\n",
				"k8s/g.yaml",
				"apiVersion: v1\nkind: G\nmetadata:\n  name: g\n  annotations:\n"+
					"    config.kubernetes.io/function: |\n      exec: {path: ./evil.sh}\n",
				"k8s/evil.sh",
				"#!/bin/sh\ntouch "+marker+"\n",
			),
		},
		"container-function": {
			want: "only Kustomize's built-in plugins",
			files: kustomized(
				"transformers: [g.yaml]\nresources: [x.yaml]\n",
				"k8s/g.yaml",
				"apiVersion: v1\nkind: G\nmetadata:\n  name: g\n  annotations:\n"+
					"    config.kubernetes.io/function: |\n      container: {image: evil}\n",
			),
		},
		"exec-plugin": {
			want: "only Kustomize's built-in plugins",
			files: kustomized(
				"generators: [g.yaml]\n",
				"k8s/g.yaml",
				"apiVersion: evil.example.com/v1\nkind: Evil\nmetadata: {name: g}\n",
			),
		},
		"cycle": {
			want: "closes a cycle",
			files: kustomized(
				"resources: [../b]\n",
				"b/kustomization.yaml",
				"resources: [../k8s]\n",
			),
		},
		"openapi": {
			want: "nothing is fetched while rendering",
			files: kustomized(
				"openapi: {path: \"http://127.0.0.1:1/x\"}\nresources: [x.yaml]\n",
			),
		},
		"exponential": {want: "is defined twice", files: nested(40)},
		"tpl-recursion": {
			want: "nested more than 1000 deep",
			files: charted(
				`{{ define "x" }}{{ tpl "{{ include \"x\" . }}" . }}{{ end }}`,
			),
		},
		"include-loop": {
			want: "nested more than 1000 deep",
			files: charted(
				`{{ define "x" }}{{ include "x" . }}{{ end }}`,
			),
		},
		"template-loop": {
			want: "nested more than 1000 deep",
			files: charted(
				`{{ define "x" }}{{ template "x" . }}{{ end }}`,
			),
		},
		"endless-range": {
			want: "a list of more than 1000000 values",
			files: charted(
				`{{ define "x" }}{{ range until 2000000000 }}{{ end }}{{ end }}`,
			),
		},
		"slow-range": {
			want: "more than 10000000 steps",
			files: charted(
				`{{ define "x" }}{{ range until 30000 }}{{ range until 30000 }}{{ end }}{{ end }}{{ end }}`,
			),
		},
		"repeat": {
			want: "more than 16 MiB",
			files: charted(
				`{{ define "x" }}{{ repeat 2000000000 "xxxxxxxx" }}{{ end }}`,
			),
		},
		"lookup-host": {
			want: "",
			files: charted(
				`{{ define "x" }}{{ getHostByName "secret.example.com" }}{{ end }}`,
			),
		},
		"lookup": {
			want: "",
			files: charted(
				`{{ define "x" }}{{ lookup "v1" "Secret" "kube-system" "" }}{{ end }}`,
			),
		},
		"files-get": {
			want: "_x.tpl:1: empty",
			files: charted(
				`{{ define "x" }}{{ .Files.Get "../../../../etc/passwd" | required "empty" }}{{ end }}`,
			),
		},
		"environment": {
			want: "function \"env\" not defined",
			files: charted(
				`{{ define "x" }}{{ env "KUBECONFIG" }}{{ end }}`,
			),
		},
		"chart-up": {want: "references parent directory", build: func(t *testing.T, r *repository) {
			archived(t, r, tar.Header{Name: "c/../../../tmp/x"})
		}},
		"chart-absolute": {want: "", build: func(t *testing.T, r *repository) {
			archived(t, r, tar.Header{Name: "/tmp/x"})
		}},
		"chart-link": {want: "", build: func(t *testing.T, r *repository) {
			archived(t, r, tar.Header{Name: "c/templates/l.yaml", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"})
		}},
		"chart-bomb": {want: "larger than the maximum size", build: func(t *testing.T, r *repository) {
			archived(t, r, tar.Header{Name: "c/x", Size: 200 << 20})
		}},
		"chart-dependency": {
			want: "outside the project",
			files: charted(
				"",
				"chart/Chart.yaml",
				"apiVersion: v2\nname: c\nversion: 1.0.0\n"+
					"dependencies: [{name: d, version: 1.0.0, repository: \"file:///etc\"}]\n",
			),
		},
		"chart-lock": {
			want: "leads out of the repository",
			files: charted(
				`{{ define "x" }}{{ end }}`,
				"chart/Chart.lock",
				"-> /etc/passwd",
			),
		},
		"name-newline": {want: "", files: map[string]string{"k8s/a\nb.yaml": cm}},
		"name-dash": {
			want: "",
			files: map[string]string{
				"k8s/--upload-pack=touch.yaml": cm,
				"-x":                           "1",
			},
		},
		"name-unicode": {want: "", files: map[string]string{"k8s/\u202egnp.yaml": cm}},
		"name-long": {want: "255 bytes", build: func(_ *testing.T, r *repository) {
			r.write("k8s/x.yaml", cm)
			r.git("add", "-A")
			r.entry("100644", "k8s/"+strings.Repeat("x", 300)+".yaml", cm)
			r.git("commit", "-q", "-m", "long")
		}},
		"smudge": {
			want: "",
			files: map[string]string{
				"k8s/x.yaml":     cm,
				".gitattributes": "* filter=evil ident\n",
				".gitconfig":     "[filter \"evil\"]\n\tsmudge = touch " + marker + "\n",
			},
		},
		"hooks": {
			want: "",
			files: map[string]string{
				"k8s/x.yaml":          cm,
				"hooks/post-checkout": "#!/bin/sh\ntouch " + marker + "\n",
			},
		},
	}
}
