package gctune

import (
	"os"
	"regexp"
	"strconv"
	"testing"
)

var filePages = regexp.MustCompile(`RssFile:\s+(\d+) kB`)

// mapped is how much of files the process has mapped, in kB.
func mapped(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	m := filePages.FindSubmatch(text)
	if m == nil {
		t.Skip("this kernel does not count the pages of files")
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The file is unmapped when the heap has grown, and the program goes on.
func TestDropFile(t *testing.T) {
	if !isFixed() {
		t.Skip("this test was built as a position-independent executable, which keeps its pages")
	}
	dropAt.Store(dropFrom)
	before := mapped(t)
	held = make([]byte, 40<<20)
	settled(t, func(percent int) bool { return percent <= 50 }) // after a collection that saw it
	if after := mapped(t); after > before*9/10 {
		t.Errorf("%d kB of files are mapped, and were %d kB before", after, before)
	}
	if next := dropAt.Load(); next < 80<<20 {
		t.Errorf("the file is unmapped again at a heap of %d bytes: want one twice as large", next)
	}
	held = nil
}
