package workflow

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/rhysd/actionlint"

	"slipway/internal/check/finding"
	"slipway/internal/image/reference"
	"slipway/internal/lazyregexp"
)

// deployment is one step of a job that deploys.
type deployment struct {
	place finding.Place
	step  *actionlint.Step
}

// deployAction matches actions that deploy to a cluster.
var deployAction = lazyregexp.New(`(k8s|kubernetes|helm|kubectl|kustomize)[\w-]*deploy|` +
	`deploy[\w-]*(k8s|kubernetes|helm|eks|gke|aks)`)

// deployments are the steps of a job that deploy, in their order.
func deployments(w *flow, j job) []deployment {
	var all []deployment
	for _, step := range j.Steps {
		if exec, ok := step.Exec.(*actionlint.ExecAction); ok &&
			deployAction().MatchString(strings.ToLower(value(exec.Uses))) {
			all = append(all, deployment{w.at(exec.Uses), step})
			continue
		}
		i := slices.IndexFunc(j.commands, func(cmd command) bool {
			return cmd.step == step && deploysWorkloads(cmd, j.commands)
		})
		if i >= 0 {
			all = append(all, deployment{j.commands[i].words[0].place, step})
		}
	}
	return all
}

// checkConditions reports when a job deploys although it should not, and when its failure shows nowhere.
func checkConditions(r *report, w *flow, j job) {
	all := deployments(w, j)
	if len(all) == 0 {
		return
	}
	checkAnyway(r, w, j, all)
	checkEarly(r, w, j, all[0])
	isTrue := func(b *actionlint.Bool) bool { return b != nil && b.Expression == nil && b.Value }
	at := func(p *actionlint.Pos) finding.Place {
		return finding.Place{File: w.file, Line: p.Line, Column: p.Col}
	}
	if isTrue(j.ContinueOnError) {
		r.add(deployIgnored.In(at(j.ContinueOnError.Pos),
			"job %s deploys with continue-on-error: the run is green although the deploy failed", value(j.ID)),
			"Remove `continue-on-error`.")
	}
	for _, d := range all {
		if isTrue(d.step.ContinueOnError) {
			r.add(deployIgnored.In(at(d.step.ContinueOnError.Pos),
				"the step deploys with continue-on-error: the run is green although the deploy failed"),
				"Remove `continue-on-error`.")
		}
	}
	for _, c := range []*actionlint.Concurrency{j.Concurrency, w.Concurrency} {
		if c != nil && isTrue(c.CancelInProgress) {
			r.add(deployCancelled.In(at(c.CancelInProgress.Pos),
				"a newer run cancels job %s while it deploys: some objects are of the old commit and some of the new",
				value(j.ID)), "Set `cancel-in-progress: false`.")
			break
		}
	}
}

var (
	anyway = lazyregexp.New(`\balways\(\)|!\s*cancelled\(\)|\bfailure\(\)`)
	// guarded matches conditions that look at results themselves.
	guarded = lazyregexp.New(`\.result\b|\.outcome\b|\.conclusion\b|job\.status|success\(\)\s*&&`)
)

// checkAnyway reports deploys that run although something before them failed.
func checkAnyway(r *report, w *flow, j job, all []deployment) {
	if c := value(j.If); anyway().MatchString(c) && !guarded().MatchString(c) && len(j.Needs) > 0 {
		r.add(deployAnyway.In(w.at(j.If), "job %s deploys although a job before it failed: its condition is %s",
			value(j.ID), strings.TrimSpace(c)), "Remove the condition, or add `needs.JOB.result == 'success'`.")
	}
	for _, d := range all {
		// After a failure a step may well roll back.
		c := value(d.step.If)
		onlyAfter := strings.Contains(c, "failure()") && !strings.Contains(c, "success()")
		if anyway().MatchString(c) && !guarded().MatchString(c) && !onlyAfter && d.step != j.Steps[0] {
			r.add(deployAnyway.In(w.at(d.step.If),
				"the step deploys although a step before it failed: its condition is %s",
				strings.TrimSpace(c)), "Remove the condition.")
		}
	}
	if slices.ContainsFunc(w.On, func(e actionlint.Event) bool { return e.EventName() == "workflow_run" }) &&
		!looksAtConclusion(w, j, all[0].step, 0) {
		r.add(deployAnyway.In(all[0].place,
			"job %s deploys after each run of the other workflow, also one that failed", value(j.ID)),
			"Add `if: github.event.workflow_run.conclusion == 'success'` to the job.")
	}
}

// looksAtConclusion reports whether a condition of the job, of its step or of a job that it needs is about
// the conclusion of the run that started the workflow.
func looksAtConclusion(w *flow, j job, step *actionlint.Step, depth int) bool {
	isAbout := func(s *actionlint.String) bool { return strings.Contains(value(s), "conclusion") }
	if isAbout(j.If) || step != nil && isAbout(step.If) || depth > len(w.jobs) {
		return true
	}
	return slices.ContainsFunc(w.needed(j), func(o job) bool { return looksAtConclusion(w, o, nil, depth+1) })
}

// needed are the jobs that must end before a job starts.
func (w *flow) needed(j job) []job {
	var all []job
	for _, o := range w.jobs {
		if slices.ContainsFunc(j.Needs, func(id *actionlint.String) bool {
			return strings.EqualFold(value(id), value(o.ID))
		}) {
			all = append(all, o)
		}
	}
	return all
}

