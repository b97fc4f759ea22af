package main

import (
	"archive/zip"
	"bytes"
	"testing"
)

// A zip archive without times has files of month 0, which not every program can unpack.
func TestZipTimes(t *testing.T) {
	text, err := zipOf("slipway", []file{{name: "README.md", text: []byte("text")}})
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	if len(z.File) != 1 || z.File[0].Name != "slipway/README.md" || !z.File[0].Modified.Equal(firstDay) {
		t.Errorf("has %d files, the first of %v, want slipway/README.md of %v", len(z.File), z.File[0].Modified,
			firstDay)
	}
	if z.File[0].ModifiedDate != 1<<5|1 { // as DOS has it: years since 1980, month, day
		t.Errorf("the date is %#x", z.File[0].ModifiedDate)
	}
}
