package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"go.yaml.in/yaml/v3"
)

// runner runs a workflow's steps in a shell, each job in a checkout of its own, as the platform does.
// What cannot be had here is in the script's folder "stand-ins", first on PATH: docker and gh.
type runner struct {
	ts     *testscript.TestScript
	env    map[string]string // of the platform, for each job
	failed map[string]bool   // jobs that failed, or did not run because of one
	ends   strings.Builder
}

// cmdPipeline runs a workflow, and prints each job's end to standard output:
//
//	pipeline github FILE push|pull_request|fork
//	pipeline gitlab FILE push|merge_request|manual
func cmdPipeline(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: pipeline github|gitlab FILE EVENT")
	}
	ts.Check(ts.Exec("git", "rev-parse", "HEAD"))
	head := strings.TrimSpace(ts.ReadFile("stdout"))
	r := &runner{ts: ts, env: map[string]string{"CI": "true"}, failed: map[string]bool{}}
	var doc yaml.Node
	ts.Check(yaml.Unmarshal([]byte(ts.ReadFile(args[1])), &doc))
	if args[0] == "github" {
		r.github(&doc, head, args[2])
	} else {
		r.gitlab(&doc, head, args[2])
	}
	fmt.Fprint(ts.Stdout(), r.ends.String())
}

func (r *runner) say(job, end string) {
	fmt.Fprintf(&r.ends, "%s: %s\n", job, end)
	r.failed[job] = !strings.HasPrefix(end, "done")
}

// checkout makes a job's workspace, and its folder for temporary files.
func (r *runner) checkout(head string) (workspace, temp string) {
	dir, err := os.MkdirTemp(r.ts.Getenv("WORK"), "runner-")
	r.ts.Check(err)
	workspace, temp = filepath.Join(dir, "workspace"), filepath.Join(dir, "temp")
	r.ts.Check(os.MkdirAll(temp, 0o755))
	origin := r.ts.Getenv("ORIGIN") // a bare repository, which jobs may push to
	if origin == "" {
		origin = r.ts.MkAbs(".")
	}
	r.ts.Check(r.ts.Exec("git", "clone", "-q", origin, workspace))
	r.ts.Check(r.ts.Exec("git", "-C", workspace, "checkout", "-q", head))
	return workspace, temp
}

// shell runs a text in bash, and says whether it ended well.
func (r *runner) shell(text, dir string, env map[string]string) bool {
	file := filepath.Join(dir, "..", "step.sh")
	r.ts.Check(os.WriteFile(file, []byte(text), 0o644))
	cmd := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", file)
	cmd.Dir = dir
	for _, name := range []string{"HOME", "XDG_CACHE_HOME", heardFile, heardScript, "GIT_CONFIG_GLOBAL",
		"GIT_CONFIG_SYSTEM", "SANDBOX", "WORK"} {
		cmd.Env = append(cmd.Env, name+"="+r.ts.Getenv(name))
	}
	// The slipway that the job has downloaded, and no other.
	var machine []string
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(dir, "slipway")); err != nil {
			machine = append(machine, dir)
		}
	}
	path := filepath.Join(r.ts.Getenv("WORK"), "stand-ins") + ":" + env["PATH"] + strings.Join(machine, ":")
	for k, v := range env {
		if k != "PATH" {
			cmd.Env = append(cmd.Env, k+"="+v)
		}
	}
	cmd.Env = append(cmd.Env, "PATH="+path, "TMPDIR="+filepath.Join(dir, ".."))
	out, err := cmd.CombinedOutput()
	r.ts.Logf("%s", out)
	log, openErr := os.OpenFile(filepath.Join(r.ts.Getenv("WORK"), "log"),
		os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	r.ts.Check(openErr)
	defer log.Close()
	_, writeErr := log.Write(out)
	r.ts.Check(writeErr)
	return err == nil
}

type githubJob struct {
	If, Needs    string
	Env, Outputs map[string]string
	Steps        []githubStep
}

type githubStep struct {
	Name, ID, If, Run, Uses string
	WorkingDirectory        string `yaml:"working-directory"`
	Env                     map[string]string
}

