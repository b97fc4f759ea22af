package builder

import (
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/client"
	solvererrors "github.com/moby/buildkit/solver/errdefs"
	"github.com/opencontainers/go-digest"
)

// keptLog is the number of last lines that are kept of a failing step.
const keptLog = 20

// observation collects the progress of a build.
type observation struct {
	steps    map[digest.Digest]*step
	order    []digest.Digest
	platform string // the warning that a base image is for another platform
	warnings []Warning
}

type step struct {
	name, err string
	log       []string
	partial   string // a line whose end has not come yet
}

// lineAtEnd matches the line number at the end of a warning: Warning has it in a field of its own.
var lineAtEnd = regexp.MustCompile(` \(line \d+\)$`)

func (o *observation) step(d digest.Digest) *step {
	s, ok := o.steps[d]
	if !ok {
		if o.steps == nil {
			o.steps = map[digest.Digest]*step{}
		}
		s = &step{}
		o.steps[d] = s
		o.order = append(o.order, d)
	}
	return s
}

func (o *observation) add(st *client.SolveStatus) {
	for _, v := range st.Vertexes {
		s := o.step(v.Digest)
		s.name = v.Name
		if v.Error != "" {
			s.err = v.Error
		}
	}
	for _, l := range st.Logs {
		o.step(l.Vertex).print(string(l.Data))
	}
	for _, w := range st.Warnings {
		text := string(w.Short)
		if short, ok := strings.CutPrefix(text, "InvalidBaseImagePlatform: "); ok {
			o.platform = short
		}
		said := Warning{Text: lineAtEnd.ReplaceAllString(text, "")}
		if len(w.Range) > 0 && w.Range[0].Start != nil {
			said.Line = int(w.Range[0].Start.Line)
		}
		o.warnings = append(o.warnings, said)
	}
}

func (s *step) print(text string) {
	lines := strings.Split(s.partial+text, "\n")
	s.partial = lines[len(lines)-1]
	s.log = append(s.log, lines[:len(lines)-1]...)
	if n := len(s.log) - keptLog; n > 0 {
		s.log = slices.Delete(s.log, 0, n)
	}
}

// failed is the step that broke the build, not one that was cancelled because of it.
func (o *observation) failed() step {
	for _, d := range o.order {
		s := *o.steps[d]
		if s.err == "" || strings.Contains(s.err, "context canceled") {
			continue
		}
		if s.partial != "" {
			s.log = append(s.log, s.partial)
		}
		return s
	}
	return step{}
}

// lineOf is the line of the Dockerfile in an error; 0 where it has none.
func lineOf(err error) int {
	for _, src := range solvererrors.Sources(err) {
		for _, r := range src.Ranges {
			if r.Start != nil && r.Start.Line > 0 {
				return int(r.Start.Line)
			}
		}
	}
	return 0
}

// message removes the prefixes of gRPC and the solver, and repetitions, from an error.
func message(err error) string {
	said := strings.Split(internals.ReplaceAllString(err.Error(), ""), ": ")
	return strings.Join(slices.Compact(said), ": ")
}

// internals matches what BuildKit writes before the cause.
var internals = regexp.MustCompile(
	`^(failed to solve: |failed to push \S+: |rpc error: code = \w+ desc = |failed to compute cache key: |failed to calculate checksum of ref \S+: |dockerfile parse error on line \d+: )+`)

// unresolved matches BuildKit's error about an image that it cannot pull.
var unresolved = regexp.MustCompile(`failed to resolve source metadata for (\S+): (?:\S+: )?`)
