package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/check/workflow"
	"slipway/internal/ci"
	"slipway/internal/image/metadata"
)

const asBake format = "bake"

type tagsOptions struct {
	metadata.Inputs
	file   string
	strict bool
	out    *format
}

func newTagsCommand(a *app) *cobra.Command {
	o := &tagsOptions{}
	cmd := &cobra.Command{
		Use: "tags", Short: "Print an image's tags and labels, as docker/metadata-action does",
		Args: cobra.NoArgs,
		Long: `Generates an image's tags, labels and annotations from the inputs of docker/metadata-action
6, by its rules. Branch, tag and commit come from the CI variables of GitHub, Gitea, Forgejo, GitLab,
Bitbucket, Azure or CircleCI, and otherwise from Git. It uses no network: the repository's description
and license come from the event file. SOURCE_DATE_EPOCH sets the clock.

If an input is valid but its result is rarely intended, tags prints a warning; with --strict it fails.
-o github does what the action does: it sets the step's outputs and DOCKER_METADATA_OUTPUT_* for later
steps, and writes the bake files below RUNNER_TEMP.

  slipway tags --images ghcr.io/acme/web --tags 'type=sha
  type=semver,pattern={{version}}'`,
	}
	f := cmd.Flags()
	f.StringVar(&o.Images, "images", "", "images, one per line")
	f.StringVar(&o.Tags, "tags", "",
		"rules for tags, such as type=sha, one per line (default: schedule, branch, tag, pull request)")
	f.StringVar(&o.Flavor, "flavor", "", "settings for all tags: latest=, prefix=, suffix=")
	f.StringVar(&o.Labels, "labels", "", "additional labels, KEY=VALUE, one per line")
	f.StringVar(&o.Annotations, "annotations", "", "additional annotations, KEY=VALUE, one per line")
	f.StringVar(&o.SepTags, "sep-tags", "", "separator of tags (default a line break)")
	f.StringVar(&o.SepLabels, "sep-labels", "", "separator of labels (default a line break)")
	f.StringVar(&o.SepAnnotations, "sep-annotations", "",
		"separator of annotations (default a line break)")
	f.StringVar(&o.BakeTarget, "bake-target", "",
		"name of the target in bake files (default docker-metadata-action)")
	// The action's input of that name hides the global flag: this verb needs no cluster.
	f.StringVar(&o.Context, "context", "", "where the commit comes from: workflow or git (default workflow)")
	f.StringVar(&o.file, "file", "", "YAML file with the action's inputs; flags take precedence")
	f.BoolVar(&o.strict, "strict", false, "treat warnings as errors")
	o.out = a.outputFlag(cmd, asText, asJSON, asBake, asGitHub)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return runTags(cmd.Context(), a, o) }
	return cmd
}

func runTags(ctx context.Context, a *app, o *tagsOptions) error {
	if err := o.read(a); err != nil {
		return err
	}
	if *o.out == asGitHub && os.Getenv("GITHUB_OUTPUT") == "" {
		return &usageError{errors.New("-o github requires GITHUB_OUTPUT")}
	}
	now, err := clock()
	if err != nil {
		return err
	}
	m, err := workflow.MakeTags(ctx, o.Inputs, metadata.Options{
		Dir: a.dir, Env: os.Getenv, Now: now, Git: o.Context == "git",
	})
	if err != nil {
		return err
	}
	if m.Dirty {
		a.warn("warning: the working tree has changes that are not in commit %s, which the tags name",
			short(m.Context.SHA))
	}
	for _, w := range m.Warnings {
		text := w.Text
		if w.Trap != "" {
			text = w.Trap + ": " + text
		}
		if w.Fix != "" {
			text += "; " + w.Fix
		}
		a.warn("warning: %s", clean(text))
		a.ci.Annotate(ci.Note{Severity: "warning", Title: "slipway tags", Text: clean(text)})
	}
	if trapped := m.Trapped(); o.strict && trapped != nil {
		return trapped
	}
	outputs := m.Outputs(o.Inputs, m.Context)
	switch *o.out {
	case asJSON:
		return a.json(m.Document(m.Context.Levels))
	case asBake:
		_, err = fmt.Fprintln(a.stdout, outputs["bake-file"])
		return err
	case asGitHub:
		if err := metadata.SetOutputs(outputs, os.Getenv); err != nil {
			return err
		}
	}
	if len(m.Tags) > 0 {
		_, err = fmt.Fprintln(a.stdout, outputs["tags"])
	}
	return err
}

// read fills in the inputs of --file that no flag sets.
func (o *tagsOptions) read(a *app) error {
	if o.file != "" {
		inputs, err := metadata.WithFile(o.Inputs, a.dir, o.file)
		if err != nil {
			return err
		}
		o.Inputs = inputs
	}
	if o.Context != "" && o.Context != "workflow" && o.Context != "git" {
		return &usageError{fmt.Errorf("invalid context %q: want workflow or git", o.Context)}
	}
	return nil
}

// clock is the current time, or SOURCE_DATE_EPOCH.
func clock() (time.Time, error) {
	epoch := os.Getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		return time.Now(), nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return time.Time{}, &usageError{fmt.Errorf("invalid SOURCE_DATE_EPOCH %q: want a number of seconds", epoch)}
	}
	return time.Unix(seconds, 0), nil
}
