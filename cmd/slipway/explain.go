package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"slipway/docs"
	"slipway/internal/check"
	"slipway/internal/check/origin"
	"slipway/internal/check/rule"
	"slipway/internal/check/workflow"
	"slipway/internal/ci/pipeline"
	"slipway/internal/cluster"
	"slipway/internal/cluster/sandbox"
	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/image"
	"slipway/internal/image/builder"
	"slipway/internal/image/metadata"
	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/project"
	"slipway/internal/project/scaffold"
	"slipway/internal/release"
	"slipway/internal/render"
	"slipway/internal/render/skaffold"
	"slipway/internal/render/sops"
	"slipway/internal/render/tree"
	"slipway/internal/rollout"
)

// The exit codes; --help lists them.
const (
	codeDone        = 0
	codeError       = 1
	codeUsage       = 2
	codeHasChanges  = 3
	codeFaults      = 4
	codeUnhealthy   = 5
	codeConflict    = 6
	codeInterrupted = 130
)

// usageError says that the command line was not understood.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// errSilent ends with a code after everything has been said.
var errSilent = errors.New("")

// interruptedError says that somebody pressed Ctrl-C, and what that ended.
type interruptedError struct{ err error }

func (e *interruptedError) Error() string { return signals.Replace(e.err.Error()) }
func (e *interruptedError) Unwrap() error { return e.err }

// signals are Go's words for it.
var signals = strings.NewReplacer("context canceled", "interrupted", "interrupt signal received",
	"interrupted", "terminated signal received", "interrupted")

// row explains one kind of error: the exit code, and what to do next.
type row struct {
	name  string
	match func(error) (hint string, ok bool)
	code  int
}

// is matches a sentinel.
func is(name string, target error, code int, hint string) row {
	return row{name, func(err error) (string, bool) { return hint, errors.Is(err, target) }, code}
}

// as matches a typed error, whose facts the hint may use.
func as[E error](name string, code int, hint func(E) string) row {
	return row{name, func(err error) (string, bool) {
		var e E
		if !errors.As(err, &e) {
			return "", false
		}
		return hint(e), true
	}, code}
}

// always is a hint that needs no facts.
func always[E error](hint string) func(E) string { return func(E) string { return hint } }

// rows are tried in order; the first that matches explains. What none matches is code 1. Each row is
// provoked by a script that expects its code and hint, and TestScripts fails for one that is not.
var rows = slices.Concat(
	runRows, projectRows, promoteRows, orderRows, clusterRows, imageRows, buildRows, renderRows, agentRows,
	gitopsRows, uiRows,
)

// runRows explain errors of the run itself: an interrupt, the command line, a missing confirmation, a failed
// release.
var runRows = []row{
	{"interrupted question", func(err error) (string, bool) {
		var stop *interruptedError
		return "", errors.As(err, &stop) && errors.Is(err, errDeclined)
	}, codeInterrupted},
	as("interrupted", codeInterrupted, always[*interruptedError](
		"Run the same command again to continue. `slipway history ENV` shows what a deploy changed.")),
	is("has changes", errHasChanges, codeHasChanges, ""),
	is("has drift", errHasDrift, codeHasChanges, ""),
	is("faults", errFaults, codeFaults, ""),
	is("consent", errConsent, codeUsage, "Read `slipway plan ENV` first, then pass --yes."),
	is("consent in CI", errConsentCI, codeUsage,
		"Pass --yes in the job's command, and let people approve with the environment's protection rules."),
	is("declined", errDeclined, codeError, ""),
	as("usage", codeUsage, always[*usageError](
		"Run `slipway --help` for the verbs, `slipway VERB --help` for the flags of one.")),
	// Before the rows of what may be behind it, such as an API server that stopped answering.
	as("failed", codeUnhealthy, func(e *deploy.FailedError) string {
		if e.RolledBack != nil {
			return fmt.Sprintf("Run `slipway history %s %d` to read the evidence again. %s runs release %d.",
				e.Environment, e.Release.Revision, e.Environment, e.RolledBack.RollbackOf)
		}
		if errors.As(e.RollbackErr, new(*deploy.NoHealthyError)) ||
			errors.As(e.RollbackErr, new(*deploy.MovedError)) {
			return "Read the evidence above, fix the cause and deploy again."
		}
		return "Read the evidence above, fix the cause and deploy again, or run " +
			"`slipway rollback " + e.Environment + "`."
	}),
	as("unstable", codeUnhealthy, func(e *deploy.UnstableError) string {
		return "Nothing was changed. Read the reason above, fix the cause and deploy again, or run " +
			"`slipway rollback " + e.Environment + "`."
	}),
}

