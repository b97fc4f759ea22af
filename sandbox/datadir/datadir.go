// Package datadir owns a sandbox's folder: one process at a time, the ports of last time, and the
// file that says where a running sandbox is found.
package datadir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// ErrInUse: another process serves this folder.
var ErrInUse = errors.New("another sandbox is running on this folder")

const (
	lockFile  = "lock"
	portsFile = "ports.json"
	// StateFile is there while, and only while, a sandbox is ready. A killed process leaves it
	// behind: it counts only while its pid lives and "lock" is held.
	StateFile = "sandbox.json"
)

// State is what StateFile says.
type State struct {
	PID          int       `json:"pid"`
	StartedAt    time.Time `json:"startedAt"`
	Ready        bool      `json:"ready"`
	Version      string    `json:"version"`
	Kubernetes   string    `json:"kubernetes"`
	Server       string    `json:"server"`
	Kubeconfig   string    `json:"kubeconfig"`
	Registry     string    `json:"registry"`
	RegistryUser string    `json:"registryUser,omitempty"`
	GitServer    string    `json:"gitServer"`
	Nodes        int       `json:"nodes"`
	Log          string    `json:"log"`
}

// Ports are those of the last start; 0 where there was none.
type Ports struct {
	API      int `json:"api"`
	Registry int `json:"registry"`
	Git      int `json:"git"`
}

// Dir is a folder that this process holds.
type Dir struct {
	path string
	lock *os.File
}

// Open makes the folder if needed and takes it for this process; ErrInUse if another has it.
func Open(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	lock, err := tryLock(filepath.Join(path, lockFile))
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("%s: %w", path, ErrInUse)
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	d := &Dir{path: path, lock: lock}
	return d, d.RemoveState()
}

// Close gives the folder up.
func (d *Dir) Close() error { return d.lock.Close() }

// Join is a path inside the folder.
func (d *Dir) Join(elem ...string) string { return filepath.Join(append([]string{d.path}, elem...)...) }

// Ports reads what SavePorts wrote.
func (d *Dir) Ports() (Ports, error) {
	var p Ports
	b, err := os.ReadFile(d.Join(portsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return p, fmt.Errorf("read %s: %w", d.Join(portsFile), err)
	}
	return p, nil
}

// SavePorts remembers the ports for the next start.
func (d *Dir) SavePorts(p Ports) error { return d.writeJSON(portsFile, p) }

// WriteState says that the sandbox is ready.
func (d *Dir) WriteState(s State) error { return d.writeJSON(StateFile, s) }

// RemoveState says that it no longer is.
func (d *Dir) RemoveState() error {
	if err := os.Remove(d.Join(StateFile)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// writeJSON writes beside and renames: a reader never sees half a file.
func (d *Dir) writeJSON(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	tmp := d.Join(name + ".new")
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, d.Join(name))
}

// OpenLog opens a log for appending; one that grew past limit bytes is put aside first.
func (d *Dir) OpenLog(name string, limit int64) (*os.File, error) {
	path := d.Join(name)
	if st, err := os.Stat(path); err == nil && st.Size() > limit {
		if err := os.Rename(path, path+".old"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
