package cluster

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// here fills in what the caller left out about this process.
func here(h *Holder) {
	if h.Host == "" {
		h.Host, _ = os.Hostname()
	}
	if h.PID == 0 {
		h.PID = os.Getpid()
	}
	if h.Since.IsZero() {
		h.Since = time.Now().UTC().Truncate(time.Second)
	}
	if h.Machine == "" {
		h.Machine = machine()
	}
	if h.Started == "" {
		h.Started, _ = startOf(h.PID)
	}
}

// machine names this boot of this machine and its space of process numbers: two containers may
// share a host name, and process 7 of one is not process 7 of the other. Empty where the system is
// not Linux.
func machine() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	space, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(boot)) + " " + space
}

// startOf is when a process started, in the kernel's count since boot; it tells a process from a
// later one with its number.
func startOf(pid int) (string, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", err
	}
	// The second field is the program's name in parentheses, and may hold anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return "", errors.New("a short /proc/PID/stat")
	}
	return fields[19], nil
}

// vanished says that the holder ran on this machine and certainly no longer does.
func vanished(h Holder) bool {
	if h.Machine == "" || h.Machine != machine() || h.PID == 0 {
		return false
	}
	p, err := os.FindProcess(h.PID)
	if err != nil || errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone) {
		return true
	}
	started, err := startOf(h.PID)
	return err == nil && h.Started != "" && started != h.Started
}

// freshHere says that the holder renewed a moment ago by this machine's own clock.
func freshHere(lease *coordinationv1.Lease, h Holder) bool {
	if h.Machine == "" || h.Machine != machine() || lease.Spec.RenewTime == nil {
		return false
	}
	age := time.Since(lease.Spec.RenewTime.Time)
	return age >= 0 && age < renewEvery+time.Second
}

// now is the server's time, ours where it does not tell.
func (c *Cluster) now(ctx context.Context) time.Time {
	var review *authenticationv1.SelfSubjectReview
	err := c.call(ctx, func(ctx context.Context) (err error) {
		review, err = c.typed.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		return err
	})
	if err != nil || review.CreationTimestamp.IsZero() {
		return time.Now()
	}
	return review.CreationTimestamp.Time
}
