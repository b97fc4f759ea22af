// Package workflow checks GitHub workflows and GitLab pipelines: their syntax, the tags that they build, and
// their deploy steps. It runs nothing and reports nothing about what it does not understand.
package workflow

import (
	"cmp"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rhysd/actionlint"
	"go.yaml.in/yaml/v3"

	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/lazyregexp"
	"slipway/internal/object"
	"slipway/internal/project"
)

const (
	workflowSyntax      = rule.ID("workflow-syntax")
	deployName          = rule.ID("deploy-name")
	setImageLive        = rule.ID("set-image-live")
	tagNever            = rule.ID("tag-never")
	tagMutable          = rule.ID("tag-mutable")
	imageVersion        = rule.ID("image-version")
	tagLength           = rule.ID("tag-length")
	noWait              = rule.ID("no-wait")
	noConcurrency       = rule.ID("no-concurrency")
	noEnvironment       = rule.ID("no-environment")
	kubeconfigWorkspace = rule.ID("kubeconfig-workspace")
	actionUnpinned      = rule.ID("action-unpinned")
	deployIgnored       = rule.ID("deploy-ignored")
	deployAnyway        = rule.ID("deploy-anyway")
	deployCancelled     = rule.ID("deploy-cancelled")
	deployEarly         = rule.ID("deploy-early")
	deployForce         = rule.ID("deploy-force")
	deployMutable       = rule.ID("deploy-mutable")
	pullRequestTarget   = rule.ID("pull-request-target")
	helmPrecedence      = rule.ID("helm-set-precedence")
	helmTagDefault      = rule.ID("helm-tag-default")
)

// File is a workflow. Name is relative to the project, with slashes.
type File struct {
	Name string
	Text []byte
}

// Environment is one environment as it is rendered.
type Environment struct {
	Name  string
	Class project.Class
	Set   object.Set
}

// Project is what workflows deploy.
type Project struct {
	Environments []Environment
	// Read returns another file of the project, such as a script, and Document the root of a YAML file, such as
	// values. nil: there are none.
	Read     func(name string) ([]byte, bool)
	Document func(name string) *yaml.Node
}

// read returns a file of the project.
func (p Project) read(name string) ([]byte, bool) {
	name = path.Clean(name)
	if p.Read == nil || !filepath.IsLocal(name) {
		return nil, false
	}
	return p.Read(name)
}

// document returns the root of a YAML file of the project; nil where it is none.
func (p Project) document(name string) *yaml.Node {
	name = path.Clean(name)
	if p.Document == nil || !filepath.IsLocal(name) {
		return nil
	}
	return p.Document(name)
}

// flow is one workflow.
type flow struct {
	*actionlint.Workflow
	file  string
	lines []string
	on    []string // what starts a run
	// branches are the listed ones of the push trigger.
	branches []string
	jobs     []job
}

type job struct {
	*actionlint.Job
	env      map[string]string // that of its steps may add to it
	commands []command
	// throwaway: it deploys to a cluster that it creates and discards.
	throwaway bool
	waits     bool
}

// Pipelines are a project's workflows, as Read parses them.
type Pipelines struct {
	Project
	report
	flows  []*flow
	builds []build
	gitlab []gitlabJob
}

// report collects what is found.
type report struct {
	findings  []finding.Finding
	unchecked []finding.Unchecked
}

// Read parses workflows. Those that it cannot read are Check's to report.
func Read(files []File, p Project) *Pipelines {
	c := &Pipelines{Project: p}
	for _, f := range files {
		if w := openFlow(&c.report, c.Project, f); w != nil {
			c.flows = append(c.flows, w)
		}
	}
	for _, w := range c.flows {
		for _, j := range w.jobs {
			c.metadata(w, j)
		}
	}
	c.gitlab = readGitLab(&c.report, p)
	for _, name := range unread {
		if text, ok := p.read(name); ok && deploying().Match(text) {
			c.unchecked = append(c.unchecked, finding.Unchecked{Place: finding.Place{File: name},
				What: "the steps of the pipeline", Why: "only workflows of GitHub and pipelines of GitLab are read"})
		}
	}
	return c
}

// unread are the files in which other platforms keep their pipelines.
var unread = []string{"bitbucket-pipelines.yml", "azure-pipelines.yml", ".circleci/config.yml", "Jenkinsfile",
	".drone.yml", ".woodpecker.yml", ".travis.yml", ".buildkite/pipeline.yml", "cloudbuild.yaml"}

