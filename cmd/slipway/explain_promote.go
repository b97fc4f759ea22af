package main

import (
	"fmt"
	"strings"

	"slipway/internal/git"
	"slipway/internal/git/forge"
	"slipway/internal/promote"
)

// promoteRows explain errors of promotions, of their commits and of their pull requests.
var promoteRows = []row{
	as("nothing to promote", codeError, func(e *promote.NoImageError) string {
		switch {
		case e.Uncommitted != "":
			return "Run `git commit " + e.Uncommitted + "` first. Nothing was written."
		case len(e.Used) == 0:
			return "Name an image in the manifests of " + e.Environment + ". Nothing was written."
		}
		return fmt.Sprintf("Pass --from with the environment whose images to promote, or list the "+
			"Dockerfiles of your images under `images:` in slipway.yaml. The manifests of %s name %s. "+
			"Nothing was written.", e.Environment, list(e.Used))
	}),
	as("no version", codeError, func(e *promote.VersionlessError) string {
		return "Pass a reference such as `--image " + e.Reference + ":1.4.2`. Nothing was written."
	}),
	as("unused image", codeError, func(e *promote.UnusedError) string {
		return fmt.Sprintf("Pass --image with a repository that the manifests of %s name: %s. Nothing was written.",
			e.Environment, list(e.Used))
	}),
	as("undecided", codeError, func(e *promote.UndecidedError) string {
		hint := "Write " + e.Reference + " where the environment's own files name the image."
		switch {
		case e.Value != "":
			hint = "Write " + e.Value + " into a values file that only " + e.Environment + " uses."
		case e.Shared:
			hint = "Give " + e.Environment + " an overlay or a values file of its own, and name the image there."
		}
		return hint + " Nothing was written."
	}),
	is("not built", promote.ErrNotBuilt, codeError,
		"Run `slipway build ENV` at that commit to build and push it. Nothing was written."),
	is("not stated", promote.ErrNotStated, codeError,
		"Run `slipway promote` to that environment first, or leave out --from to promote this commit's images."),
	as("older", codeConflict, always[*promote.OlderError](
		"Pass --older to promote the older image anyway. Nothing was written.")),
	as("gate shut", codeError, func(e *promote.GateError) string {
		return fmt.Sprintf("Run `slipway status` to see %s, and `slipway promote %s %s` when the gate is open. "+
			"Pass --past-gates REASON to skip it. Nothing was written.", e.From, e.From, e.Environment)
	}),
	as("no follow", codeError, func(e *promote.NoFollowError) string {
		return "Add an entry to `follow` of " + e.Environment + " in slipway.yaml: docs/promotion.md shows one."
	}),
	as("no approvals", codeError, func(e *promote.NoApprovalsError) string {
		return "Set `approvals: 1` in the gates of " + e.Environment + " in slipway.yaml to ask for one."
	}),
	is("promoted meanwhile", promote.ErrMeanwhile, codeConflict,
		"Run `git pull`, decide which version to keep, and promote again. Nothing was pushed."),
	is("unclean", promote.ErrUnclean, codeError, "Commit or undo them first. Nothing was committed."),
	is("unpushed", promote.ErrUnpushed, codeError,
		"Run `git push` first: a promotion pushes its own commit only. Nothing was committed."),
	is("no upstream", git.ErrNoUpstream, codeError,
		"Run `git switch` to the branch that is deployed, and `git branch --set-upstream-to=origin/BRANCH` once."),
	is("push refused", git.ErrRefused, codeError, "Pass --pr to open a pull request, or allow this identity to "+
		"push to the branch (a bypass in its protection rules). Nothing was changed."),
	is("push behind", git.ErrMoved, codeConflict,
		"Run the command again: someone else pushed at the same time. Nothing was changed."),
	as("no token", codeError, func(e *forge.NoTokenError) string {
		if e.Kind == "" {
			return "Pass --forge github, gitlab or gitea, and a token in --token-file or " +
				strings.Join(e.Variables, ", ") + ". Nothing was changed."
		}
		return "Set " + strings.Join(e.Variables, " or ") + ", or pass --token-file. Nothing was changed."
	}),
	as("forge", codeError, always[*forge.AnswerError]("Check the token: it needs the right to open pull "+
		"requests in this repository. The branch is pushed: run the command again, or open the request by hand.")),
	is("others' commits", promote.ErrOthersCommits, codeConflict, "Merge or close the pull request and delete "+
		"its branch, then promote again. Nothing was pushed."),
}
