//go:build !linux

package gctune

// dropFile does nothing: where processes have no /proc, what they need of their file is not known.
func dropFile() {}

func mappedFile() int { return 0 }
