//go:build !linux

package builder

import (
	"context"
	"errors"

	"github.com/moby/buildkit/client"
)

type engine struct{ log, noRuntime string }

func startEngine(context.Context, Options) (*engine, error) {
	return nil, &cannotRunError{"the embedded engine needs Linux: start Docker Desktop, Colima or a buildkitd " +
		"and set BUILDKIT_HOST"}
}

func (*engine) client(context.Context) (*client.Client, error) { return nil, errors.ErrUnsupported }

func (*engine) close() error { return nil }

// Engine is the embedded engine. It runs on Linux only.
func Engine(context.Context, []string) error { return errors.ErrUnsupported }
