package bundle_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render/bundle"
)

var commit = strings.Repeat("a1", 20)

func made(t *testing.T, objects ...object.Object) bundle.Bundle {
	t.Helper()
	zero := 0.0
	src := project.Source{Commit: commit, Tag: "sha-a1a1a1a", Ancestors: []string{strings.Repeat("b", 40)},
		Remote: "https://example.com/a.git", Project: project.Project{
			Name: "shop", Rules: []string{"rules/own.yaml"}, Exceptions: []project.Exception{
				{Rule: "privileged", Reason: "mine", Environments: []string{"prod"}},
				{Rule: "privileged", Reason: "another's", Environments: []string{"dev"}},
			}}}
	env := project.Environment{Name: "prod", Class: project.Production, Paths: []string{"k8s/prod"},
		Verify: []project.Verification{{Prometheus: &project.PrometheusCheck{Query: "up", Above: &zero}}}}
	b, err := bundle.Make(src, env, objects, []project.Image{{Name: "web"}},
		map[string][]byte{"rules/own.yaml": []byte("rules: []\n")})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func configMap(name string, line int, text string) object.Object {
	return object.Object{Origin: object.Origin{File: "k8s/base/" + name + ".yaml", Line: line},
		Body: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name},
			"data": map[string]any{"text": text}}}
}

// A bundle comes back as it was written: the same bytes each time, with the places of its objects, a bound of
// zero, and the exceptions of its environment alone.
func TestRoundTrip(t *testing.T) {
	b := made(t, configMap("one", 3, "a\nb\n"), configMap("two", 7, "c"),
		configMap("large", 1, strings.Repeat("x", 1<<20)))
	first, err := bundle.Pack(b)
	if err != nil {
		t.Fatal(err)
	}
	second, err := bundle.Pack(made(t, configMap("one", 3, "a\nb\n"), configMap("two", 7, "c"),
		configMap("large", 1, strings.Repeat("x", 1<<20))))
	if err != nil || !bytes.Equal(first, second) {
		t.Fatalf("two archives of one bundle differ: %v", err)
	}
	got, err := bundle.Unpack(bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b, got); diff != "" {
		t.Error(diff)
	}
	if n := len(got.Project.Exceptions); n != 1 || got.Project.Exceptions[0].Reason != "mine" {
		t.Errorf("%d exceptions: %v", n, got.Project.Exceptions)
	}
	for file, text := range got.Files {
		for i, line := range strings.Split(string(text), "\n") {
			name, isName := strings.CutPrefix(line, "  name: ")
			if want := "k8s/base/" + name + ".yaml"; isName && got.At(object.Origin{File: file,
				Line: i + 1}).File != want {
				t.Errorf("%s:%d is %s, want %s", file, i+1, got.At(object.Origin{File: file, Line: i + 1}), want)
			}
		}
	}
	if at := got.At(object.Origin{File: "rules/own.yaml", Line: 1}); at.String() != "rules/own.yaml:1" {
		t.Errorf("a line of another file is %s", at)
	}
}

type entry struct {
	name, text string
	kind       byte
	size       int64 // 0: that of the text
}

