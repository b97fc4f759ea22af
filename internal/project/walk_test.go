package project

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"slipway/internal/render/foldertest"
)

// A large directory hides nothing that lies above it or beside it, and is named.
func TestWalkOfManyFiles(t *testing.T) {
	files := fstest.MapFS{"k8s/dev/a.yaml": {Data: []byte(manifest)}, "k8s/prod/a.yaml": {Data: []byte(manifest)}}
	for i := range maxWalked {
		files[fmt.Sprintf("data/raw/%d.txt", i)] = &fstest.MapFile{}
		if i < 100 {
			files[fmt.Sprintf("web/node_modules/p%d/k8s/prod/a.yaml", i)] = &fstest.MapFile{Data: []byte(manifest)}
		}
	}
	p, ok := walk(files).project("shop")
	if !ok || len(p.Environments) != 2 || p.Environments[0].Name != "dev" {
		t.Fatalf("%+v", p.Environments)
	}
	want := "not looked at: data/raw (detection looks at 50000 files)"
	if got := p.Notes[len(p.Notes)-1].Text; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestWalkOfDeepDirectories(t *testing.T) {
	files := fstest.MapFS{"k8s/a.yaml": {Data: []byte(manifest)}}
	for _, name := range []string{"a", "b", "c", "d"} {
		files[strings.Repeat(name+"/", 30)+"x.yaml"] = &fstest.MapFile{Data: []byte(manifest)}
	}
	p, _ := walk(files).project("shop")
	want := "not looked at: a/a/a/a/a/a/a/a/a, b/b/b/b/b/b/b/b/b and 2 more (detection looks 8 directories deep)"
	if got := p.Notes[len(p.Notes)-1].Text; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Links are not followed: one to a directory above ends nowhere. What cannot be read is named.
func TestWalkOfLinksAndUnreadableDirectories(t *testing.T) {
	dir := foldertest.Of(t, map[string]string{"k8s/prod/a.yaml": manifest, "k8s/dev/a.yaml": manifest,
		"private/x.yaml": manifest})
	for from, to := range map[string]string{"loop": ".", "k8s/up": "..", "k8s/dev/self": "self", "out": "/"} {
		if err := os.Symlink(to, filepath.Join(dir, from)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "private"), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, "private"), 0o755) })
	p, err := Open(dir)
	if err != nil || len(p.Environments) != 2 {
		t.Fatalf("%+v %v", p.Environments, err)
	}
	if os.Getuid() == 0 {
		return // root reads everything
	}
	if got := p.Notes[len(p.Notes)-1].Text; got != "not looked at: private (cannot be read)" {
		t.Error(got)
	}
}