// projectRows explain errors of the project, its files and its Git repository.
var projectRows = []row{
	as("no project", codeError, func(e *project.NoneError) string {
		hint := "Change to the repository's directory, or pass --dir. Run `slipway init` to create a project."
		if len(e.Broken) > 0 {
			hint = "Correct the files that could not be read."
		}
		for _, f := range e.Elsewhere {
			hint += " Run `" + f.Command + " | slipway check --class production -` to check the manifests that " +
				f.File + " renders."
		}
		return hint
	}),
	is("nothing to begin with", scaffold.ErrNothing, codeError,
		"Pass the directory of a Dockerfile or of manifests with --dir."),
	as("exists", codeError, always[*scaffold.ExistsError](
		"Edit the existing files: docs/slipway.yaml.md lists every key. Nothing was written.")),
	as("loose manifests", codeError, func(e *scaffold.LooseError) string {
		return "Move them with `mkdir -p k8s && git mv " + strings.Join(e.Paths, " ") +
			" k8s/`. Nothing was written."
	}),
	as("project file", codeError, always[*project.FileError](
		"Correct the file: docs/slipway.yaml.md lists every key.")),
	as("unknown page", codeUsage, func(*docs.UnknownPageError) string {
		return "Run `slipway docs` for the names of all pages."
	}),
	as("unknown environment", codeUsage, func(e *project.UnknownEnvironmentError) string {
		return useOrChoose(e.Suggestion, e.Known)
	}),
	as("rules file", codeError, always[*rule.FileError](
		"Correct the rules file: docs/slipway.yaml.md shows one.")),
	as("unknown rule", codeUsage, func(e *check.UnknownRuleError) string {
		if e.Suggestion != "" {
			return fmt.Sprintf("Use %q if you meant that.", e.Suggestion)
		}
		return "Run `slipway check --explain` for a list of the rules."
	}),
	as("no namespace", codeError, func(e *check.UnboundError) string {
		return "Set `namespace:` under environments." + e.Environment + " in slipway.yaml, or pass --namespace."
	}),
	as("no object", codeError, func(e *origin.NoObjectError) string {
		return useAmong(e.Suggestion, e.Known)
	}),
	as("no field", codeError, func(e *origin.NoFieldError) string {
		return useAmong(e.Suggestion, e.Known)
	}),
	as("field", codeUsage, always[*origin.FieldError](
		"Write a field as spec.containers[name=api].args[0], or as kubectl's jsonpath does.")),
	as("not ours", codeError, always[*pipeline.ForeignError](
		"Move the file away to have it written again, or copy the parts you want from --print. Nothing was "+
			"written.")),
	is("no stage", pipeline.ErrNoStage, codeError,
		"Set `class: staging` or `class: production` for an environment in slipway.yaml, and a plain name."),
	is("gitops", pipeline.ErrNoImage, codeError,
		"Omit --gitops: the workflow then deploys the images that the manifests name."),
	is("no git program", git.ErrNoProgram, codeError,
		"Install git: Slipway runs it to read commits and tags."),
	is("no repository", git.ErrNone, codeError,
		"Run this command in a Git repository, or name the environments without a revision."),
	as("git", codeError, always[*git.Error]("Run `git status` in that directory: it shows the same error.")),
}

