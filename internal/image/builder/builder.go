// Package builder turns a Dockerfile into an image in a registry with BuildKit: the user's where one
// answers, else the engine embedded in this binary, run as a re-executed child of it (Linux).
// It knows nothing of Kubernetes, projects or tags: it pushes by digest and says which.
package builder

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/moby/buildkit/client"
)

// Embedded, as Options.Address, asks for the engine in this binary whatever else is there.
const Embedded = "embedded"

// Options say where to look and how the embedded engine keeps its state.
type Options struct {
	// Address is a BuildKit address (unix://, tcp://, docker-container://NAME) or Embedded.
	// Empty: look for one.
	Address string
	// State is the embedded engine's folder; empty: slipway/buildkit in the user's cache folder.
	State string
	// MaxCache bounds what the embedded engine keeps, in bytes; 0: 10 GB.
	MaxCache int64
	// Mirrors are asked first when the embedded engine pulls: registry host → host that answers
	// for it over plain HTTP where it is on loopback. "*" stands for every host that has no own entry.
	Mirrors map[string]string
	// Notify receives what a person should know while it waits: one sentence each. May be nil.
	Notify func(string)
}

func (o Options) notify(format string, args ...any) {
	if o.Notify != nil {
		o.Notify(fmt.Sprintf(format, args...))
	}
}

// Builder is a BuildKit that answers. Close it: the embedded engine runs until then.
type Builder struct {
	client *client.Client
	engine *engine  // nil unless embedded
	docker endpoint // zero unless Docker's own
	// classic Docker image stores can only be pushed from through the Engine API.
	classic bool
	where   string
}

// Describe says which BuildKit this is, such as "embedded BuildKit 0.34.2".
func (b *Builder) Describe() string { return b.where }

// Embedded tells whether the engine of this binary is used.
func (b *Builder) Embedded() bool { return b.engine != nil }

// Close ends the connection, and the embedded engine with it.
func (b *Builder) Close() error {
	err := b.client.Close()
	if b.engine != nil {
		return b.engine.close()
	}
	return err
}

// UnreachableError says that the BuildKit which was asked for does not answer.
type UnreachableError struct {
	Address string
	From    string // what named it: "$BUILDKIT_HOST"; empty when the caller did
	Err     error
}

func (e *UnreachableError) Error() string {
	from := ""
	if e.From != "" {
		from = " (from " + e.From + ")"
	}
	return fmt.Sprintf("BuildKit at %s%s does not answer: %v", e.Address, from, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// NoBuilderError says that no BuildKit was found, and that this binary's own cannot run here.
type NoBuilderError struct {
	Looked []string // the addresses that were tried
	Reason string   // why the embedded engine cannot be used
}

func (e *NoBuilderError) Error() string {
	msg := "no BuildKit to build with: " + e.Reason
	if len(e.Looked) > 0 {
		msg += "; nothing answers at " + strings.Join(e.Looked, ", ")
	}
	return msg
}

// ErrNoRuntime is what a NoRuntimeError is.
var ErrNoRuntime = errors.New("no container runtime")

// NoRuntimeError says that a RUN step needs a container runtime which the embedded engine does not
// have: runc 1.1 or later.
type NoRuntimeError struct {
	Step   string // the step that needs it
	Reason string // "runc is not on PATH", "/usr/bin/runc is version 1.0"
}

func (e *NoRuntimeError) Error() string {
	return fmt.Sprintf("%s needs a container runtime: %s", e.Step, e.Reason)
}

func (e *NoRuntimeError) Unwrap() error { return ErrNoRuntime }

// version is the embedded BuildKit's, as the module that was linked says.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == "github.com/moby/buildkit" {
			return strings.TrimPrefix(m.Version, "v")
		}
	}
	return ""
}

// answers tells whether a BuildKit is at the other end, and gives its workers.
func answers(ctx context.Context, c *client.Client) ([]*client.WorkerInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	return c.ListWorkers(ctx)
}
