package agent_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// On a full disk the agent says so and goes on with what it needs no disk for. It deploys when there is space
// again. The disk was empty when it started: all that it remembers is in the cluster and in Git.
func TestFault48DiskFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small disk: what a full one does to the agent was not tried")
	}
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=4m"); err != nil {
		t.Skip("no small disk here: what a full one does to the agent was not tried: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	k := newKept(t)
	k.state = filepath.Join(disk, "state")
	k.startJudged(t, "")
	fill, err := os.Create(filepath.Join(disk, "fill"))
	for err == nil {
		_, err = fill.Write(make([]byte, 512))
	}
	fill.Close()
	second := k.value(t, "2")
	k.log.await(t, "git cannot write its files")
	k.edit(t, "one", "by hand")
	k.log.await(t, "repaired: ConfigMap "+k.namespace+"/one")
	if got := k.data(t, "one"); got != "1" {
		t.Errorf("repaired to %q", got)
	}
	if err := os.Remove(fill.Name()); err != nil {
		t.Fatal(err)
	}
	k.log.await(t, "commit "+second[:7]+" is release 3, healthy")
}
