package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"slipway/internal/builder"
	"slipway/internal/cluster"
	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/image"
	"slipway/internal/plan"
	"slipway/internal/project"
	"slipway/internal/release"
	"slipway/internal/render"
)

// The exit codes; --help lists them.
const (
	codeDone        = 0
	codeError       = 1
	codeUsage       = 2
	codeHasChanges  = 3
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

// errInterrupted says that somebody pressed Ctrl-C.
var errInterrupted = errors.New("interrupted")

// row explains one kind of error: the exit code, and what to do next.
type row struct {
	match func(error) (hint string, ok bool)
	code  int
}

// is matches a sentinel.
func is(target error, code int, hint string) row {
	return row{func(err error) (string, bool) { return hint, errors.Is(err, target) }, code}
}

// as matches a typed error, whose facts the hint may use.
func as[E error](code int, hint func(E) string) row {
	return row{func(err error) (string, bool) {
		var e E
		if !errors.As(err, &e) {
			return "", false
		}
		return hint(e), true
	}, code}
}

// always is a hint that needs no facts.
func always[E error](hint string) func(E) string { return func(E) string { return hint } }

// rows are tried in order; the first that matches explains. What none matches is code 1.
var rows = []row{
	{func(err error) (string, bool) {
		return "", errors.Is(err, errInterrupted) && errors.Is(err, errDeclined)
	}, codeInterrupted},
	is(errInterrupted, codeInterrupted, "what was done is recorded; the same command again goes on from there"),
	is(errHasChanges, codeHasChanges, ""),
	is(errConsent, codeUsage, "look at `slipway plan ENV` first, then add --yes"),
	is(errDeclined, codeError, ""),
	as(codeUsage, always[*usageError]("`slipway --help` lists the verbs, `slipway VERB --help` its flags")),

	is(project.ErrNone, codeError, "run it in the repository's folder or give --dir; overlays/NAME, k8s/overlays/NAME or a slipway.yaml make a project"),
	as(codeError, always[*project.FileError]("correct the file; docs/slipway.yaml.md lists every key")),
	as(codeUsage, func(e *project.UnknownEnvironmentError) string {
		if e.Suggestion != "" {
			return fmt.Sprintf("did you mean %q?", e.Suggestion)
		}
		return "environments here: " + strings.Join(e.Known, ", ")
	}),
	as(codeError, func(e *noContextError) string {
		return fmt.Sprintf("write `context:` under environments.%s in slipway.yaml, or give --context; the kubeconfig has: %s", e.Environment, list(e.Known))
	}),
	as(codeError, func(e *cluster.UnknownContextError) string {
		return "contexts there: " + list(e.Known) + "; is KUBECONFIG set? `slipway sandbox status` prints the sandbox's"
	}),
	as(codeError, always[*cluster.UnreachableError]("is the cluster up, and the right one? `slipway sandbox up` starts one on this machine")),
	as(codeError, always[*cluster.UnauthorizedError]("the credentials of this kubeconfig context are no longer good: log in again")),
	as(codeError, func(e *cluster.PermissionError) string {
		return "nothing was changed; the ClusterRole edit, bound in the namespace, is enough for what most projects hold"
	}),
	as(codeError, always[*cluster.NoNamespaceError]("make it with `kubectl create namespace`, or put a Namespace into the manifests")),
	as(codeError, always[*cluster.UnknownKindError]("install what defines it, or put its CustomResourceDefinition into the manifests")),
	is(cluster.ErrLockLost, codeConflict, "somebody else may deploy by now; look with `slipway history ENV`, then deploy again"),
	as(codeError, always[*cluster.ImmutableError]("nothing was changed; give the object another name, or delete it before the deploy: only a new one can be different there")),
	as(codeConflict, always[*cluster.LockedError]("wait for it to end, or look at it with `slipway history ENV`")),
	as(codeConflict, always[*cluster.ConflictError]("if those fields are yours, --force-conflicts takes them over; otherwise leave them out of the manifests")),
	is(plan.ErrStale, codeConflict, "nothing was changed; look at the new plan and run it again"),
	as(codeError, always[*deploy.BlockedError]("nothing was changed; `slipway plan ENV` shows every object that the API server would refuse")),
	as(codeUnhealthy, func(e *deploy.FailedError) string {
		if e.RolledBack != nil {
			return fmt.Sprintf("%s runs release %d again; the evidence is above, and in the record of release %d", e.Environment, e.RolledBack.RollbackOf, e.Release.Revision)
		}
		return "the evidence is above; fix and deploy again, or `slipway rollback " + e.Environment + "`"
	}),
	as(codeError, always[*deploy.NoHealthyError]("`slipway history ENV` lists what there is; name a revision to take it as it was")),
	is(release.ErrNone, codeError, "`slipway deploy ENV` makes the first release; `slipway history ENV` lists them"),
	is(deploy.ErrDirty, codeError, "commit first: production gets only what a commit describes"),
	as(codeError, always[*deploy.MutableImageError]("name a version or a digest in the manifests; latest and untagged images never go to production")),
	as(codeError, func(e *image.NoMatchError) string {
		return "images in the manifests: " + list(e.Candidates) + "; correct images[].name in slipway.yaml, or the manifests"
	}),
	as(codeError, func(e *image.AmbiguousError) string {
		return "name the images in slipway.yaml so that each fits one image of the manifests"
	}),
	as(codeError, always[*image.MissingError]("push it, or let the manifests name no tag, and the image of this commit is built")),
	as(codeError, func(e *image.UnauthorizedError) string {
		return "log in with `docker login`, or give the environment's user access"
	}),
	as(codeError, always[*image.UnreachableError]("is the registry up, and its name right in the manifests?")),
	as(codeError, always[*image.TagTakenError]("a tag is never moved: commit, so that the image gets a tag of its own")),
	is(image.ErrNoTag, codeError, "commit first: images are tagged by the commit they are built from"),
	is(git.ErrNoProgram, codeError, "install git"),
	is(render.ErrEmpty, codeError, "an empty folder deletes nothing; `slipway delete ENV` is how an environment is emptied"),
	as(codeError, always[*render.RefusedError]("keep a copy of what it names in the repository")),
	as(codeError, always[*render.Error]("nothing was changed; correct the manifests and look with `slipway render ENV`")),
	is(builder.ErrNoRuntime, codeError, "install runc (Debian: apt-get install runc), or start Docker or a buildkitd"),
	is(errNoSandbox, codeError, "`make build` makes both; keep them in one folder"),
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
	if code == codeHasChanges || errors.Is(err, errSilent) {
		return code
	}
	var failed *builder.BuildError
	if errors.As(err, &failed) {
		for _, line := range failed.Log {
			fmt.Fprintf(w, "  | %s\n", line)
		}
	}
	fmt.Fprintf(w, "slipway: error: %v\n", err)
	if hint != "" {
		fmt.Fprintf(w, "slipway: hint: %s\n", hint)
	}
	return code
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
