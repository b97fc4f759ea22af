package workflow

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"slipway/internal/image/metadata"
	"slipway/internal/words"
)

// Made is what MakeTags makes.
type Made struct {
	metadata.Result
	Context metadata.Context
	// Dirty: the working tree has changes that are not in the commit which the tags name.
	Dirty bool
}

// TrapError says that tags rarely mean what the inputs say, where that is an error.
type TrapError struct {
	// Traps are the names of the traps, each once.
	Traps []string
}

func (e *TrapError) Error() string {
	return fmt.Sprintf("%s found with --strict, nothing was written: %s", words.Count(len(e.Traps), "trap"),
		strings.Join(e.Traps, ", "))
}

// MakeTags makes the tags of an image from the CI platform's variables or from Git, and compares them with
// the workflow that runs this process, as HoldRunning does.
func MakeTags(ctx context.Context, in metadata.Inputs, o metadata.Options) (m Made, err error) {
	if m.Context, m.Dirty, err = metadata.Read(ctx, o); err != nil {
		return m, err
	}
	if m.Result, err = metadata.Make(in, m.Context); err != nil {
		return m, err
	}
	m.Warnings = slices.Concat(m.Warnings, HoldRunning(in, m.Context, m.Images, o.Env, o.Dir))
	return m, nil
}

// Trapped returns a *TrapError where a warning is about a trap.
func (m Made) Trapped() error {
	var traps []string
	for _, w := range m.Warnings {
		if w.Trap != "" && !slices.Contains(traps, w.Trap) {
			traps = append(traps, w.Trap)
		}
	}
	if len(traps) == 0 {
		return nil
	}
	slices.Sort(traps)
	return &TrapError{Traps: traps}
}
