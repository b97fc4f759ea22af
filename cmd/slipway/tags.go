package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"slipway/internal/check/workflow"
	"slipway/internal/ci"
	"slipway/internal/image/metadata"
	"slipway/internal/lazyregexp"
)

const asBake format = "bake"

// trapError says that --strict found what only is warned of otherwise.
type trapError struct{ Traps []string }

func (e *trapError) Error() string {
	return fmt.Sprintf("nothing was written: %s with --strict: %s", count(len(e.Traps), "trap"), list(e.Traps))
}

type tagsOptions struct {
	metadata.Inputs
	file   string
	strict bool
	out    *format
}

func newTagsCommand(a *app) *cobra.Command {
	o := &tagsOptions{}
	cmd := &cobra.Command{
		Use: "tags", Short: "Print an image's tags and labels, as docker/metadata-action makes them",
		Args: cobra.NoArgs,
		Long: `Makes tags, labels and annotations of what is built, with the inputs and the rules of
docker/metadata-action 6. What is built is what GitHub, Gitea, Forgejo, GitLab, Bitbucket, Azure or
CircleCI say in their variables, and elsewhere what Git has checked out: a branch, or a tag on none. No
network is asked, so that the repository's description and license are what the event's file says.
SOURCE_DATE_EPOCH is the clock.

Where the action's result is rarely what was meant, the result is the same and a warning says so;
with --strict it is an error. -o github does what the action does: it sets the step's outputs and
DOCKER_METADATA_OUTPUT_* for later steps, and writes the bake files below RUNNER_TEMP.

  slipway tags --images ghcr.io/acme/web --tags 'type=sha
  type=semver,pattern={{version}}'`,
	}
	f := cmd.Flags()
	f.StringVar(&o.Images, "images", "", "images, one a line")
	f.StringVar(&o.Tags, "tags", "",
		"entries that make tags, one a line (default: schedule, branch, tag, pull request)")
	f.StringVar(&o.Flavor, "flavor", "", "what holds for all tags: latest=, prefix=, suffix=")
	f.StringVar(&o.Labels, "labels", "", "labels of your own, KEY=VALUE, one a line")
	f.StringVar(&o.Annotations, "annotations", "", "annotations of your own, KEY=VALUE, one a line")
	f.StringVar(&o.SepTags, "sep-tags", "", "what stands between tags (default a line break)")
	f.StringVar(&o.SepLabels, "sep-labels", "", "what stands between labels (default a line break)")
	f.StringVar(&o.SepAnnotations, "sep-annotations", "",
		"what stands between annotations (default a line break)")
	f.StringVar(&o.BakeTarget, "bake-target", "", "the target in bake files (default docker-metadata-action)")
	// The action's name for it hides the flag that all verbs have: no cluster is asked here.
	f.StringVar(&o.Context, "context", "", "where the commit comes from: workflow or git (default workflow)")
	f.StringVar(&o.file, "file", "", "YAML file with the action's inputs; flags win")
	f.BoolVar(&o.strict, "strict", false, "make it an error where the result is rarely what was meant")
	o.out = outputFlag(cmd, asText, asJSON, asBake, asGitHub)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return runTags(cmd.Context(), a, o) }
	return cmd
}

func runTags(ctx context.Context, a *app, o *tagsOptions) error {
	if err := o.read(a); err != nil {
		return err
	}
	if *o.out == asGitHub && os.Getenv("GITHUB_OUTPUT") == "" {
		return &usageError{errors.New("-o github sets a step's outputs, and GITHUB_OUTPUT names no file")}
	}
	now, err := clock()
	if err != nil {
		return err
	}
	from := metadata.Options{Dir: a.dir, Env: os.Getenv, Now: now, Git: o.Context == "git"}
	c, dirty, err := metadata.Read(ctx, from)
	if err != nil {
		return err
	}
	if dirty {
		a.warn("warning: the working tree has changes that are not in commit %s, which the tags name", short(c.SHA))
	}
	r, err := metadata.Make(o.Inputs, c)
	if err != nil {
		return err
	}
	var traps []string
	for _, w := range slices.Concat(r.Warnings, workflow.HoldRunning(o.Inputs, c, r.Images, os.Getenv, a.dir)) {
		text := w.Text
		if w.Trap != "" {
			text, traps = w.Trap+": "+text, append(traps, w.Trap)
		}
		if w.Fix != "" {
			text += "; " + w.Fix
		}
		a.warn("warning: %s", clean(text))
		a.ci.Annotate(ci.Note{Severity: "warning", Title: "slipway tags", Text: clean(text)})
	}
	if o.strict && len(traps) > 0 {
		return &trapError{slices.Compact(slices.Sorted(slices.Values(traps)))}
	}
	outputs := r.Outputs(o.Inputs, c)
	switch *o.out {
	case asJSON:
		return a.json(r.Document(c.Levels))
	case asBake:
		_, err = fmt.Fprintln(a.stdout, outputs["bake-file"])
		return err
	case asGitHub:
		if err := metadata.SetOutputs(outputs, os.Getenv); err != nil {
			return err
		}
	}
	if len(r.Tags) > 0 {
		_, err = fmt.Fprintln(a.stdout, outputs["tags"])
	}
	return err
}

// read takes from the file what no flag says.
func (o *tagsOptions) read(a *app) error {
	if o.file != "" {
		flags, err := json.Marshal(o.Inputs)
		if err != nil {
			return err
		}
		name := o.file
		if !filepath.IsAbs(name) {
			name = filepath.Join(a.dir, name)
		}
		text, err := os.ReadFile(name)
		if err == nil {
			err = yaml.UnmarshalStrict(text, &o.Inputs)
		}
		if path := (*fs.PathError)(nil); errors.As(err, &path) {
			err = path.Err
		}
		if err := errors.Join(err, json.Unmarshal(flags, &o.Inputs)); err != nil {
			return &metadata.InputError{Input: o.file, Why: unmarshalled().ReplaceAllString(err.Error(), "")}
		}
	}
	if o.Context != "" && o.Context != "workflow" && o.Context != "git" {
		return &usageError{fmt.Errorf("context is workflow or git, and not %q", o.Context)}
	}
	return nil
}

// unmarshalled is what the library says of its own ways.
var unmarshalled = lazyregexp.New(
	`^error (unmarshaling|converting YAML to) JSON: (while decoding JSON: )?(json: |yaml: )?`)

// clock is now, or what SOURCE_DATE_EPOCH says.
func clock() (time.Time, error) {
	epoch := os.Getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		return time.Now(), nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return time.Time{}, &usageError{fmt.Errorf("SOURCE_DATE_EPOCH=%s is no number of seconds", epoch)}
	}
	return time.Unix(seconds, 0), nil
}
