package git

import (
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// alone marks a process of this test in a network of its own.
const alone = "SLIPWAY_TEST_WITHOUT_IPV4"

// On a machine without IPv4, a repository is fetched as ever: the test runs once more in a network namespace
// whose only address is [::1].
func TestFault52WithoutIPv4(t *testing.T) {
	if os.Getenv(alone) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), alone+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		out, err := cmd.CombinedOutput()
		if _, ran := err.(*exec.ExitError); err != nil && !ran {
			t.Skip("a network without IPv4 needs a namespace of its own, which this machine refuses: ", err)
		}
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if err := leaveIPv6(); err != nil {
		t.Skip("the loopback of a new namespace has to be set up, which this machine refuses: ", err)
	}
	if _, err := net.Listen("tcp4", "127.0.0.1:0"); err == nil {
		t.Fatal("there is IPv4 still")
	}
	s := serve(t)
	commit := push(t, s.repository(t, "a.git"), map[string]string{"a": "1"})
	got, err := mirrorOf(t, s.URL+"/a.git", Access{}).Fetch(t.Context(), "main")
	if got != commit || err != nil {
		t.Errorf("%s: %q, %v", s.URL, got, err)
	}
}

// leaveIPv6 brings the loopback device up, and takes its IPv4 address away.
func leaveIPv6() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	up, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	up.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, up); err != nil {
		return err
	}
	none, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := none.SetInet4Addr(net.IPv4zero.To4()); err != nil {
		return err
	}
	return unix.IoctlIfreq(fd, unix.SIOCSIFADDR, none)
}