var deploying = lazyregexp.New(`\b(kubectl|helm|kustomize|skaffold|helmfile|argocd|docker (build|push))\b`)

// Check returns the findings in workflows, ordered by place. It is called once.
func (c *Pipelines) Check() ([]finding.Finding, []finding.Unchecked) {
	for _, w := range c.flows {
		checkPins(&c.report, w)
		c.deploys(w)
		checkForeignCode(&c.report, w)
		for _, j := range w.jobs {
			checkHelm(&c.report, c.Project, j)
			if !j.throwaway {
				checkConditions(&c.report, w, j)
				checkDeployCommands(&c.report, j.commands, w.moves)
			}
		}
	}
	for _, b := range c.builds {
		c.tags(b)
	}
	c.pushedTags()
	c.checkGitLab()
	c.rendered()
	slices.SortStableFunc(c.findings, func(a, b finding.Finding) int {
		return cmp.Or(a.Place.Compare(b.Place), strings.Compare(a.Rule, b.Rule))
	})
	return c.findings, c.unchecked
}

// add appends a finding with its fix.
func (r *report) add(f finding.Finding, fix string) {
	f.Fix = fix
	r.findings = append(r.findings, f)
}

// openFlow parses a workflow and reports faults of its syntax. It returns nil where it cannot be read.
func openFlow(r *report, p Project, f File) *flow {
	whole := finding.Place{File: f.Name}
	var root yaml.Node
	if err := yaml.Unmarshal(f.Text, &root); err == nil {
		if err := object.CheckNode(&root, f.Name); err != nil {
			r.unchecked = append(r.unchecked, finding.Unchecked{Place: whole, What: "the workflow", Why: err.Error()})
			return nil
		}
	}
	parsed := parse(r, f)
	if parsed == nil {
		return nil
	}
	w := &flow{Workflow: parsed, file: f.Name, lines: strings.Split(string(f.Text), "\n")}
	w.on, w.branches = triggers(parsed.On)
	outer := environ(nil, parsed.Env)
	for _, j := range parsed.Jobs {
		w.jobs = append(w.jobs, readJob(r, p, w, j, environ(outer, j.Env)))
	}
	slices.SortFunc(w.jobs, func(a, b job) int { return a.Pos.Line - b.Pos.Line })
	return w
}

func readJob(r *report, p Project, w *flow, parsed *actionlint.Job, env map[string]string) job {
	j := job{Job: parsed, env: env}
	for _, step := range parsed.Steps {
		switch exec := step.Exec.(type) {
		case *actionlint.ExecAction:
			uses := strings.ToLower(value(exec.Uses))
			j.throwaway = j.throwaway || ownCluster().MatchString(uses)
			j.waits = j.waits || strings.Contains(uses, "k8s-deploy") || strings.Contains(uses, "rollout") ||
				strings.Contains(uses, "wait")
		case *actionlint.ExecRun:
			if exec.Run == nil || !w.posix(parsed, exec) {
				continue
			}
			s := script{exec.Run.Value, w.inside(exec.Run), environ(env, step.Env)}
			folder := cmp.Or(value(exec.WorkingDirectory), directory(parsed.Defaults), directory(w.Defaults))
			commands := readScript(r, p, s, folder, w.at(exec.Run))
			for i := range commands {
				commands[i].step = step
			}
			j.commands = append(j.commands, commands...)
		}
	}
	for _, cmd := range j.commands {
		if name := path.Base(cmd.text(0)); name != "kubectl" && name != "helm" {
			j.throwaway = j.throwaway || slices.ContainsFunc(cmd.words, func(w word) bool {
				return ownCluster().MatchString(w.text)
			})
		}
		j.waits = j.waits || waits(cmd)
	}
	return j
}

// ownCluster matches the tools that create a cluster for a job.
var ownCluster = lazyregexp.New(`\b(kind|k3d|k3s|minikube|microk8s|ctlptl)\b`)

