// Package builder builds an image from a Dockerfile with BuildKit, and pushes it by digest. It uses the
// user's BuildKit where one answers, else the engine embedded in this binary, which runs as a child process
// (Linux). It knows nothing of Kubernetes, projects or tags.
package builder

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/moby/buildkit/client"
)

// Embedded, as Options.Address, selects the engine in this binary.
const Embedded = "embedded"

// Options say which BuildKit to use, and how the embedded engine keeps its state.
type Options struct {
	// Address is a BuildKit address (unix://, tcp://, docker-container://NAME) or Embedded.
	// Empty: find one.
	Address string
	// State is the embedded engine's directory; empty: slipway/buildkit in the user's cache directory.
	State string
	// MaxCache limits the cache of the embedded engine, in bytes; 0: 10 GB.
	MaxCache int64
	// Mirrors are the hosts from which the embedded engine pulls first, by registry host; over plain HTTP where
	// the mirror is on loopback. "*" is the mirror of all hosts without an entry.
	Mirrors map[string]string
	// Notify is told what the user should know while waiting, in one line each. It may be nil.
	Notify func(string)
}

func (o Options) notify(format string, args ...any) {
	if o.Notify != nil {
		o.Notify(fmt.Sprintf(format, args...))
	}
}

// Builder is a connection to a BuildKit. The embedded engine runs until Close.
type Builder struct {
	client *client.Client
	engine *engine  // nil unless embedded
	docker endpoint // zero unless Docker's own
	// classic: images in Docker's classic image store can be pushed only through the Engine API.
	classic bool
	where   string
}

// Describe names this BuildKit, such as "embedded BuildKit 0.34.2".
func (b *Builder) Describe() string { return b.where }

// Embedded tells whether this is the engine of this binary.
func (b *Builder) Embedded() bool { return b.engine != nil }

// Close closes the connection, and stops the embedded engine.
func (b *Builder) Close() error {
	err := b.client.Close()
	if b.engine != nil {
		return b.engine.close()
	}
	return err
}

// UnreachableError says that the requested BuildKit does not answer.
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

// NoBuilderError says that no BuildKit was found, and that the embedded engine cannot run here.
type NoBuilderError struct {
	Looked []string // the addresses that were tried
	Reason string   // why the embedded engine cannot be used
}

func (e *NoBuilderError) Error() string {
	msg := "no BuildKit found: " + e.Reason
	if len(e.Looked) > 0 {
		msg += "; nothing answers at " + strings.Join(e.Looked, ", ")
	}
	return msg
}

// ErrNoRuntime is wrapped by each NoRuntimeError.
var ErrNoRuntime = errors.New("no container runtime")

// NoRuntimeError says that a RUN step needs a container runtime (runc 1.1 or later) that the embedded engine
// does not have.
type NoRuntimeError struct {
	Step   string // the step that needs it
	Reason string // "runc is not on PATH", "/usr/bin/runc is version 1.0"
}

func (e *NoRuntimeError) Error() string {
	return fmt.Sprintf("%s needs a container runtime: %s", e.Step, e.Reason)
}

func (e *NoRuntimeError) Unwrap() error { return ErrNoRuntime }

// version is the version of the embedded BuildKit, from the linked module.
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

// answers asks a BuildKit for its workers.
func answers(ctx context.Context, c *client.Client) ([]*client.WorkerInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	return c.ListWorkers(ctx)
}