// clusterRows explain errors of the cluster, the lock and the records.
var clusterRows = []row{
	as("kubeconfig", codeError, always[*cluster.KubeconfigError]("Pass --kubeconfig or set KUBECONFIG. "+
		"Run `slipway sandbox up` to start a cluster on this machine.")),
	as("no context", codeError, func(e *deploy.NoContextError) string {
		return fmt.Sprintf("Set `context:` under environments.%s in slipway.yaml, or pass --context. "+
			"The kubeconfig has: %s.", e.Environment, list(e.Known))
	}),
	as("unknown context", codeError, func(e *cluster.UnknownContextError) string {
		return "Choose one of " + list(e.Known) +
			", or set KUBECONFIG: `slipway sandbox status` prints the sandbox's."
	}),
	as("unreachable", codeError, always[*cluster.UnreachableError]("Check that the cluster is running and "+
		"that the context points to it. Run `slipway sandbox up` to start one on this machine.")),
	as("unauthorized", codeError, always[*cluster.UnauthorizedError](
		"Log in again: the credentials of this kubeconfig context are expired or wrong.")),
	as("permission", codeError, always[*cluster.PermissionError]("Ask for the missing permissions, or leave "+
		"those objects out of the manifests. A RoleBinding to ClusterRole edit is enough for most projects.")),
	as("no namespace", codeError, func(e *cluster.NoNamespaceError) string {
		return "Run `kubectl create namespace " + e.Namespace + "`, or add a Namespace to the manifests."
	}),
	as("unknown kind", codeError, always[*cluster.UnknownKindError](
		"Install the operator that defines it, or add its CustomResourceDefinition to the manifests.")),

	is("lock lost", release.ErrLockLost, codeConflict,
		"Run `slipway history ENV` to see who deploys now, then deploy again."),
	as("duplicate", codeError, always[*cluster.DuplicateError](
		"Remove one of the two entries: `slipway check` shows the lines of both.")),
	as("locked", codeConflict, always[*release.LockedError](
		"Wait until it ends, or run `slipway history ENV` to look at it.")),
	is("record changed", cluster.ErrChanged, codeConflict,
		"Run `slipway history ENV` to see who else writes this environment's records, then deploy again."),
	as("foreign", codeConflict, func(e *deploy.ForeignError) string {
		return "Rename your object, or pass --force-conflicts to take it over once " + e.Owner +
			" has given it up. Nothing was changed."
	}),
	as("claim size", codeError, func(e *cluster.ClaimSizeError) string {
		switch {
		case e.Unbound:
			return fmt.Sprintf("The claim holds no data: run `kubectl -n %s delete pvc %s` and deploy again, or "+
				"set storage: %s. Nothing was changed.", e.Ref.Namespace, e.Ref.Name, e.From)
		case e.Shrinks, e.Class == "":
			return fmt.Sprintf("Set storage: %s, or add a claim with another name and copy the data. Nothing was "+
				"changed.", e.From)
		}
		return fmt.Sprintf("Set storage: %s, or allowVolumeExpansion: true in StorageClass %s if its "+
			"driver can expand volumes. Nothing was changed.", e.From, e.Class)
	}),
	as("denied", codeError, func(e *cluster.DeniedError) string {
		return "Correct the field that the message names, or ask the owner of the " + e.By +
			" for an exception."
	}),
	as("random", codeError, always[*deploy.RandomError](
		"Set `lookup: true` for the chart in slipway.yaml if its template calls lookup, or set the value in a "+
			"values file, encrypted with SOPS if it is a secret. To let each deploy replace it, add an exception "+
			"from unstable-render to slipway.yaml, or pass --allow unstable-render --reason TEXT. Nothing "+
			"was changed.")),
	as("conflict", codeConflict, always[*cluster.ConflictError](
		"Pass --force-conflicts to take over these fields, or remove them from the manifests.")),
	as("stale file", codeConflict, func(e *deploy.StaleError) string {
		return "Run `slipway plan " + e.Environment + " -o FILE` again and read the new plan. Nothing was changed."
	}),
	is("edited plan", deploy.ErrEdited, codeError, "Run `slipway plan ENV -o FILE` to make a new one."),
	is("not a plan", deploy.ErrNotSaved, codeUsage, "Run `slipway plan ENV -o FILE` to make one."),
	as("unbuilt", codeError, func(e *deploy.UnbuiltError) string {
		return "Run `slipway build " + e.Environment + "` first. No plan was saved."
	}),
	is("stale", plan.ErrStale, codeConflict,
		"Run the command again and read the new plan. Nothing was changed."),
	as("older", codeConflict, func(e *deploy.OlderError) string {
		return "Run `git pull` and deploy again, or `slipway rollback " + e.Environment +
			"` to restore an earlier release. Pass --allow-older to deploy this older commit anyway. " +
			"Nothing was changed."
	}),
	as("check", codeFaults, func(e *deploy.CheckError) string {
		return "Fix the findings, or accept them with a reason in `exceptions:` of slipway.yaml. Pass --allow " +
			e.Review.Blocking[0].Rule + " --reason TEXT to accept a rule for one deploy. Nothing was changed."
	}),
	as("blocked", codeError, func(e *deploy.BlockedError) string {
		return "Run `slipway plan " + e.Environment + "` to see every object that the API server would reject."
	}),
	as("not restorable", codeError, func(e *deploy.RevertError) string {
		return "Run `slipway rollback " + e.Environment + "`, or deploy again. Nothing was changed."
	}),
	as("not compared", codeError, func(e *deploy.UnreadError) string {
		return "Run `slipway plan " + e.Environment + "` to see the full answer of the API server."
	}),
	as("still there", codeError, func(e *rollout.StillThereError) string {
		if e.Held == "" {
			return "Wait until the objects are gone, then run the same command again. Pass --timeout to wait longer."
		}
		return "Wait until the owners of the finalizers remove them, then run the same command again."
	}),
	as("no healthy release", codeError, always[*deploy.NoHealthyError](
		"Run `slipway history ENV`, and pass the revision to deploy again.")),
	is("no release", release.ErrNone, codeError,
		"Run `slipway deploy ENV` to make the first release. `slipway history ENV` lists them."),
}

