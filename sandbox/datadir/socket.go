package datadir

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	socketPrefix = "slipway-sandbox-"
	// The kernel allows 107 bytes for a socket's path, and the name of the socket still comes.
	socketDirMax = 90
)

// SocketDir makes a folder for unix sockets outside of any data folder, whose path may be too long
// for one. remove deletes it. Folders that killed sandboxes left are swept first.
func SocketDir() (path string, remove func(), err error) {
	parent := os.TempDir()
	if len(parent) > socketDirMax-len(socketPrefix)-10 {
		parent = "/tmp"
	}
	sweep(parent)
	path, err = os.MkdirTemp(parent, socketPrefix)
	if err != nil {
		return "", nil, err
	}
	lock, err := tryLock(filepath.Join(path, lockFile))
	if err != nil {
		os.RemoveAll(path)
		return "", nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return path, func() { os.RemoveAll(path); lock.Close() }, nil
}

// sweep removes the folders that nobody holds. What cannot be removed belongs to somebody else.
func sweep(parent string) {
	dirs, err := filepath.Glob(filepath.Join(parent, socketPrefix+"*"))
	if err != nil {
		return
	}
	for _, d := range dirs {
		st, err := os.Lstat(d)
		// A fresh folder may belong to a start that has not locked it yet.
		if err != nil || !st.IsDir() || time.Since(st.ModTime()) < time.Minute {
			continue
		}
		if lock, err := tryLock(filepath.Join(d, lockFile)); err == nil {
			os.RemoveAll(d)
			lock.Close()
		}
	}
}
