package workflow

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/internal/check/finding"
	"slipway/internal/image/reference"
)

// gitlabJob is a job of a pipeline of GitLab: what is read of it.
type gitlabJob struct {
	name     *yaml.Node
	body     *yaml.Node
	commands []command
}

// gitlabKeys are the keys of a pipeline that are not jobs.
var gitlabKeys = []string{"default", "include", "image", "services", "stages", "variables", "workflow",
	"cache", "before_script", "after_script", "spec"}

// gitlabFile is where GitLab looks for its pipeline.
const gitlabFile = ".gitlab-ci.yml"

// readGitLab reads the jobs of a pipeline of GitLab, where the project has one. It does not read what the
// pipeline includes.
func readGitLab(r *report, p Project) []gitlabJob {
	text, ok := p.read(gitlabFile)
	if !ok {
		return nil
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil || len(root.Content) == 0 ||
		root.Content[0].Kind != yaml.MappingNode {
		r.unchecked = append(r.unchecked, finding.Unchecked{Place: finding.Place{File: gitlabFile},
			What: "the pipeline", Why: "it is not a mapping in YAML"})
		return nil
	}
	var jobs []gitlabJob
	for i := 0; i+1 < len(root.Content[0].Content); i += 2 {
		name, body := root.Content[0].Content[i], root.Content[0].Content[i+1]
		if body.Kind == yaml.MappingNode && !slices.Contains(gitlabKeys, name.Value) {
			jobs = append(jobs, gitlabJob{name, body, gitlabCommands(r, body)})
		}
	}
	return jobs
}

// checkGitLab checks the deploy commands of the jobs, when they run, and the tags that they push.
func (c *Pipelines) checkGitLab() {
	for _, j := range c.gitlab {
		checkGitLabJob(&c.report, j)
		for _, cmd := range j.commands {
			checkNames(&c.report, c.Environments, cmd)
		}
		moves := func(tag string) bool {
			return reference.MayMoveTag(tag) || branchTag().MatchString(tag) && !j.isForTags()
		}
		checkDeployCommands(&c.report, j.commands, moves)
		for _, p := range pushedByCommands(j.commands) {
			if moves(p.Tag) {
				c.add(tagMutable.In(p.place, "%s is pushed, and the tag %s names another image after each run",
					p.Reference, p.Tag), "Push a tag with the commit, such as $CI_COMMIT_SHORT_SHA.")
			}
		}
	}
}

// gitlabCommands are the commands in a job's scripts. GitLab runs the lines of a script as one.
func gitlabCommands(r *report, body *yaml.Node) []command {
	var all []command
	for _, key := range []string{"before_script", "script"} {
		list := valueOf(body, key)
		if list == nil {
			continue
		}
		lines := list.Content
		if list.Kind == yaml.ScalarNode {
			lines = []*yaml.Node{list}
		}
		for _, line := range lines {
			if line.Kind != yaml.ScalarNode {
				continue
			}
			block := 0
			if line.Style == yaml.LiteralStyle || line.Style == yaml.FoldedStyle {
				block = 1
			}
			at := func(n, _ int) finding.Place {
				return finding.Place{File: gitlabFile, Line: line.Line + block + n - 1, Column: line.Column}
			}
			commands, err := script{text: line.Value, at: at}.commands()
			if err != nil && strings.Contains(line.Value, "kubectl") {
				r.unchecked = append(r.unchecked, finding.Unchecked{Place: at(1, 1), What: "the commands of the line",
					Why: err.Error()})
			}
			all = append(all, commands...)
		}
	}
	return all
}

func valueOf(n *yaml.Node, key string) *yaml.Node {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// isForTags reports whether the rules of a job name Git tags alone.
func (j gitlabJob) isForTags() bool {
	for _, key := range []string{"rules", "only"} {
		if v := valueOf(j.body, key); v != nil {
			marshalled, _ := yaml.Marshal(v)
			text := string(marshalled)
			return strings.Contains(text, "CI_COMMIT_TAG") || key == "only" && strings.Contains(text, "tags")
		}
	}
	return false
}

// checkGitLabJob reports when a job deploys although it should not, and when its failure shows nowhere.
func checkGitLabJob(r *report, j gitlabJob) {
	i := slices.IndexFunc(j.commands, func(cmd command) bool { return deploysWorkloads(cmd, j.commands) })
	if i < 0 {
		return
	}
	at := func(n *yaml.Node) finding.Place {
		return finding.Place{File: gitlabFile, Line: n.Line, Column: n.Column}
	}
	if v := valueOf(j.body, "allow_failure"); v != nil && v.Value == "true" {
		r.add(deployIgnored.In(at(v),
			"job %s deploys with allow_failure: the pipeline passes although the deploy failed", j.name.Value),
			"Remove `allow_failure`.")
	}
	whens := []*yaml.Node{valueOf(j.body, "when")}
	if rules := valueOf(j.body, "rules"); rules != nil {
		for _, rule := range rules.Content {
			whens = append(whens, valueOf(rule, "when"))
		}
	}
	for _, v := range whens {
		if v != nil && v.Value == "always" {
			r.add(deployAnyway.In(at(v),
				"job %s deploys although a job before it failed: its condition is when: always", j.name.Value),
				"Write `when: on_success`.")
		}
	}
	if v := valueOf(j.body, "interruptible"); v != nil && v.Value == "true" {
		r.add(deployCancelled.In(at(v),
			"a newer pipeline cancels job %s while it deploys: some objects are of the old commit and some of the new",
			j.name.Value), "Set `interruptible: false`.")
	}
	if j.inherits() {
		return // what it lacks may be there
	}
	if !slices.ContainsFunc(j.commands, waits) {
		r.add(noWait.In(j.commands[i].words[0].place,
			"job %s does not wait for the rollout: it succeeds before the pods are healthy", j.name.Value),
			"Add `kubectl rollout status` or `helm --atomic`, or use `slipway deploy`.")
	}
	if valueOf(j.body, "resource_group") == nil {
		r.add(noConcurrency.In(at(j.name),
			"job %s deploys without a resource group: an older pipeline may deploy last", j.name.Value),
			"Add `resource_group:` to the job.")
	}
	if valueOf(j.body, "environment") == nil {
		r.add(noEnvironment.In(at(j.name),
			"job %s deploys without an environment: its deploys are not protected, and not listed", j.name.Value),
			"Add `environment:` to the job.")
	}
}

// inherits reports whether a job has keys of another one, or is one for others.
func (j gitlabJob) inherits() bool {
	return strings.HasPrefix(j.name.Value, ".") || valueOf(j.body, "extends") != nil ||
		valueOf(j.body, "<<") != nil
}
