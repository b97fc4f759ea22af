// Package ci knows the CI platforms: how to tell that this process runs on one, what the platform says about
// the run, how to write its log and its outputs, and the workflow file that `slipway ci` writes for it. One
// table holds all of it. The package runs no program and asks no network.
package ci

import (
	"io"
	"os"
	"os/user"
)

// Env reads an environment variable.
type Env func(name string) string

// Platform is one row of the table. A zero field is something that the platform does not have.
type Platform struct {
	Name string
	// marks are variables of which every process on the platform has at least one.
	marks []string
	// actor is the variable with the user who started the run.
	actor string
	// workspace is the variable with the directory of the checkout.
	workspace string
	// read takes the facts about the run from the variables and the event file.
	read func(r *Run, env Env, event []byte) error
	// fold writes a fold of the log. Until end is called, the platform takes no line of the log for a command.
	fold func(w io.Writer, title string) (end func())
	// annotate writes notes at lines of the source, whose paths are relative to dir.
	annotate func(w io.Writer, dir string, notes []Note)
	// summary is the variable with the file of the run's summary.
	summary string
	// set passes values to later steps and jobs.
	set func(env Env, values Values) error
	// file is where the platform looks for the workflow of a project, relative to the root of the repository.
	file func(p Project) string
	// registry is the host that the job's own token can push to.
	registry string
}

// platforms are tried in this order.
var platforms = []Platform{
	{
		Name: "github", marks: []string{"GITHUB_ACTIONS", "GITHUB_REF", "GITHUB_EVENT_NAME"},
		actor: "GITHUB_ACTOR", workspace: "GITHUB_WORKSPACE", read: readGitHub,
		fold: foldGitHub, annotate: annotateGitHub, summary: "GITHUB_STEP_SUMMARY", set: setGitHub,
		file: githubFile, registry: "ghcr.io",
	},
	{
		Name: "gitlab", marks: []string{"GITLAB_CI"},
		actor: "GITLAB_USER_LOGIN", workspace: "CI_PROJECT_DIR", read: readGitLab,
		fold: foldGitLab, set: setGitLab,
		file: func(Project) string { return ".gitlab-ci.yml" }, registry: "registry.gitlab.com",
	},
	{Name: "bitbucket", marks: []string{"BITBUCKET_COMMIT"}, read: readBitbucket},
	{Name: "azure", marks: []string{"TF_BUILD"}, actor: "BUILD_REQUESTEDFOR", read: readAzure},
	{Name: "circleci", marks: []string{"CIRCLECI"}, actor: "CIRCLE_USERNAME", read: readCircleCI},
}

// Named returns the platform of that name for which a workflow can be written.
func Named(name string) (p Platform, ok bool) {
	for _, p := range platforms {
		if p.Name == name && p.file != nil {
			return p, true
		}
	}
	return Platform{}, false
}

// File is where the platform looks for the workflow of a project, relative to the root of the repository.
func (p Platform) File(of Project) string { return p.file(of) }

// Names are the platforms for which a workflow can be written.
func Names() []string {
	var names []string
	for _, p := range platforms {
		if p.file != nil {
			names = append(names, p.Name)
		}
	}
	return names
}

// Detect returns the platform that this process runs on, or the zero value. Gitea and Forgejo set the
// variables of GitHub.
func Detect(env Env) Platform {
	for _, p := range platforms {
		for _, mark := range p.marks {
			if isSet(env(mark)) {
				return p
			}
		}
	}
	return Platform{}
}

// IsRunning tells whether this process runs in CI, also on a platform that is not in the table. No user
// can answer a question there, even where stdin is a terminal.
func IsRunning(env Env) bool { return isSet(env("CI")) || Detect(env).Name != "" }

func isSet(value string) bool { return value != "" && value != "false" && value != "0" }

// Actor names who runs this process, for records: "ada (CI)", or elsewhere "ada@laptop".
func Actor(env Env) string {
	if p := Detect(env); p.actor != "" && env(p.actor) != "" {
		return env(p.actor) + " (CI)"
	}
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}
