package builder

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/moby/buildkit/client"
	_ "github.com/moby/buildkit/client/connhelper/dockercontainer" // docker-container://NAME
)

const probeTime = 5 * time.Second

// Find gives the first BuildKit that answers: Options.Address, $BUILDKIT_HOST, Docker's, a rootless
// or system buildkitd, and last the engine in this binary. What is named and does not answer is an
// error: to build somewhere else than asked would surprise.
func Find(ctx context.Context, o Options) (*Builder, error) {
	if o.Address == Embedded {
		return embedded(ctx, o, nil)
	}
	if o.Address != "" {
		return named(ctx, o.Address, "")
	}
	if addr := os.Getenv("BUILDKIT_HOST"); addr != "" {
		return named(ctx, addr, "$BUILDKIT_HOST")
	}
	var looked []string
	if d, err := dockerEndpoint(); err != nil {
		o.notify("Docker is left out: %v", err)
	} else if d.isSet() {
		b, err := openDocker(ctx, d)
		if err == nil {
			return b, nil
		}
		if d.from != "" {
			o.notify("Docker at %s (from %s) does not answer, looking further: %v", d, d.from, err)
		}
		looked = append(looked, d.String())
	}
	for _, path := range sockets() {
		if _, err := os.Stat(path); err != nil {
			continue
		}
		b, err := named(ctx, "unix://"+path, "")
		if err == nil {
			return b, nil
		}
		looked = append(looked, "unix://"+path)
	}
	return embedded(ctx, o, looked)
}

// sockets are where buildkitd listens by default, as an ordinary user and as root.
func sockets() []string {
	var paths []string
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		paths = append(paths, filepath.Join(dir, "buildkit", "buildkitd.sock"))
	}
	return append(paths, "/run/buildkit/buildkitd.sock")
}

func named(ctx context.Context, addr, from string) (*Builder, error) {
	c, err := client.New(ctx, addr)
	if err != nil {
		return nil, &UnreachableError{Address: addr, From: from, Err: err}
	}
	if _, err := answers(ctx, c); err != nil {
		return nil, &UnreachableError{Address: addr, From: from, Err: errors.Join(err, c.Close())}
	}
	where := "BuildKit at " + addr
	if from != "" {
		where += " (" + from + ")"
	}
	return &Builder{client: c, where: where}, nil
}

func embedded(ctx context.Context, o Options, looked []string) (*Builder, error) {
	e, err := startEngine(ctx, o)
	if reason := (*cannotRunError)(nil); errors.As(err, &reason) {
		return nil, &NoBuilderError{Looked: looked, Reason: reason.Error()}
	}
	if err != nil {
		return nil, err
	}
	c, err := e.client(ctx)
	if err != nil {
		return nil, errors.Join(err, e.close())
	}
	where := "embedded BuildKit"
	if v := version(); v != "" {
		where += " " + v
	}
	return &Builder{client: c, engine: e, where: where}, nil
}

// cannotRunError is why the embedded engine is not for this machine, in words that name the remedy.
type cannotRunError struct{ reason string }

func (e *cannotRunError) Error() string { return e.reason }