func (r *runner) github(doc *yaml.Node, head, event string) {
	var w struct {
		Env      map[string]string
		Defaults struct {
			Run struct {
				Shell            string
				WorkingDirectory string `yaml:"working-directory"`
			}
		}
		Jobs yaml.Node
	}
	r.ts.Check(doc.Decode(&w))
	if w.Defaults.Run.Shell != "bash" {
		r.ts.Fatalf("steps are run by %q, and only bash that is named has pipefail", w.Defaults.Run.Shell)
	}
	from := "acme/web"
	if event == "fork" {
		event, from = "pull_request", "mallory/web"
	}
	known := map[string]string{
		"github.event_name": event, "github.sha": head, "github.token": "ghs_token",
		"github.repository":                             "acme/web",
		"github.event.pull_request.head.repo.full_name": from, "github.event.pull_request.number": "7",
	}
	for i := 0; i < len(w.Jobs.Content); i += 2 {
		name := w.Jobs.Content[i].Value
		var job githubJob
		r.ts.Check(w.Jobs.Content[i+1].Decode(&job))
		switch {
		case !holds(r.ts, job.If, known):
			r.say(name, "skipped")
			continue
		case job.Needs != "" && r.failed[job.Needs]:
			r.say(name, "not started")
			continue
		}
		workspace, temp := r.checkout(head)
		known["github.workspace"] = workspace
		env := map[string]string{
			"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_ACTOR": "ada", "GITHUB_EVENT_NAME": event,
			"GITHUB_JOB": name, "GITHUB_SHA": head,
			"GITHUB_REPOSITORY": "acme/web", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_WORKSPACE": workspace,
			"RUNNER_TEMP": temp, "GITHUB_RUN_ID": "1", "GITHUB_REF": "refs/heads/main",
			"GITHUB_EVENT_PATH": filepath.Join(temp, "event.json"), "GITHUB_ENV": filepath.Join(temp, "env"),
			"GITHUB_PATH":   filepath.Join(temp, "path"),
			"GITHUB_OUTPUT": filepath.Join(temp, "output"), "GITHUB_STEP_SUMMARY": filepath.Join(temp, "summary"),
		}
		r.ts.Check(os.WriteFile(env["GITHUB_EVENT_PATH"], []byte(`{"pull_request":{"number":7}}`), 0o644))
		r.say(name, r.steps(job, merged(env, w.Env), known, w.Defaults.Run.WorkingDirectory))
		for line := range strings.Lines(readIfThere(env["GITHUB_OUTPUT"])) {
			k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
			for output, value := range job.Outputs {
				if strings.HasSuffix(value, ".outputs."+k+" }}") {
					known["needs."+name+".outputs."+output] = v
				}
			}
		}
		summary, _ := os.ReadFile(env["GITHUB_STEP_SUMMARY"])
		r.ts.Check(os.WriteFile(filepath.Join(r.ts.Getenv("WORK"), "summary-"+name), summary, 0o644))
	}
}

// steps runs a job's, with what each leaves to the next in the files of the platform.
func (r *runner) steps(job githubJob, env, known map[string]string, folder string) string {
	failed := ""
	for _, s := range job.Steps {
		if failed != "" && !strings.Contains(s.If, "steps."+failed+".outcome == 'failure'") {
			continue
		}
		if s.Uses != "" {
			if !strings.HasPrefix(s.Uses, "actions/checkout@") {
				r.ts.Fatalf("%s uses %s, and there is none here", s.Name, s.Uses)
			}
			continue
		}
		own := merged(env, job.Env)
		for k, v := range s.Env {
			own[k] = expand(r.ts, v, known)
		}
		dir := cmp.Or(expand(r.ts, s.WorkingDirectory, known), filepath.Join(env["GITHUB_WORKSPACE"], folder))
		if !r.shell(expand(r.ts, s.Run, known), dir, own) && failed == "" {
			failed = cmp.Or(s.ID, s.Name)
		}
		for line := range strings.Lines(readIfThere(env["GITHUB_ENV"])) {
			k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
			env[k] = v
		}
		env["PATH"] = ""
		for line := range strings.Lines(readIfThere(env["GITHUB_PATH"])) {
			env["PATH"] += strings.TrimSpace(line) + ":"
		}
	}
	if failed != "" {
		return "failed at " + failed
	}
	return "done"
}

func readIfThere(file string) string {
	b, _ := os.ReadFile(file)
	return string(b)
}

func merged(a, b map[string]string) map[string]string {
	m := maps.Clone(a)
	maps.Copy(m, b)
	return m
}

var expression = regexp.MustCompile(`\$\{\{ *([^}]*?) *\}\}`)

