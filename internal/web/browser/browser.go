// Package browser opens an address in the user's browser. It starts the desktop's own command for that, and
// nothing else.
package browser

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
)

// ErrNone says that this machine has no desktop to open a browser on.
var ErrNone = errors.New("no desktop to open a browser on")

// Open asks the desktop to show an address, and does not wait for the browser. It fails with ErrNone on a
// machine without a desktop.
func Open(address string) error {
	args := []string{"xdg-open", address}
	switch {
	case runtime.GOOS == "darwin":
		args[0] = "open"
	case runtime.GOOS == "windows":
		args = []string{"rundll32", "url.dll,FileProtocolHandler", address}
	case os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "":
		return ErrNone
	}
	cmd := exec.Command(args[0], args[1:]...)
	if err := cmd.Start(); err != nil {
		return err
	}
	go cmd.Wait() //nolint:errcheck // its outcome is on the screen
	return nil
}