// imageRows explain errors of tags, images and registries.
var imageRows = []row{
	as("tag inputs", codeError, always[*metadata.InputError]("Correct the input. `slipway tags --help` "+
		"lists the inputs; the documentation of docker/metadata-action lists every type of entry.")),
	as("tag traps", codeError, always[*workflow.TrapError](
		"Fix the inputs that the warnings name, or omit --strict.")),
	as("nothing built", codeError, always[*metadata.NoCommitError](
		"Run this command in a Git working tree or in a CI job.")),

	is("dirty", deploy.ErrDirty, codeError,
		"Commit your changes first: only commits are deployed to production."),
	is("no commit", deploy.ErrNoCommit, codeError,
		"Create a Git repository and commit: only commits are deployed to production."),
	as("no match", codeError, func(e *image.NoMatchError) string {
		return "Correct images[].name in slipway.yaml, or the image in the manifests, which name " +
			list(e.Candidates) + "."
	}),
	as("ambiguous", codeError, always[*image.AmbiguousError]("Name one of them in the manifests, or write two "+
		"images in slipway.yaml, each with enough of its path to tell them apart.")),
	as("no node for it", codeError, func(e *deploy.PlatformError) string {
		return "Build it for " + list(e.Needs) + " too (images[].platforms in slipway.yaml), or select other " +
			"nodes with a nodeSelector on kubernetes.io/arch. Nothing was changed."
	}),
	as("missing image", codeError, always[*image.MissingError](
		"Push the image. To build the image of this commit instead, remove the tag from the manifests. In the "+
			"values of a chart, set the tag to `unreleased`: charts replace an empty tag by appVersion.")),
	as("registry unauthorized", codeError, always[*image.UnauthorizedError](
		"Log in with `docker login`, as a user who may read and push there.")),
	as("registry unreachable", codeError, func(e *image.UnreachableError) string {
		switch host, _, _ := strings.Cut(e.Registry, ":"); {
		case host == "localhost" || strings.HasSuffix(host, ".localhost"):
			return "Check that the registry is running. A sandbox's registry is found through its kubeconfig " +
				"context: set KUBECONFIG or pass --context."
		case host == "127.0.0.1":
			return "Check that the registry is running and its name is correct. " +
				"Run `slipway sandbox up` to start the sandbox's."
		}
		return "Check that the registry is running and its name is correct."
	}),
	as("tag taken", codeError, always[*image.TagTakenError](
		"Choose another tag: an existing tag is never moved. Each commit gets a tag of its own.")),
	as("rebuild", codeError, always[*image.RebuildError](
		"Commit first (`git commit --allow-empty` is enough), then build that commit.")),
	as("registry limits", codeError, always[*image.RateLimitedError](
		"Log in with `docker login`, which often raises the limit, or wait. Running the same command again "+
			"continues where it stopped.")),
	as("plain HTTP", codeError, always[*image.PlainHTTPError](
		"Give that registry a certificate, or reach it through a tunnel at localhost. Nothing was sent.")),
	as("registry broke off", codeError, always[*image.BrokenError](
		"Run the same command again: it sends only the missing parts. Nothing was tagged.")),
	as("corrupt image", codeError, func(e *image.CorruptError) string {
		if e.Upload {
			return "Run the same command again: it sends the missing parts. Nothing was tagged."
		}
		return "Push that image to " + e.Registry + " again, or ask the registry's operator. Nothing was tagged."
	}),
	as("no credential helper", codeError, func(e *image.NoHelperError) string {
		return "Install " + e.Helper + " on the PATH, or correct the Docker configuration (DOCKER_CONFIG or " +
			"~/.docker/config.json)."
	}),
	as("registry credentials", codeError, always[*image.CredentialsError]("Correct the Docker configuration "+
		"(DOCKER_CONFIG or ~/.docker/config.json).")),
	as("reference", codeUsage, always[*image.ReferenceError](
		"Write images as HOST/NAME:TAG or HOST/NAME@sha256:….")),
	as("no image", codeError, always[*image.NotFoundError]("Check that the image was pushed and its name is "+
		"correct, or log in with `docker login`: registries hide images that you may not read.")),
	is("no tag", image.ErrNoTag, codeError,
		"Commit first: images are tagged with the commit they are built from."),
}

