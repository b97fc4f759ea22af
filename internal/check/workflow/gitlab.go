package workflow

import (
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/internal/check/finding"
	"slipway/internal/image/reference"
)

// gitlabJob is a job of a pipeline of GitLab: what is read of it.
type gitlabJob struct {
	file     string
	name     *yaml.Node
	body     *yaml.Node
	commands []command
	// parents are the jobs and mappings that it takes keys from, the strongest first. Unknown: one of them is
	// not in the project's files.
	parents []*gitlabJob
	unknown bool
}

// gitlabKeys are the keys of a pipeline that are not jobs.
var gitlabKeys = []string{"default", "include", "image", "services", "stages", "variables", "workflow",
	"cache", "before_script", "after_script", "spec"}

// gitlabFile is where GitLab looks for its pipeline.
const gitlabFile = ".gitlab-ci.yml"

// readGitLab reads the jobs of a pipeline of GitLab, where the project has one, and of the files of the
// project that it includes. It says what it does not read.
func readGitLab(r *report, p Project) []gitlabJob {
	g := gitlab{report: r, project: p, byName: map[string]*gitlabJob{}, seen: map[string]bool{}}
	g.read(gitlabFile)
	for _, j := range g.jobs {
		g.inherit(j)
	}
	var jobs []gitlabJob
	for _, j := range g.jobs {
		jobs = append(jobs, *j)
	}
	return jobs
}

// gitlab is a pipeline being read.
type gitlab struct {
	*report
	project Project
	jobs    []*gitlabJob
	byName  map[string]*gitlabJob
	seen    map[string]bool
}

func (g *gitlab) skip(file string, line int, what, why string) {
	g.unchecked = append(g.unchecked, finding.Unchecked{Place: finding.Place{File: file, Line: line},
		What: what, Why: why})
}

func (g *gitlab) read(file string) {
	text, ok := g.project.read(file)
	if !ok || g.seen[file] {
		return
	}
	g.seen[file] = true
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil || len(root.Content) == 0 ||
		root.Content[0].Kind != yaml.MappingNode {
		g.skip(file, 0, "the pipeline", "it is not a mapping in YAML")
		return
	}
	for i := 0; i+1 < len(root.Content[0].Content); i += 2 {
		name, body := root.Content[0].Content[i], root.Content[0].Content[i+1]
		switch {
		case name.Value == "include":
			g.include(file, body)
		case body.Kind == yaml.MappingNode && !slices.Contains(gitlabKeys, name.Value):
			j := &gitlabJob{file: file, name: name, body: body, commands: gitlabCommands(g.report, file, body)}
			g.jobs = append(g.jobs, j)
			g.byName[name.Value] = j
		}
	}
}

// include reads the files of the project that a pipeline includes.
func (g *gitlab) include(file string, n *yaml.Node) {
	switch n.Kind {
	case yaml.SequenceNode:
		for _, c := range n.Content {
			g.include(file, c)
		}
	case yaml.MappingNode:
		if local := valueOf(n, "local"); local != nil {
			g.include(file, local)
			return
		}
		g.skip(file, n.Line, "what the pipeline includes", "it is not in this repository")
	default:
		name := strings.TrimPrefix(n.Value, "/")
		if _, ok := g.project.read(name); !ok || strings.Contains(n.Value, "://") {
			g.skip(file, n.Line, "what the pipeline includes", n.Value+" is not a file of this repository")
			return
		}
		g.read(name)
	}
}

// inherit finds what a job takes keys from: mappings that are merged into it, and the jobs that it extends.
func (g *gitlab) inherit(j *gitlabJob) {
	for i := 0; i+1 < len(j.body.Content); i += 2 {
		key, v := j.body.Content[i], j.body.Content[i+1]
		values := []*yaml.Node{v}
		if v.Kind == yaml.SequenceNode {
			values = slices.Clone(v.Content)
			slices.Reverse(values) // the last one is the strongest
		}
		for _, v := range values {
			switch {
			case key.Value == "<<" && v.Kind == yaml.AliasNode:
				from := &gitlabJob{file: j.file, name: j.name, body: v.Alias,
					commands: gitlabCommands(g.report, j.file, v.Alias)}
				g.inherit(from)
				j.parents = append(j.parents, from)
			case key.Value == "extends" && g.byName[v.Value] == nil:
				j.unknown = true
			case key.Value == "extends":
				j.parents = append(j.parents, g.byName[v.Value])
			}
		}
	}
}

