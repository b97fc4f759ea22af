package workflow

import (
	"cmp"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"slipway/internal/ci"
	"slipway/internal/image/metadata"
)

// HoldRunning compares the tags of a running step with the workflow that runs it, as Hold does. It finds
// nothing where the workflow's file is not checked out, in GITHUB_WORKSPACE or in dir.
func HoldRunning(
	in metadata.Inputs, c metadata.Context, images []string, env ci.Env, dir string,
) []metadata.Warning {
	file := ci.WorkflowFile(env)
	entries, err := metadata.ParseTags(in.Tags)
	if file == "" || err != nil || in.Tags == "" {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(cmp.Or(env("GITHUB_WORKSPACE"), dir), file))
	if err != nil {
		return nil
	}
	flavor, _ := metadata.ParseFlavor(in.Flavor) // Make has reported its faults
	short := 7
	if n, err := strconv.Atoi(c.Short); err == nil {
		short = n
	}
	var warnings []metadata.Warning
	for _, f := range Hold(File{Name: file, Text: text}, images, entries, flavor, short) {
		fix := strings.ToLower(f.Fix[:1]) + strings.TrimSuffix(f.Fix[1:], ".") // it follows the message there
		warning := metadata.Warning{Trap: f.Rule, Text: f.Place.String() + ": " + f.Message, Fix: fix}
		warnings = append(warnings, warning)
	}
	return warnings
}