// readScript returns a step's commands, and those of a script that it calls.
func readScript(r *report, p Project, s script, folder string, place finding.Place) []command {
	commands, err := s.commands()
	if err != nil && (strings.Contains(s.text, "kubectl") || strings.Contains(s.text, "helm")) {
		r.unchecked = append(r.unchecked, finding.Unchecked{Place: place, What: "the commands of the step",
			Why: err.Error()})
	}
	var all []command
	within := folder
	for _, cmd := range commands {
		cmd.folder, cmd.within = folder, within
		if to := cmd.text(1); cmd.text(0) == "cd" && !strings.HasPrefix(to, "-") {
			if within = path.Join(within, to); path.IsAbs(to) || strings.ContainsAny(to, "$~") {
				within = "$"
			}
		}
		all = append(all, cmd)
		name := cmd.text(0)
		if name == "bash" || name == "sh" {
			name = cmd.text(1)
		}
		if !strings.HasSuffix(name, ".sh") || strings.Contains(place.File, ".sh") {
			continue
		}
		file := path.Join(folder, name)
		if text, ok := p.read(file); ok {
			at := func(line, column int) finding.Place { return finding.Place{File: file, Line: line, Column: column} }
			all = append(all, readScript(r, p, script{string(text), at, s.env}, folder, at(1, 1))...)
		}
	}
	return all
}

// posix reports whether a POSIX shell runs the step.
func (w *flow) posix(j *actionlint.Job, exec *actionlint.ExecRun) bool {
	shell := value(exec.Shell)
	for _, d := range []*actionlint.Defaults{j.Defaults, w.Defaults} {
		if shell == "" && d != nil && d.Run != nil {
			shell = value(d.Run.Shell)
		}
	}
	if shell == "" && j.RunsOn != nil {
		return !slices.ContainsFunc(j.RunsOn.Labels, func(l *actionlint.String) bool {
			return strings.Contains(l.Value, "windows")
		})
	}
	name, _, _ := strings.Cut(shell, " ")
	return name == "" || path.Base(name) == "bash" || path.Base(name) == "sh"
}

func directory(d *actionlint.Defaults) string {
	if d == nil || d.Run == nil {
		return ""
	}
	return value(d.Run.WorkingDirectory)
}

func value(s *actionlint.String) string {
	if s == nil {
		return ""
	}
	return s.Value
}

// environ adds variables to the known ones.
func environ(outer map[string]string, env *actionlint.Env) map[string]string {
	all := map[string]string{}
	for k, v := range outer {
		all[k] = v
	}
	if env != nil {
		for _, v := range env.Vars {
			all[value(v.Name)] = normal(value(v.Value), outer)
		}
	}
	return all
}

func (w *flow) at(s *actionlint.String) finding.Place {
	return finding.Place{File: w.file, Line: s.Pos.Line, Column: s.Pos.Col}
}

// inside returns the places within a text: exact ones in a block scalar, its beginning otherwise.
func (w *flow) inside(s *actionlint.String) func(line, column int) finding.Place {
	values := strings.Split(s.Value, "\n")
	begin := w.at(s)
	head := w.lines[min(begin.Line, len(w.lines))-1]
	head = head[min(begin.Column-1, len(head)):]
	block := strings.HasPrefix(head, "|") || strings.HasPrefix(head, ">")
	return func(line, column int) finding.Place {
		at := begin.Line - 1
		if block {
			at += line
		}
		if at >= len(w.lines) || line > len(values) {
			return begin
		}
		indent := strings.Index(w.lines[at], values[line-1])
		if indent < 0 || !block && len(values) > 1 {
			return begin
		}
		return finding.Place{File: w.file, Line: at + 1, Column: indent + column}
	}
}

// triggers returns what starts a run, and the branches of the push trigger.
func triggers(events []actionlint.Event) (on, branches []string) {
	set := map[string]bool{}
	for _, event := range events {
		webhook, ok := event.(*actionlint.WebhookEvent)
		switch name := event.EventName(); {
		case name == "push" && ok:
			heads := !webhook.Branches.IsEmpty() || !webhook.BranchesIgnore.IsEmpty()
			tags := !webhook.Tags.IsEmpty() || !webhook.TagsIgnore.IsEmpty()
			set[onBranch] = set[onBranch] || heads || !tags
			set[onTag] = set[onTag] || tags || !heads
			if webhook.Branches != nil {
				for _, b := range webhook.Branches.Values {
					branches = append(branches, b.Value)
				}
			}
		case strings.HasPrefix(name, "pull_request"):
			set[onPull] = true
		case name == "release":
			set[onTag] = true
		case name == "schedule":
			set[onSchedule] = true
		case name == "workflow_call":
			set[onBranch], set[onTag], set[onPull], set[onSchedule] = true, true, true, true
		case name == "workflow_dispatch", name == "create", name == "deployment", name == "deployment_status":
			set[onBranch], set[onTag] = true, true
		default:
			set[onBranch] = true
		}
	}
	for _, o := range []string{onBranch, onTag, onPull, onSchedule} {
		if set[o] {
			on = append(on, o)
		}
	}
	return on, branches
}
