package datadir

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// Listen opens a port on loopback: the wanted one, or none else; with wanted 0 the one of last
// time, and if that is taken, or there was none, a free one. moved says that last time's was taken.
func Listen(wanted, last int) (ln net.Listener, moved bool, err error) {
	if wanted != 0 {
		ln, err = listen(wanted)
		return ln, false, err
	}
	if last != 0 {
		ln, err = listen(last)
		if !errors.Is(err, syscall.EADDRINUSE) {
			return ln, false, err
		}
	}
	ln, err = listen(0)
	return ln, last != 0, err
}

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
}

// Port of a listener that Listen opened.
func Port(ln net.Listener) int { return ln.Addr().(*net.TCPAddr).Port }
