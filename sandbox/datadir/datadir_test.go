package datadir_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"slipway/sandbox/datadir"
)

func TestOneProcessAtATime(t *testing.T) {
	path := t.TempDir()
	d, err := datadir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := datadir.Open(path); !errors.Is(err, datadir.ErrInUse) {
		t.Fatalf("second open: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if d, err = datadir.Open(path); err != nil {
		t.Fatalf("after close: %v", err)
	}
	d.Close()
}

func TestStateOfAKilledProcessIsRemoved(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	if err := d.WriteState(datadir.State{PID: 1, Ready: true, Registry: "127.0.0.1:5"}); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	b, err := os.ReadFile(filepath.Join(path, datadir.StateFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if got["ready"] != true || got["registry"] != "127.0.0.1:5" {
		t.Errorf("state: %s", b)
	}
	d.Close()
	open(t, path)
	if _, err := os.Stat(filepath.Join(path, datadir.StateFile)); err == nil {
		t.Error("the old state is still there")
	}
}

func TestPortsAreRemembered(t *testing.T) {
	d := open(t, t.TempDir())
	if p, err := d.Ports(); err != nil || p != (datadir.Ports{}) {
		t.Fatalf("fresh: %v %v", p, err)
	}
	want := datadir.Ports{API: 1, Registry: 2, Git: 3}
	if err := d.SavePorts(want); err != nil {
		t.Fatal(err)
	}
	if p, err := d.Ports(); err != nil || p != want {
		t.Fatalf("read back: %v %v", p, err)
	}
}

func TestListenPrefersLastTimesPort(t *testing.T) {
	first, _, err := datadir.Listen(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	port := datadir.Port(first)
	other, moved, err := datadir.Listen(0, port)
	if err != nil || !moved || datadir.Port(other) == port {
		t.Fatalf("taken: moved=%v err=%v", moved, err)
	}
	other.Close()
	if _, _, err := datadir.Listen(port, 0); err == nil {
		t.Fatal("a port that was asked for and is taken must be an error")
	}
	first.Close()
	again, moved, err := datadir.Listen(0, port)
	if err != nil || moved || datadir.Port(again) != port {
		t.Fatalf("free again: moved=%v err=%v", moved, err)
	}
	again.Close()
}

func TestSweepTakesOnlyWhatNobodyHolds(t *testing.T) {
	t.Setenv("TMPDIR", shortTemp(t))
	held, remove, err := datadir.SocketDir()
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	left := filepath.Join(os.TempDir(), "slipway-sandbox-left")
	if err := os.Mkdir(left, 0o700); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-time.Hour)
	for _, d := range []string{held, left} {
		if err := os.Chtimes(d, long, long); err != nil {
			t.Fatal(err)
		}
	}
	_, removeSecond, err := datadir.SocketDir()
	if err != nil {
		t.Fatal(err)
	}
	removeSecond()
	if _, err := os.Stat(held); err != nil {
		t.Error("a held folder was swept")
	}
	if _, err := os.Stat(left); err == nil {
		t.Error("a left-over folder is still there")
	}
}

func shortTemp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "sw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func open(t *testing.T, path string) *datadir.Dir {
	t.Helper()
	d, err := datadir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}