func archive(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	compressed := gzip.NewWriter(&out)
	w := tar.NewWriter(compressed)
	for _, e := range entries {
		h := tar.Header{Name: e.name, Typeflag: e.kind, Size: int64(len(e.text)), Mode: 0o644,
			Linkname: "/etc/passwd"}
		if e.kind == 0 {
			h.Typeflag, h.Linkname = tar.TypeReg, ""
		}
		if e.size > 0 {
			h.Size = e.size
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if e.size > 0 {
			if _, err := io.CopyN(w, zeros{}, e.size); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), compressed.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func description(change ...string) string {
	text := `{"version":1,"project":{"Name":"shop","Environments":[{"Name":"prod","Paths":["objects"]}]},` +
		`"source":{"Bundled":true,"Commit":"` + commit + `"}}`
	return strings.NewReplacer(change...).Replace(text)
}

// What Pack does not write is refused, and says why.
func TestRefused(t *testing.T) {
	whole := archive(t, entry{name: "environment.json", text: description()})
	if _, err := bundle.Unpack(bytes.NewReader(whole)); err != nil {
		t.Fatal(err)
	}
	var many []entry
	for i := range 20_001 {
		many = append(many, entry{name: fmt.Sprint("f", i)})
	}
	described := func(change ...string) []byte {
		return archive(t, entry{name: "environment.json", text: description(change...)})
	}
	var bomb []entry
	for i := range 33 {
		bomb = append(bomb, entry{name: fmt.Sprint("f", i), size: 8 << 20})
	}
	for name, c := range map[string]struct {
		archive []byte
		want    string
	}{
		"no gzip":       {[]byte("this is not gzip"), "invalid header"},
		"cut off":       {whole[:len(whole)/2], "unexpected EOF"},
		"parent":        {archive(t, entry{name: "../up.yaml"}), `"../up.yaml": leads out of the archive`},
		"parent within": {archive(t, entry{name: "a/../../up"}), "leads out of the archive"},
		"absolute":      {archive(t, entry{name: "/etc/cron.d/x"}), "leads out of the archive"},
		"not clean":     {archive(t, entry{name: "a//b"}), "not a clean path"},
		"backslash":     {archive(t, entry{name: `a\..\b`}), "not a path"},
		"symbolic link": {archive(t, entry{name: "a", kind: tar.TypeSymlink}), "not a regular file"},
		"hard link":     {archive(t, entry{name: "a", kind: tar.TypeLink}), "not a regular file"},
		"device":        {archive(t, entry{name: "a", kind: tar.TypeChar}), "not a regular file"},
		"directory":     {archive(t, entry{name: "a", kind: tar.TypeDir}), "not a"},
		"twice": {archive(t, entry{name: "a", text: "1"}, entry{name: "a", text: "2"}),
			"twice in the archive"},
		"twice, empty":   {archive(t, entry{name: "a"}, entry{name: "a"}), "twice in the archive"},
		"large file":     {archive(t, entry{name: "a", size: 8<<20 + 1}), "larger than 8 MiB"},
		"many files":     {archive(t, many...), "more than 20000 files"},
		"bomb":           {archive(t, bomb...), "more than 256 MiB when it is decompressed"},
		"no description": {archive(t, entry{name: "a"}), "environment.json is missing"},
		"version":        {described(`"version":1`, `"version":2`), "format 2: this program reads format 1"},
		"unknown key": {described(`"Name":"shop"`, `"Name":"shop","Skips":["x"]`),
			`unknown field "Skips": update the reader`},
		"two environments": {described(`"Paths":["objects"]}`, `"Paths":["objects"]},{"Name":"dev"}`),
			"want the name of a project and one environment"},
		"another path": {described(`["objects"]`, `["../../etc"]`), "must consist of objects alone"},
		"directory of the project": {described(`"Name":"shop"`, `"Name":"shop","Dir":"/etc"`),
			"must consist of objects alone"},
		"no commit": {described(commit, "main"), "the source must be a commit"},
		"rules outside": {described(`"Name":"shop"`, `"Name":"shop","Rules":["../../etc/passwd"]`),
			`"../../etc/passwd": leads out of the archive`},
		"key outside": {described(`"Name":"prod"`, `"Name":"prod","Signatures":[{"Key":"/etc/x"}]`),
			`"/etc/x": leads out of the archive`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := bundle.Unpack(bytes.NewReader(c.archive))
			if !errors.As(err, new(*bundle.ArchiveError)) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// A file of the project cannot take the place of one of the archive's own.
func TestNamesOfItsOwn(t *testing.T) {
	for _, name := range []string{"environment.json", "objects", "objects/00000.yaml"} {
		_, err := bundle.Make(project.Source{}, project.Environment{}, nil, nil, map[string][]byte{name: nil})
		if err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
