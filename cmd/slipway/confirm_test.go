package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is the program's end of a new pseudo-terminal, and the person's.
func terminal(t *testing.T) (program, person *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here:", err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return program, person
}

// notInCI has the program ask, wherever these tests run.
func notInCI(t *testing.T) {
	for _, name := range []string{"CI", "GITHUB_ACTIONS", "GITLAB_CI"} {
		t.Setenv(name, "")
	}
}

func TestConfirm(t *testing.T) {
	notInCI(t)
	for name, test := range map[string]struct {
		typed string
		want  error
	}{
		"yes": {"y\n", nil}, "in full": {"Yes\n", nil}, "no": {"n\n", errDeclined}, "nothing": {"\n", errDeclined},
		"end": {"\x04", errDeclined},
	} {
		t.Run(name, func(t *testing.T) {
			program, person := terminal(t)
			if _, err := person.WriteString(test.typed); err != nil {
				t.Fatal(err)
			}
			var stderr bytes.Buffer
			c := &cli{stdin: program, stderr: &stderr}
			if err := c.confirm(t.Context(), false, "Apply?"); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

// Who presses Ctrl-C at the question need not press return as well.
func TestConfirmEndsWithTheInterrupt(t *testing.T) {
	notInCI(t)
	program, _ := terminal(t)
	ctx, interrupt := context.WithCancel(t.Context())
	var stderr bytes.Buffer
	c := &cli{stdin: program, stderr: &stderr}
	ended := make(chan error)
	go func() { ended <- c.confirm(ctx, false, "Apply?") }()
	interrupt()
	select {
	case err := <-ended:
		if !errors.Is(err, errDeclined) {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("still waiting for an answer")
	}
}