// expand puts in what the platform knows; anything else is a mistake.
func expand(ts *testscript.TestScript, text string, known map[string]string) string {
	return expression.ReplaceAllStringFunc(text, func(e string) string {
		name := expression.FindStringSubmatch(e)[1]
		v, ok := known[name]
		if !ok {
			ts.Fatalf("what is %s?", name)
		}
		return v
	})
}

// holds evaluates "a == b && c == d", which is all that is written.
func holds(ts *testscript.TestScript, condition string, known map[string]string) bool {
	if condition == "" {
		return true
	}
	value := func(s string) string {
		if quoted, ok := strings.CutPrefix(s, "'"); ok {
			return strings.TrimSuffix(quoted, "'")
		}
		return expand(ts, "${{ "+s+" }}", known)
	}
	return equal(ts, condition, value)
}

// equal says whether both sides of each "a == b" have the same value.
func equal(ts *testscript.TestScript, condition string, value func(string) string) bool {
	for part := range strings.SplitSeq(condition, " && ") {
		a, b, ok := strings.Cut(part, " == ")
		if !ok {
			ts.Fatalf("what is %q?", condition)
		}
		if value(a) != value(b) {
			return false
		}
	}
	return true
}

type gitlabJob struct {
	Stage        string
	Dependencies []string
	Artifacts    struct{ Reports struct{ Dotenv string } }
	Rules        []struct{ If, When string }
	Before       []string `yaml:"before_script"`
	Script       []string
}

func (r *runner) gitlab(doc *yaml.Node, head, event string) {
	var w struct {
		Stages    []string
		Variables map[string]string
		Jobs      map[string]yaml.Node `yaml:",inline"`
	}
	r.ts.Check(doc.Decode(&w))
	var template gitlabJob
	node := w.Jobs[".slipway"]
	r.ts.Check(node.Decode(&template))
	known := map[string]string{"CI_DEFAULT_BRANCH": "main", "CI_PROJECT_ID": "1", "CI_COMMIT_BRANCH": "main",
		"CI_PIPELINE_SOURCE": "push"}
	if event == "merge_request" {
		maps.Copy(known, map[string]string{"CI_COMMIT_BRANCH": "", "CI_PIPELINE_SOURCE": "merge_request_event",
			"CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "1"})
	}
	left := map[string]map[string]string{} // by jobs, in their dotenv reports
	for _, stage := range w.Stages {
		for _, name := range slices.Sorted(maps.Keys(w.Jobs)) {
			var job gitlabJob
			node := w.Jobs[name]
			if name == "workflow" || node.Decode(&job) != nil || job.Stage != stage {
				continue
			}
			runs, when := len(job.Rules) == 0, ""
			for _, rule := range job.Rules {
				if !runs && ruleHolds(r.ts, rule.If, known) {
					runs, when = true, rule.When
				}
			}
			switch {
			case !runs:
				continue
			case slices.Contains(slices.Collect(maps.Values(r.failed)), true):
				r.say(name, "not started")
				continue
			case when == "manual" && event != "manual":
				r.say(name, "waits for a person")
				continue
			}
			workspace, _ := r.checkout(head)
			env := merged(known, map[string]string{
				"GITLAB_CI": "true", "CI": "true", "CI_PROJECT_DIR": workspace, "CI_JOB_NAME": name,
				"CI_COMMIT_SHA": head,
				"CI_REGISTRY":   "registry.gitlab.com", "CI_REGISTRY_USER": "gitlab-ci-token",
				"CI_REGISTRY_PASSWORD": "glcbt-token", "GITLAB_USER_LOGIN": "ada",
				"GITLAB_USER_NAME": "Grace", "GITLAB_USER_EMAIL": "grace@example.com",
			})
			for _, other := range job.Dependencies {
				maps.Copy(env, left[other])
			}
			end := "failed"
			if r.shell(strings.Join(append(template.Before, job.Script...), "\n"), workspace,
				merged(env, w.Variables)) {
				end = "done"
			}
			r.say(name, end)
			left[name] = map[string]string{}
			if report := job.Artifacts.Reports.Dotenv; report != "" {
				for line := range strings.Lines(readIfThere(filepath.Join(workspace, report))) {
					k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
					left[name][k] = v
				}
			}
		}
	}
}

// ruleHolds evaluates `$A == "text" && $B == $C`.
func ruleHolds(ts *testscript.TestScript, rule string, known map[string]string) bool {
	return equal(ts, rule, func(s string) string {
		if name, ok := strings.CutPrefix(s, "$"); ok {
			return known[name]
		}
		return strings.Trim(s, `"`)
	})
}
