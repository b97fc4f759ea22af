package gctune

import "testing"

// The file is unmapped when the heap has grown and much of it is mapped, and the program goes on.
func TestDropFile(t *testing.T) {
	before := mappedFile()
	if before == 0 || !isFixed() {
		// Nothing would be unmapped here, so that the test could not tell a success from a failure.
		t.Skip("this kernel does not count the pages of files, or this is a position-independent executable")
	}
	maxMapped = before * 2
	held = make([]byte, 40<<20)
	settled(t, func(percent int) bool { return percent <= 50 }) // after a collection that saw it
	if now := mappedFile(); now < before {
		t.Errorf("%d bytes of files are mapped, and were %d bytes before, although that was not much", now, before)
	}
	maxMapped = before / 2
	settled(t, func(int) bool { return mappedFile() <= before*9/10 })
	held = nil
}