// key is the value of a key of a job, its own or inherited; known is false where it may come from elsewhere.
func (j *gitlabJob) key(name string, depth int) (v *yaml.Node, known bool) {
	if v := valueOf(j.body, name); v != nil {
		return v, true
	}
	known = !j.unknown
	for _, p := range j.parents {
		if depth > maxExtends {
			return nil, false
		}
		v, ok := p.key(name, depth+1)
		if v != nil {
			return v, true
		}
		known = known && ok
	}
	return nil, known
}

// maxExtends is GitLab's own limit of jobs that extend others.
const maxExtends = 11

// runs are the commands of a job, its own or inherited.
func (j *gitlabJob) runs(depth int) []command {
	if valueOf(j.body, "script") != nil || depth > maxExtends {
		return j.commands
	}
	all := j.commands
	for _, p := range j.parents {
		if more := p.runs(depth + 1); len(more) > 0 {
			return append(slices.Clone(all), more...)
		}
	}
	return all
}

// isHidden reports whether a job is only there for others to extend.
func (j gitlabJob) isHidden() bool { return strings.HasPrefix(j.name.Value, ".") }

// checkGitLab checks the deploy commands of the jobs, when they run, and the tags that they push.
func (c *Pipelines) checkGitLab() {
	waiting := slices.ContainsFunc(c.gitlab, func(j gitlabJob) bool {
		return !j.isHidden() && slices.ContainsFunc(j.runs(0), waits)
	})
	for _, j := range c.gitlab {
		checkGitLabJob(&c.report, j)
		if !j.isHidden() && !j.usesOwnCluster() {
			checkGitLabDeploy(&c.report, j, waiting)
		}
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
func gitlabCommands(r *report, file string, body *yaml.Node) []command {
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
				return finding.Place{File: file, Line: line.Line + block + n - 1, Column: line.Column}
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
		return finding.Place{File: j.file, Line: n.Line, Column: n.Column}
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
}

// checkGitLabDeploy reports what a job that deploys lacks: to wait, to be alone, and to be protected.
func checkGitLabDeploy(r *report, j gitlabJob, waiting bool) {
	commands := j.runs(0)
	i := slices.IndexFunc(commands, func(cmd command) bool { return deploysWorkloads(cmd, commands) })
	if i < 0 {
		return
	}
	name := finding.Place{File: j.file, Line: j.name.Line, Column: j.name.Column}
	if !waiting && !j.unknown {
		r.add(noWait.In(commands[i].words[0].place,
			"job %s does not wait for the rollout: it succeeds before the pods are healthy", j.name.Value),
			"Add `kubectl rollout status` or `helm --atomic`, or use `slipway deploy`.")
	}
	if v, known := j.key("resource_group", 0); v == nil && known {
		r.add(noConcurrency.In(name,
			"job %s deploys without a resource group: an older pipeline may deploy last", j.name.Value),
			"Add `resource_group:` to the job.")
	}
	if v, known := j.key("environment", 0); v == nil && known {
		r.add(noEnvironment.In(name,
			"job %s deploys without an environment: its deploys are not protected, and not listed", j.name.Value),
			"Add `environment:` to the job.")
	}
}

// usesOwnCluster reports whether a job creates the cluster that it deploys to.
func (j gitlabJob) usesOwnCluster() bool {
	return slices.ContainsFunc(j.runs(0), func(cmd command) bool {
		name := path.Base(cmd.text(0))
		return name != "kubectl" && name != "helm" && slices.ContainsFunc(cmd.words, func(w word) bool {
			return ownCluster().MatchString(w.text)
		})
	})
}
