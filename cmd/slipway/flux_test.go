package main

import (
	"net"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestBesideFlux runs a script beside Flux's real controllers, which `make flux` builds. SLIPWAY_TEST_FLUX is
// their directory.
func TestBesideFlux(t *testing.T) {
	dir := os.Getenv("SLIPWAY_TEST_FLUX")
	if dir == "" { // the build takes up to half an hour: see docs/benchmarks.md
		t.Skip("Flux's controllers were not built: make beside does it")
	}
	p := scripts("testdata/flux")
	p.Setup = func(env *testscript.Env) error {
		l, err := net.Listen("tcp", "127.0.0.1:0") // the controller must be told its address
		if err != nil {
			return err
		}
		env.Setenv("FLUX", dir)
		env.Setenv("STORAGE", l.Addr().String())
		if err := l.Close(); err != nil {
			return err
		}
		return setup(env)
	}
	testscript.Run(t, p)
}