// checkEarly reports a deploy that does not wait for the job that pushes the image.
func checkEarly(r *report, w *flow, j job, d deployment) {
	pushes := func(o job) bool {
		return len(pushedByCommands(o.commands)) > 0 || slices.ContainsFunc(o.Steps, func(s *actionlint.Step) bool {
			exec, ok := s.Exec.(*actionlint.ExecAction)
			return ok && builds(exec)
		})
	}
	before := []job{j}
	for i := 0; i < len(before) && i <= len(w.jobs); i++ {
		before = append(before, w.needed(before[i])...)
	}
	if slices.ContainsFunc(before, pushes) {
		return
	}
	for _, o := range w.jobs {
		// Jobs with conditions of their own may never run together.
		if pushes(o) && value(o.If) == value(j.If) {
			r.add(deployEarly.In(d.place,
				"job %s deploys while job %s still builds the image: it does not need that job",
				value(j.ID), value(o.ID)), "Add `needs: "+value(o.ID)+"` to the job.")
			return
		}
	}
}

// checkDeployCommands checks the commands of a job by themselves.
//
// moves reports whether a tag moves.
func checkDeployCommands(r *report, commands []command, moves func(tag string) bool) {
	for _, cmd := range commands {
		if cmd.ignored != "" && deploysWorkloads(cmd, commands) {
			r.add(deployIgnored.In(cmd.words[0].place,
				"`%s` hides a failure of the deploy: the run is green although the deploy failed", cmd.ignored),
				"Remove `"+cmd.ignored+"`.")
		}
		checkForce(r, cmd)
		for _, w := range deployedImages(cmd) {
			if tag := reference.Parse(w.text).Tag; moves(tag) {
				r.add(deployMutable.In(w.place,
					"the deploy names tag %s, which moves: pods run whatever was pushed last", tag),
					"Use a tag with the commit, such as sha-${GITHUB_SHA::7}.")
			}
		}
	}
}

// branchTag matches a tag that is the name of a branch, with no part that tells one commit from the next.
var branchTag = lazyregexp.New(`^[\w.-]*(\$\{\{\s*github\.(ref_name|head_ref)\s*\}\}|` +
	`\$\{?(GITHUB_REF_NAME|GITHUB_HEAD_REF|CI_COMMIT_REF_SLUG|CI_COMMIT_REF_NAME|CI_COMMIT_BRANCH)\}?)[\w.-]*$`)

// moves reports whether a tag moves in runs of the workflow: by its name, or because it is the branch's.
func (w *flow) moves(tag string) bool {
	return reference.MayMoveTag(tag) || slices.Contains(w.on, onBranch) && branchTag().MatchString(tag)
}

func checkForce(r *report, cmd command) {
	args, helm := kubectl(cmd), path.Base(cmd.text(0)) == "helm" && cmd.text(1) == "upgrade"
	if !cmd.has("--force", "--force-replace") || cmd.has("--dry-run") || !helm && !says(args, "apply") &&
		!says(args, "replace") {
		return
	}
	r.add(deployForce.In(cmd.words[0].place,
		"--force deletes an object that cannot be changed and creates it again: all of its pods stop at once"),
		"Remove `--force`.")
}

// deployedImages are the images with a tag that a deploy command names.
func deployedImages(cmd command) []word {
	args := kubectl(cmd)
	var all []word
	switch {
	case says(args, "set", "image"):
		for _, w := range args[2:] {
			if _, image, ok := strings.Cut(w.text, "="); ok {
				all = append(all, word{image, w.place})
			}
		}
	case path.Base(cmd.text(0)) == "kustomize" && cmd.text(1) == "edit" && cmd.text(3) == "image":
		for _, w := range cmd.words[4:] {
			name, image, _ := strings.Cut(w.text, "=")
			all = append(all, word{cmp.Or(image, name), w.place})
		}
	case path.Base(cmd.text(0)) == "helm" && (cmd.text(1) == "upgrade" || cmd.text(1) == "install"):
		for _, s := range settings(cmd) {
			if key := s.key[strings.LastIndex(s.key, ".")+1:]; strings.EqualFold(key, "tag") ||
				strings.EqualFold(key, "imageTag") {
				all = append(all, word{"image:" + s.value, s.place})
			}
		}
	}
	return all
}

var foreignRef = lazyregexp.New(`pull_request\.head|github\.head_ref|refs/pull/|GITHUB_HEAD_REF`)

// checkForeignCode reports a workflow that runs the code of a pull request with the repository's secrets.
func checkForeignCode(r *report, w *flow) {
	isTarget := func(e actionlint.Event) bool { return e.EventName() == "pull_request_target" }
	if !slices.ContainsFunc(w.On, isTarget) {
		return
	}
	for _, j := range w.jobs {
		for _, step := range j.Steps {
			exec, ok := step.Exec.(*actionlint.ExecAction)
			if !ok || !strings.HasPrefix(value(exec.Uses), "actions/checkout@") {
				continue
			}
			from := inputOf(exec, "ref") + " " + inputOf(exec, "repository")
			if foreignRef().MatchString(from) {
				r.add(pullRequestTarget.In(w.at(exec.Uses), "pull_request_target checks out the pull request: "+
					"its code runs with the secrets of the repository"), "Use `on: pull_request`.")
			}
		}
	}
}
