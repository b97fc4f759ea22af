package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The documents of this repository make a site, and each link leads somewhere.
func TestSite(t *testing.T) {
	out := t.TempDir()
	if err := run("..", out, "https://example.com/blob/main"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"index.html":                  `href="docs/tutorial.html"`,
		"docs/tutorial.html":          `href="../site.css"`,
		"docs/howto/helm.html":        `href="../../examples/helm/index.html"`,
		"docs/cli/deploy.html":        `aria-current="page"`,
		"search.js":                   `"t":"From a laptop cluster to production"`,
		"docs/images/board-light.png": "PNG",
		"docs/images/board-dark.png":  "PNG",
		"docs/howto/secrets.html":     `<li><a href="#sops">SOPS</a></li>`,
		"docs/slipway.yaml.html":      `<a href="#the-file" title="Link to this heading" class="anchor">#</a></h2>`,
	} {
		text, err := os.ReadFile(filepath.Join(out, name))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s lacks %s: %v", name, want, err)
		}
	}
}

func TestLinksThatLeadNowhere(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"README.md":   "# One\n\n[a](docs/two.md#a-heading) [b](docs/two.md#none) [c](none.md) [d](../outside.md)\n",
		"docs/two.md": "# Two\n\n## A heading\n\n[up](../README.md#one)\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	err := run(root, t.TempDir(), "")
	want := "3 links lead nowhere:\n  README.md: none.md\n  README.md: ../outside.md\n  README.md: docs/two.md#none"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}