// renderRows explain errors of rendering, and the sandbox.
var renderRows = []row{
	is("over budget", object.ErrBudget, codeError,
		"Check for aliases or includes that repeat: no real project has reached this limit."),
	as("unknown profile", codeUsage, func(e *skaffold.UnknownProfileError) string {
		return useOrChoose(e.Suggestion, e.Known)
	}),
	as("skaffold file", codeError, always[*skaffold.FileError](
		"Correct the file. Run `slipway render -p PROFILE --explain` to see the result.")),
	is("nothing to explain", errNothingToExplain, codeUsage, "Omit --explain, or name profiles with -p."),
	as("no skaffold", codeUsage, always[*project.NoSkaffoldError](
		"Name the environment without -p: only skaffold.yaml has profiles.")),
	as("foreign folder", codeError, always[*render.ForeignDirectoryError](
		"Name a directory that is empty, does not exist, or was written by `slipway render`.")),
	is("empty", render.ErrEmpty, codeError,
		"Run `slipway delete ENV` to empty the environment: an empty directory deletes nothing."),
	as("refused", codeError, always[*tree.RefusedError]("Copy it into the repository, or commit the rendered "+
		"manifests: Slipway renders only files in the repository.")),
	as("no key", codeError, always[*sops.KeyError]("Set SOPS_AGE_KEY_FILE to a file with your key. Run "+
		"`sops updatekeys` to add your key to the file's recipients.")),
	as("renderer broke", codeError, always[*render.PanicError](
		"Report this bug in Slipway, with the manifests.")),
	as("render", codeError, always[*render.Error](
		"Correct the manifests, and run `slipway render ENV` to look at them.")),
	as("drop-in", codeError, always[*render.DropInError]("Correct the file that the error names.")),

	is("no sandbox", sandbox.ErrNoProgram, codeError,
		"Run `make build` to build both programs, and keep them in one directory."),
}

// useOrChoose is the hint for a name that is not among the known ones.
func useOrChoose(suggestion string, known []string) string {
	if suggestion != "" {
		return fmt.Sprintf("Use %q if you meant that.", suggestion)
	}
	return "Choose one of: " + list(known) + "."
}

// maxChoices is how many names a hint lists.
const maxChoices = 12

// useAmong is the hint for a name that is not among many.
func useAmong(suggestion string, known []string) string {
	hint := ""
	if suggestion != "" {
		known = slices.DeleteFunc(slices.Clone(known), func(k string) bool { return k == suggestion })
		if hint = "Use " + suggestion + " if you meant that."; len(known) == 0 {
			return hint
		}
		hint += " "
	}
	if more := len(known) - maxChoices; more > 0 {
		return fmt.Sprintf("%sChoose one of: %s, … (%d more).", hint, list(known[:maxChoices]), more)
	}
	return hint + "Choose one of: " + list(known) + "."
}

// explain prints an error of a command with its hint and returns the exit code.
func explain(w io.Writer, err error, args ...string) int {
	if err == nil {
		return codeDone
	}
	code, hint := lookUp(err)
	if isSilent(err) {
		return code
	}
	var failed *builder.BuildError
	if errors.As(err, &failed) {
		for _, line := range failed.Log {
			fmt.Fprintf(w, "  | %s\n", line)
		}
	}
	lines := strings.Split(err.Error(), "\n")
	for i, l := range lines {
		lines[i] = clean(l)
	}
	fmt.Fprintf(w, "%s %s\n", styleOf(w).red("slipway: error:"), strings.Join(lines, "\n  "))
	if hint = withoutOwn(hint, args); hint != "" {
		fmt.Fprintf(w, "slipway: hint: %s\n", hint)
	}
	return code
}

// isSilent says that an error is an exit code alone: what there is to say has been said.
func isSilent(err error) bool {
	silent := []error{errHasChanges, errHasDrift, errFaults, errSilent}
	return slices.ContainsFunc(silent, func(target error) bool { return errors.Is(err, target) })
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
