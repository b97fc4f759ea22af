package builder

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/docker/cli/cli/config"
	"github.com/moby/buildkit/client"
	_ "github.com/moby/buildkit/client/connhelper/dockercontainer" // docker-container://NAME
)

const probeTime = 5 * time.Second

// Find returns the first BuildKit that answers: Options.Address, $BUILDKIT_HOST, the container of
// $BUILDX_BUILDER, Docker's, the container that buildx would use, a rootless or system buildkitd, and last
// the engine in this binary. It fails with an *UnreachableError where a BuildKit that the user named does not
// answer.
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
	container := buildxContainer()
	if name := os.Getenv("BUILDX_BUILDER"); name != "" && container != "" {
		return named(ctx, container, "$BUILDX_BUILDER")
	}
	var looked []string
	if d, err := dockerEndpoint(); err != nil {
		o.notify("skipped Docker: %v", err)
	} else if d.isSet() {
		b, err := openDocker(ctx, d)
		if err == nil {
			return b, nil
		}
		if d.from != "" {
			o.notify("Docker at %s (from %s) does not answer, trying the next: %v", d, d.from, err)
		}
		looked = append(looked, d.String())
	}
	var addresses []string
	if container != "" {
		addresses = append(addresses, container)
	}
	for _, path := range sockets() {
		if _, err := os.Stat(path); err == nil {
			addresses = append(addresses, "unix://"+path)
		}
	}
	for _, address := range addresses {
		b, err := named(ctx, address, "")
		if err == nil {
			return b, nil
		}
		looked = append(looked, address)
	}
	return embedded(ctx, o, looked)
}

// buildxContainer is the address of the container in which buildx would build; empty where there is none, or
// where the configuration of buildx cannot be read.
func buildxContainer() string {
	dir := os.Getenv("BUILDX_CONFIG")
	if dir == "" {
		dir = filepath.Join(config.Dir(), "buildx")
	}
	name := os.Getenv("BUILDX_BUILDER")
	if name == "" {
		var current struct{ Name string }
		if readJSON(filepath.Join(dir, "current"), &current) != nil || current.Name == "" {
			return ""
		}
		name = current.Name
	}
	var builder struct {
		Driver string
		Nodes  []struct{ Name, Endpoint string }
	}
	err := readJSON(filepath.Join(dir, "instances", filepath.Base(name)), &builder)
	if err != nil || builder.Driver != "docker-container" || len(builder.Nodes) == 0 {
		return ""
	}
	address := "docker-container://buildx_buildkit_" + builder.Nodes[0].Name
	if e := builder.Nodes[0].Endpoint; e != "" && !strings.Contains(e, "://") {
		address += "?context=" + url.QueryEscape(e)
	}
	return address
}

func readJSON(path string, into any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// sockets are the default sockets of buildkitd, of an ordinary user and of root.
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

// cannotRunError says why the embedded engine cannot run on this machine, and what to do.
type cannotRunError struct{ reason string }

func (e *cannotRunError) Error() string { return e.reason }
