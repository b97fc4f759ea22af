package scaffold

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/object"
	"slipway/internal/project"
)

// Folders have names that mean something else in YAML, or nothing to Kubernetes.
func TestNamesOfFolders(t *testing.T) {
	for folder, name := range map[string]string{"My App": "my-app", "123": "123", "true": "true", "1e3": "1e3",
		"~": "app", "é": "app"} {
		for _, chart := range []bool{false, true} {
			t.Run(folder, func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), folder)
				write(t, dir, File{"Dockerfile", "FROM scratch\n"})
				p, made, err := Make(dir, chart)
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range made {
					write(t, p.Dir, f)
					if strings.Contains(f.Path, "/base/") && project.IsManifest([]byte(f.Text)) && !strings.HasSuffix(f.Path,
						"kustomization.yaml") {
						objects, err := object.Read(bytes.NewReader([]byte(f.Text)), f.Path)
						if err != nil || len(objects) != 1 || objects[0].Ref().Name != name {
							t.Errorf("%s: %v %v", f.Path, objects, err)
						}
					}
				}
				p, err = project.Open(dir)
				if err != nil || p.File == "" || p.Name != name || len(p.Environments) != 3 || len(p.Images) != 1 {
					t.Errorf("%+v %v", p, err)
				}
			})
		}
	}
}

// An image that no manifest names would be an error in slipway.yaml: it is written there as a comment.
func TestImageThatIsUsed(t *testing.T) {
	for text, used := range map[string]bool{
		"image: shop\n":                              true,
		"  - image: ghcr.io/acme/shop:1.0\n":         true,
		`{"image": "shop@sha256:abc"}`:               true,
		"image: {repository: ghcr.io/acme/shop}\n":   true,
		"images:\n- name: x\n  newName: acme/shop\n": true,
		"metadata: {name: shop}\nimage: nginx\n":     false,
		"image: shopping\n":                          false,
		"image: ghcr.io/shop/cart\n":                 false,
		"# the shop\nimage: ghcr.io/acme/workshop\n": false,
	} {
		dir := filepath.Join(t.TempDir(), "shop")
		write(t, dir, File{"Dockerfile", ""})
		write(t, dir, File{"chart/Chart.yaml", "name: x\n"})
		write(t, dir, File{"chart/values-dev.yaml", text})
		p, _, err := Make(dir, false)
		if err != nil || len(p.Images) == 1 != used {
			t.Errorf("%q: %v %v", text, p.Images, err)
		}
	}
}

func write(t *testing.T, dir string, f File) {
	t.Helper()
	path := filepath.Join(dir, f.Path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(f.Text), 0o644); err != nil {
		t.Fatal(err)
	}
}
