package slipway_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/render/foldertest"
)

const changelogStart = `# Changelog

Assembled from changes/ by ` + "`make docs`" + `, the newest change first.

## Unreleased

`

// CHANGELOG.md consists of the files in changes/. Their numbers are unique, so that their order is certain.
func TestChangelog(t *testing.T) {
	files, err := filepath.Glob("changes/*.md") // sorted
	if err != nil {
		t.Fatal(err)
	}
	var text, last string
	for _, file := range files {
		number, _, _ := strings.Cut(filepath.Base(file), "-")
		if number == last {
			t.Errorf("%s: number %s is taken", file, number)
		}
		last = number
		change, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(change), "- ") {
			t.Errorf("%s: want a Markdown list", file)
		}
		text = string(change) + text
	}
	foldertest.Generated(t, "CHANGELOG.md", changelogStart+text)
}
