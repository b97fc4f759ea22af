package tree

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/render/foldertest"
)

func open(t *testing.T, dir string) *Tree {
	t.Helper()
	tr, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return tr
}

// A change of anything that was read, or found missing, is noticed; other changes are not.
func TestReads(t *testing.T) {
	for name, change := range map[string]struct {
		do   func(dir string) error
		same bool
	}{
		"nothing": {func(string) error { return nil }, true},
		"text": {func(dir string) error {
			return os.WriteFile(dir+"/a/x.yaml", []byte("2"), 0o644)
		}, false},
		"missing file comes": {func(dir string) error {
			return os.WriteFile(dir+"/a/missing", nil, 0o644)
		}, false},
		"asked one comes": {func(dir string) error { return os.WriteFile(dir+"/asked", nil, 0o644) }, false},
		"file goes":       {func(dir string) error { return os.Remove(dir + "/a/x.yaml") }, false},
		"listed directory grows": {func(dir string) error {
			return os.WriteFile(dir+"/list/new", nil, 0o644)
		}, false},
		"link turns": {func(dir string) error {
			return errors.Join(os.Remove(dir+"/link"), os.Symlink("other", dir+"/link"))
		}, false},
		"another file": {func(dir string) error {
			return os.WriteFile(dir+"/other/y.yaml", []byte("2"), 0o644)
		}, true},
		"times alone": {func(dir string) error {
			return os.WriteFile(dir+"/a/x.yaml", []byte("1"), 0o644)
		}, true},
		"listed file text": {func(dir string) error {
			return os.WriteFile(dir+"/list/z", []byte("2"), 0o644)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := foldertest.Of(t, map[string]string{"a/x.yaml": "1", "other/y.yaml": "1", "list/z": "1",
				"link": "-> a"})
			v := open(t, dir).View(t.Context())
			reads, err := v.Apart(func(part *View) error {
				if _, err := part.File("a/x.yaml"); err != nil {
					return err
				}
				if _, err := part.File("a/missing"); !errors.Is(err, fs.ErrNotExist) {
					return err
				}
				return nil
			})
			if err != nil || len(reads.List()) != 2 {
				t.Fatalf("%v %v", reads.List(), err)
			}
			if v.IsFile("asked") || !v.IsDirectory("list") {
				t.Error("IsFile or IsDirectory is wrong")
			}
			if _, err := v.Directory("list"); err != nil {
				t.Fatal(err)
			}
			if got, err := v.Real("link"); got != "a" || err != nil {
				t.Fatal(got, err)
			}
			if err := change.do(dir); err != nil {
				t.Fatal(err)
			}
			if got := open(t, dir).Same(v.Reads().List()); got != change.same {
				t.Errorf("same: %v, of %v", got, v.Reads().List())
			}
		})
	}
}

func TestOutside(t *testing.T) {
	dir := foldertest.Of(t, map[string]string{"in/a": "1", "link": "-> /etc", "up": "-> ../..",
		"file": "-> /etc/passwd", "round": "-> round"})
	v := open(t, dir).View(t.Context())
	for _, name := range []string{"../x", "/etc/passwd", "link/passwd", "file", "in/../../x"} {
		if text, err := v.File(name); !errors.As(err, new(*RefusedError)) {
			t.Errorf("%s: %q %v", name, text, err)
		}
	}
	for _, name := range []string{"link", "up", "file"} {
		if got, err := v.Real(name); !errors.As(err, new(*RefusedError)) {
			t.Errorf("%s: %q %v", name, got, err)
		}
		if kind, err := v.Kind(name); err == nil {
			t.Errorf("%s: %s", name, kind)
		}
	}
	if _, err := v.Real("round"); err == nil || !strings.Contains(err.Error(),
		"too many levels of symbolic links") {
		t.Error(err)
	}
	if text, err := v.File(filepath.Join(v.Dir(), "in/a")); string(text) != "1" || err != nil {
		t.Errorf("an absolute path into the tree: %q %v", text, err)
	}
}

// Decrypted values are remembered for each view that reads the file, and only for those.
func TestSecrets(t *testing.T) {
	dir := foldertest.Of(t, map[string]string{"s": "x", "plain": "y"})
	tr, err := Open(dir, func(name string, text []byte) (Text, error) {
		if name == "s" {
			return Text{Bytes: []byte("open " + string(text)), Secrets: []string{"open x"}}, nil
		}
		return Text{Bytes: text}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	one, two := tr.View(t.Context()), tr.View(t.Context())
	for _, v := range []*View{one, two} {
		if text, err := v.File("s"); string(text) != "open x" || err != nil {
			t.Fatalf("%q %v", text, err)
		}
	}
	three := tr.View(t.Context())
	if _, err := three.File("plain"); err != nil {
		t.Fatal(err)
	}
	got := [][]string{one.Secrets(), two.Secrets(), three.Secrets()}
	if diff := cmp.Diff([][]string{{"open x"}, {"open x"}, nil}, got); diff != "" {
		t.Error(diff)
	}
	// The hash is that of the stored text, not of the decrypted one.
	if !open(t, dir).Same(one.Reads().List()) {
		t.Error("unchanged, and seen as changed")
	}
}
