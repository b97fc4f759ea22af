package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"slipway/internal/check/finding"
	"slipway/internal/check/workflow"
	"slipway/internal/git"
	"slipway/internal/image/metadata"
	"slipway/internal/lazyregexp"
)

const asBake format = "bake"

// nothingBuiltError says that nothing tells which commit an image is made of.
type nothingBuiltError struct{ Why string }

func (e *nothingBuiltError) Error() string { return "nothing says what is built: " + e.Why }

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
	c, err := built(ctx, a, o.Context)
	if err != nil {
		return err
	}
	r, err := metadata.Make(o.Inputs, c)
	if err != nil {
		return err
	}
	var traps []string
	for _, w := range append(r.Warnings, held(a, o.Inputs, c, r.Images)...) {
		text := w.Text
		if w.Trap != "" {
			text, traps = w.Trap+": "+text, append(traps, w.Trap)
		}
		if w.Fix != "" {
			text += "; " + w.Fix
		}
		a.warn("warning: %s", clean(text))
		a.ci.annotate(ciNote{severity: finding.Warning, title: "slipway tags", text: clean(text)})
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
		if err := setOutputs(outputs); err != nil {
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

// built asks the CI system, or Git, what is built.
func built(ctx context.Context, a *app, source string) (metadata.Context, error) {
	var event []byte
	if path := os.Getenv("GITHUB_EVENT_PATH"); path != "" {
		var err error
		if event, err = os.ReadFile(path); err != nil {
			return metadata.Context{}, fmt.Errorf("read the event that GITHUB_EVENT_PATH names: %w", err)
		}
	}
	c, ci, err := metadata.FromEnvironment(os.Getenv, event)
	if err != nil {
		return c, err
	}
	if c.Now, err = clock(); err != nil {
		return c, err
	}
	repository, err := git.Open(ctx, a.dir)
	switch {
	case err == nil && (source == "git" || !ci):
		err = checkedOut(ctx, a, repository, &c, ci)
	case err == nil && c.CommitDate.IsZero() && c.SHA != "":
		commit, _ := repository.Find(ctx, c.SHA)
		c.CommitDate = commit.Time
	case ci && source != "git" && (errors.Is(err, git.ErrNone) || errors.Is(err, git.ErrNoProgram)):
		err = nil // the CI system has said enough
	case errors.Is(err, git.ErrNone):
		err = &nothingBuiltError{fmt.Sprintf("no CI system's variables are set, and %s is in no Git repository",
			a.dir)}
		if ci {
			err = &nothingBuiltError{fmt.Sprintf("context git is asked for, and %s is in no Git repository", a.dir)}
		}
	}
	if c.CommitDate.IsZero() {
		c.CommitDate = c.Now
	}
	return c, err
}

// checkedOut takes the commit, and without a CI system all else too, from Git.
func checkedOut(ctx context.Context, a *app, r git.Repository, c *metadata.Context, ci bool) error {
	s, err := r.State(ctx)
	if err != nil {
		return err
	}
	if s.Commit == "" {
		return &nothingBuiltError{fmt.Sprintf("%s has no commit yet", r.Dir)}
	}
	tag, trunk, err := r.Names(ctx)
	if err != nil {
		return err
	}
	c.SHA, c.CommitDate, c.Ref = s.Commit, s.Time, ""
	switch {
	case s.Branch != "":
		c.Ref = "refs/heads/" + s.Branch
	case tag != "":
		c.Ref = "refs/tags/" + tag
	}
	if s.Dirty {
		a.warn("warning: the tree is not as commit %s has it, and the tags name that commit", s.Short)
	}
	if !ci {
		url := metadata.WebURL(s.Remote)
		c.Repository = metadata.Repository{Name: filepath.Base(cmp.Or(url, r.Dir)), URL: url, DefaultBranch: trunk}
		c.Payload.Repository = c.Repository
	}
	return nil
}

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

var workflowFile = lazyregexp.New(`(\.(?:github|gitea|forgejo)/workflows/[^@]+)@`)

// held holds the entries against the workflow that runs, where its file is checked out.
func held(a *app, in metadata.Inputs, c metadata.Context, images []string) []metadata.Warning {
	name := workflowFile().FindStringSubmatch(os.Getenv("GITHUB_WORKFLOW_REF"))
	entries, err := metadata.ParseTags(in.Tags)
	if name == nil || err != nil || in.Tags == "" {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(cmp.Or(os.Getenv("GITHUB_WORKSPACE"), a.dir), name[1]))
	if err != nil {
		return nil
	}
	flavor, _ := metadata.ParseFlavor(in.Flavor)
	short := 7
	if n, err := strconv.Atoi(c.Short); err == nil {
		short = n
	}
	var warnings []metadata.Warning
	for _, f := range workflow.Hold(workflow.File{Name: name[1], Text: text}, images, entries, flavor, short) {
		warnings = append(warnings, metadata.Warning{Trap: f.Rule, Text: f.Place.String() + ": " +
			f.Message, Fix: f.Fix})
	}
	return warnings
}

// setOutputs writes what the action sets: bake files first, so that no output names a file that is not there.
func setOutputs(outputs map[string]string) error {
	dir, err := os.MkdirTemp(os.Getenv("RUNNER_TEMP"), "slipway-tags-")
	if err != nil {
		return fmt.Errorf("write the bake files: %w", err)
	}
	var set, env []ciValue
	for _, name := range slices.Sorted(maps.Keys(outputs)) {
		value := outputs[name]
		if kind, ok := strings.CutPrefix(name, "bake-file"); ok {
			value = filepath.Join(dir, "docker-metadata-action-bake"+kind+".json")
			if err := os.WriteFile(value, []byte(outputs[name]), 0o644); err != nil {
				return fmt.Errorf("write the bake files: %w", err)
			}
		}
		set = append(set, ciValue{name, value})
		env = append(env, ciValue{"DOCKER_METADATA_OUTPUT_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")),
			value})
	}
	err = assign(os.Getenv("GITHUB_OUTPUT"), set)
	if err == nil && os.Getenv("DOCKER_METADATA_SET_OUTPUT_ENV") != "false" {
		err = assign(os.Getenv("GITHUB_ENV"), env)
	}
	if err != nil {
		return fmt.Errorf("set the step's outputs: %w", err)
	}
	return nil
}
