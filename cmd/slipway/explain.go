package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"slipway/internal/check/origin"
	"slipway/internal/check/rule"
	"slipway/internal/cluster"
	"slipway/internal/cluster/sandbox"
	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/image"
	"slipway/internal/image/builder"
	"slipway/internal/image/metadata"
	"slipway/internal/image/signature"
	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/project"
	"slipway/internal/project/scaffold"
	"slipway/internal/promote"
	"slipway/internal/release"
	"slipway/internal/render"
	"slipway/internal/render/skaffold"
	"slipway/internal/render/sops"
	"slipway/internal/render/tree"
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
var rows = []row{
	{"interrupted question", func(err error) (string, bool) {
		var stop *interruptedError
		return "", errors.As(err, &stop) && errors.Is(err, errDeclined)
	}, codeInterrupted},
	as("interrupted", codeInterrupted,
		always[*interruptedError]("the same command again goes on from there; what a deploy changed is in "+
			"`slipway history ENV`")),
	is("has changes", errHasChanges, codeHasChanges, ""),
	is("faults", errFaults, codeFaults, ""),
	is("consent", errConsent, codeUsage, "look at `slipway plan ENV` first, then add --yes"),
	is("consent in CI", errConsentCI, codeUsage,
		"add --yes to the job's command; the environment's protection rules are where people consent"),
	is("declined", errDeclined, codeError, ""),
	as("usage", codeUsage, always[*usageError](
		"`slipway --help` lists the verbs, `slipway VERB --help` its flags")),
	// Before the rows of what may be behind it, such as an API server that stopped to answer.
	as("failed", codeUnhealthy, func(e *deploy.FailedError) string {
		if e.RolledBack != nil {
			return fmt.Sprintf("%s runs release %d again; the evidence is above, and in the record of release %d",
				e.Environment, e.RolledBack.RollbackOf, e.Release.Revision)
		}
		if none := (*deploy.NoHealthyError)(nil); errors.As(e.RollbackErr, &none) {
			return "the evidence is above; fix and deploy again"
		}
		return "the evidence is above; fix and deploy again, or `slipway rollback " + e.Environment + "`"
	}),

	is("no project", project.ErrNone, codeError, "run it in the repository's folder or give --dir; "+
		"overlays/NAME, k8s/overlays/NAME or a slipway.yaml make a project; `slipway init` makes a start"),
	is("nothing to begin with", scaffold.ErrNothing, codeError,
		"give the folder of a Dockerfile or of manifests with --dir"),
	as("exists", codeError, always[*scaffold.ExistsError](
		"nothing was written: what is there is yours to change; docs/slipway.yaml.md lists every key")),
	as("loose manifests", codeError, func(e *scaffold.LooseError) string {
		return "nothing was written; move them: mkdir -p k8s && git mv " + strings.Join(e.Paths, " ") + " k8s/"
	}),
	as("project file", codeError, always[*project.FileError]("correct the file; docs/slipway.yaml.md lists "+
		"every key")),
	as("unknown environment", codeUsage, func(e *project.UnknownEnvironmentError) string {
		if e.Suggestion != "" {
			return fmt.Sprintf("did you mean %q?", e.Suggestion)
		}
		return "environments here: " + list(e.Known)
	}),
	as("rules file", codeError, always[*rule.FileError]("correct the file of rules; docs/slipway.yaml.md "+
		"shows one")),
	as("unknown rule", codeUsage, func(e *unknownRuleError) string {
		if e.Suggestion != "" {
			return fmt.Sprintf("did you mean %q?", e.Suggestion)
		}
		return "`slipway check --explain` lists the rules"
	}),
	as("no namespace", codeError, func(e *noNamespaceError) string {
		return "write `namespace:` under environments." + e.Environment + " in slipway.yaml, or give --namespace"
	}),
	as("no object", codeError, func(e *noObjectError) string { return "objects here: " + list(e.Known) }),
	as("no field", codeError, always[*origin.NoFieldError]("`slipway render ENV` shows the object; elements "+
		"of a list are written containers[name=api] or args[0]")),
	as("not ours", codeError, always[*notOursError]("nothing was written; the lines above are the difference: "+
		"move the file away to have it written new, or take over what you want with --print")),
	is("no stage", errNoStage, codeError,
		"give an environment `class: staging` or `class: production` in slipway.yaml, and a plain name"),
	is("gitops", errGitOps, codeError, "without --gitops the workflow deploys what the manifests state"),
	as("undecided", codeError, func(e *promote.UndecidedError) string {
		return "nothing was written; " + e.Write
	}),
	is("not built", errNotBuilt, codeError,
		"nothing was written; `slipway build ENV` at that commit builds and pushes it"),
	is("not stated", errNotStated, codeError,
		"`slipway promote` to that one states it there; without --from this commit's images are promoted"),
	is("older", errOlder, codeConflict, "nothing was written; if going back is meant, --older does it"),
	is("promoted meanwhile", errMeanwhile, codeConflict,
		"nothing was pushed; `git pull` and look which of the two is wanted, then promote again"),
	is("unclean", errUnclean, codeError, "nothing was committed; commit or undo them first"),
	is("unpushed", errUnpushed, codeError,
		"nothing was committed; `git push` them first: a promotion sends no other commit"),
	is("no upstream", git.ErrNoUpstream, codeError,
		"`git switch` to the branch that is deployed, and `git branch --set-upstream-to=origin/BRANCH` once"),
	is("push refused", git.ErrRefused, codeError, "nothing was changed; where the branch is protected, let "+
		"who runs this push to it (a bypass for the job's identity), or promote on a branch of its own and open "+
		"a pull request"),
	is("push behind", git.ErrMoved, codeConflict,
		"nothing was changed; others push there all the time: run it again"),
	is("no git program", git.ErrNoProgram, codeError, "install git; commits and image tags are read through it"),
	is("no repository", git.ErrNone, codeError,
		"a revision is one of a Git repository: name environments alone"),
	as("git", codeError, always[*git.Error]("git itself says so: `git status` in that folder shows the same")),

	as("kubeconfig", codeError, always[*cluster.KubeconfigError]("give --kubeconfig or set KUBECONFIG; "+
		"`slipway sandbox up` makes a cluster with one on this machine")),
	as("no context", codeError, func(e *deploy.NoContextError) string {
		return fmt.Sprintf("write `context:` under environments.%s in slipway.yaml, or give --context; the "+
			"kubeconfig has: %s", e.Environment, list(e.Known))
	}),
	as("unknown context", codeError, func(e *cluster.UnknownContextError) string {
		return "contexts there: " + list(e.Known) +
			"; is KUBECONFIG set? `slipway sandbox status` prints the sandbox's"
	}),
	as("unreachable", codeError, always[*cluster.UnreachableError]("is the cluster up, and the right one? "+
		"`slipway sandbox up` starts one on this machine")),
	as("unauthorized", codeError, always[*cluster.UnauthorizedError]("the credentials of this kubeconfig "+
		"context are no longer good: log in again")),
	as("permission", codeError, always[*cluster.PermissionError]("the ClusterRole edit, bound in the "+
		"namespace, is enough for what most projects hold; ask for what is missing, or leave it out of the "+
		"manifests")),
	as("no namespace", codeError, func(e *cluster.NoNamespaceError) string {
		return "make it with `kubectl create namespace " + e.Namespace + "`, or put a Namespace into the manifests"
	}),
	as("unknown kind", codeError, always[*cluster.UnknownKindError]("install what defines it, or put its "+
		"CustomResourceDefinition into the manifests")),

	is("lock lost", cluster.ErrLockLost, codeConflict,
		"somebody else may deploy by now; look with `slipway history ENV`, then deploy again"),
	as("immutable", codeError, always[*cluster.ImmutableError]("give the object another name, or delete it "+
		"before the deploy: only a new one can be different there")),
	as("locked", codeConflict, always[*cluster.LockedError]("wait for it to end, or look at it with `slipway "+
		"history ENV`")),
	is("record changed", cluster.ErrRecordChanged, codeConflict,
		"somebody else writes this environment's records; look with `slipway history ENV`, then deploy again"),
	as("foreign", codeConflict, func(e *deploy.ForeignError) string {
		return "nothing was changed; one object has one owner: give yours another name, or take it over with " +
			"--force-conflicts once " + e.Owner + " has given it up"
	}),
	as("conflict", codeConflict, always[*cluster.ConflictError]("if those fields are yours, --force-conflicts "+
		"takes them over; otherwise leave them out of the manifests")),
	is("stale", plan.ErrStale, codeConflict, "nothing was changed; look at the new plan and run it again"),
	as("blocked", codeError, func(e *deploy.BlockedError) string {
		return "`slipway plan " + e.Environment + "` shows every object that the API server would refuse, and why"
	}),
	as("still there", codeError, always[*cluster.StillThereError]("whoever set the finalizers must let go of "+
		"it; then run the same command again")),
	as("no healthy release", codeError,
		always[*deploy.NoHealthyError](
			"`slipway history ENV` lists what there is; name a revision to take it as it was")),
	is("no release", release.ErrNone, codeError,
		"`slipway deploy ENV` makes the first release; `slipway history ENV` lists them"),

	as("tag inputs", codeError, always[*metadata.InputError]("correct it; `slipway tags --help` lists the "+
		"inputs, and docker/metadata-action's documentation every type of entry")),
	as("tag traps", codeError, always[*trapError]("write what each warning says, or leave --strict out")),
	as("nothing built", codeError,
		always[*nothingBuiltError]("run it in a Git checkout, or in a CI system's job")),

	is("dirty", deploy.ErrDirty, codeError, "commit first: production gets only what a commit describes"),
	is("no commit", deploy.ErrNoCommit, codeError,
		"make it a Git repository and commit: production gets only what a commit describes"),
	as("mutable image", codeError,
		always[*deploy.MutableImageError](
			"name a version or a digest in the manifests; latest and untagged images never go to production")),
	as("no match", codeError, func(e *image.NoMatchError) string {
		return "images in the manifests: " + list(e.Candidates) +
			"; correct images[].name in slipway.yaml, or the manifests"
	}),
	as("ambiguous", codeError, always[*image.AmbiguousError]("name one of them in the manifests, or two "+
		"images in slipway.yaml, each with enough of its path to tell them apart")),
	as("no node for it", codeError, func(e *deploy.PlatformError) string {
		return "nothing was changed; build it for " + list(e.Needs) + " too (images[].platforms in " +
			"slipway.yaml), or let a nodeSelector on kubernetes.io/arch pick other nodes"
	}),
	as("missing image", codeError,
		always[*image.MissingError](
			"push it, or let the manifests name no tag, and the image of this commit is built")),
	as("registry unauthorized", codeError,
		always[*image.UnauthorizedError](
			"log in with `docker login`, or let whoever you are logged in as read and push there")),
	as("registry unreachable", codeError, func(e *image.UnreachableError) string {
		switch host, _, _ := strings.Cut(e.Registry, ":"); {
		case host == "localhost" || strings.HasSuffix(host, ".localhost"):
			return "is the registry up? that of a sandbox is found through its kubeconfig context (KUBECONFIG, " +
				"--context)"
		case host == "127.0.0.1":
			return "is the registry up, and its name right? `slipway sandbox up` starts that of a sandbox"
		}
		return "is the registry up, and its name right?"
	}),
	as("tag taken", codeError, always[*image.TagTakenError]("a tag is never moved: give this content another "+
		"one; what is built from a new commit gets one of its own")),
	as("rebuild", codeError, always[*image.RebuildError]("commit first (`git commit --allow-empty` does), "+
		"then build that commit anew")),
	as("registry limits", codeError,
		always[*image.RateLimitedError](
			"log in there, which often raises the limit, or wait; the same command again goes on from there")),
	as("plain HTTP", codeError, always[*image.PlainHTTPError]("give that registry a certificate, or reach it "+
		"through a tunnel at localhost; nothing was sent")),
	as("registry broke off", codeError,
		always[*image.BrokenError]("nothing was tagged; the same command again sends only what is missing")),
	as("corrupt image", codeError, func(e *image.CorruptError) string {
		if e.Upload {
			return "nothing was tagged; the same command again sends what is missing"
		}
		return "nothing was tagged; push that image to " + e.Registry + " again, or ask whoever runs that registry"
	}),
	as("registry credentials", codeError, always[*image.CredentialsError]("correct the Docker configuration "+
		"(DOCKER_CONFIG or ~/.docker/config.json), or install the credential helper that it names")),
	as("reference", codeUsage, always[*image.ReferenceError]("images are named HOST/NAME:TAG or "+
		"HOST/NAME@sha256:…")),
	as("no image", codeError, always[*image.NotFoundError]("is it pushed, and its name right? a registry may "+
		"also hide what you may not read: `docker login`")),
	is("no tag", image.ErrNoTag, codeError, "commit first: images are tagged by the commit they are built from"),

	as("platform", codeError, always[*builder.PlatformError]("name a base image that exists for this "+
		"platform, or leave the platform out of images[].platforms")),
	is("no runtime", builder.ErrNoRuntime, codeError, "install runc (Debian: apt-get install runc, and for "+
		"ordinary users uidmap), or start Docker or a buildkitd"),
	as("push", codeError, always[*builder.PushError](
		"nothing was tagged; what arrived stays there, and the same command again sends only the rest")),
	as("build secret", codeError, always[*builder.SecretError]("set it, or correct images[].secrets and "+
		"images[].ssh in slipway.yaml; nothing was built")),
	as("disk full", codeError, always[*builder.FullError]("make room, delete that folder, or set "+
		"XDG_CACHE_HOME to one with more; nothing was tagged")),
	as("attestation", codeError, always[*builder.AttestationError]("name another builder with BUILDKIT_HOST, "+
		"or leave images[].sbom and images[].provenance out of slipway.yaml")),
	as("base image", codeError, always[*builder.BaseError]("is its name right, and can its registry be "+
		"reached and read from here (`docker login`)? nothing was pushed")),
	as("build", codeError, func(e *builder.BuildError) string {
		const hint = "correct that step; nothing was pushed"
		if strings.Contains(e.Step, "] COPY ") && strings.HasSuffix(e.Err.Error(), "not found") {
			return hint + "; files come from images[].context, less what .dockerignore leaves out"
		}
		return hint
	}),
	as("no builder", codeError, always[*builder.NoBuilderError]("BUILDKIT_HOST names a BuildKit that runs "+
		"elsewhere")),
	as("builder unreachable", codeError,
		always[*builder.UnreachableError](
			"start it, or unset what names it: Slipway then looks for Docker, a buildkitd, and last its own engine")),

	as("signing key", codeError, always[*signature.KeyError]("a key is a PEM file, or a variable named as "+
		"env://NAME; COSIGN_PASSWORD holds the password of one that is encrypted")),
	as("no trusted root", codeError, always[*signature.TrustError]("--trusted-root, or trustedRoot in "+
		"slipway.yaml, names a file with it, where the public Sigstore's cannot be fetched")),
	as("no signature", codeError, always[*signature.ServiceError]("the image is pushed and not signed: the "+
		"same command again signs it; --key needs no service")),
	is("no token", signature.ErrNoToken, codeUsage,
		"give --key, or in GitHub Actions `permissions: id-token: write`"),
	as("unsigned", codeError, always[*signature.UnsignedError]("`slipway build ENV --sign` signs the image; "+
		"whose signature counts, slipway.yaml says under `signatures` or --key")),

	as("hooks", codeError, always[*deploy.HookError]("write `noHooks: true` for the chart if its objects do "+
		"without them, or put them into the manifests as plain Jobs")),
	is("over budget", object.ErrBudget, codeError,
		"nothing honest has grown so large yet: look for what repeats itself, aliases and loops above all"),
	as("unknown profile", codeUsage, func(e *skaffold.UnknownProfileError) string {
		if e.Suggestion != "" {
			return fmt.Sprintf("did you mean %q?", e.Suggestion)
		}
		return "profiles there: " + list(e.Known)
	}),
	as("skaffold file", codeError,
		always[*skaffold.FileError](
			"correct the file; `slipway render -p PROFILE --explain` shows what it comes to")),
	is("nothing to explain", errNothingToExplain, codeUsage, "leave it out, or name profiles with -p"),
	as("no skaffold", codeUsage, always[*project.NoSkaffoldError]("environments of other projects are named "+
		"without -p")),
	as("foreign folder", codeError,
		always[*render.ForeignDirectoryError]("name a folder that is empty, missing, or was written by render")),
	is("empty", render.ErrEmpty, codeError,
		"an empty folder deletes nothing; `slipway delete ENV` is how an environment is emptied"),
	as("refused", codeError, always[*tree.RefusedError]("only what lies in the repository is rendered: keep a "+
		"copy there of what it names, or of what the chart renders to")),
	as("no key", codeError, always[*sops.KeyError]("SOPS_AGE_KEY_FILE names a file with your key; where yours "+
		"is none of them, `sops updatekeys` lets it open the file too")),
	as("renderer broke", codeError,
		always[*render.PanicError](
			"that is a fault of Slipway, not of yours: please report it with the manifests")),
	as("render", codeError, always[*render.Error]("correct the manifests and look with `slipway render ENV`")),

	is("no sandbox", sandbox.ErrNoProgram, codeError, "`make build` makes both; keep them in one folder"),
}

// explain prints an error with its hint and returns the exit code.
func explain(w io.Writer, err error) int {
	if err == nil {
		return codeDone
	}
	code, hint := codeError, ""
	for _, r := range rows {
		if h, ok := r.match(err); ok {
			code, hint = r.code, h
			break
		}
	}
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
	if hint != "" {
		fmt.Fprintf(w, "slipway: hint: %s\n", hint)
	}
	return code
}

// isSilent says that an error is an exit code alone: what there is to say has been said.
func isSilent(err error) bool {
	return errors.Is(err, errHasChanges) || errors.Is(err, errFaults) || errors.Is(err, errSilent)
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
