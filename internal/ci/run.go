package ci

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"time"
)

// Run is what a platform says about the run that this process is part of.
type Run struct {
	// Event is what started the run, in GitHub's words. It is empty outside CI.
	Event, Ref, SHA string
	Payload         Payload
	Repository      Repository
	// CommitDate is zero where the platform does not say it.
	CommitDate time.Time
	// DefaultBranchEvents: events such as schedule run on the default branch only, as on GitHub. Elsewhere a
	// schedule may run on any branch.
	DefaultBranchEvents bool
}

// Payload holds the fields that are read from GitHub's event file.
type Payload struct {
	Number      int    `json:"number"`
	BaseRef     string `json:"base_ref"`
	PullRequest struct {
		Base struct {
			Ref string `json:"ref"`
		} `json:"base"`
		Head struct {
			SHA string `json:"sha"`
		} `json:"head"`
	} `json:"pull_request"`
	Commits    []Commit   `json:"commits"`
	HeadCommit Commit     `json:"head_commit"`
	Repository Repository `json:"repository"`
}

// Commit is a commit of a push event.
type Commit struct {
	ID        string    `json:"id"`
	Timestamp time.Time `json:"timestamp"`
}

// Repository is the repository that the run checks out.
type Repository struct {
	Name          string `json:"name"`
	Description   string `json:"description"`
	URL           string `json:"html_url"`
	DefaultBranch string `json:"default_branch"`
	License       struct {
		SPDX string `json:"spdx_id"`
	} `json:"license"`
}

// Read returns what the detected platform says about the run. ok is false outside CI. event is the text of
// the file that GITHUB_EVENT_PATH names; Read fails where it is not JSON.
func Read(env Env, event []byte) (r Run, ok bool, err error) {
	p := Detect(env)
	if p.read == nil {
		return r, false, nil
	}
	err = p.read(&r, env, event)
	return r, true, err
}

func readGitHub(r *Run, env Env, event []byte) error {
	if len(event) > 0 {
		if err := json.Unmarshal(event, &r.Payload); err != nil {
			return fmt.Errorf("read the event: %w", err)
		}
	}
	r.DefaultBranchEvents = true
	r.Event, r.Ref, r.SHA = env("GITHUB_EVENT_NAME"), env("GITHUB_REF"), env("GITHUB_SHA")
	r.Repository = r.Payload.Repository
	if strings.Contains(r.Event, "pull_request_target") {
		r.Ref = fmt.Sprintf("refs/pull/%d/merge", r.Payload.Number)
	}
	if r.Repository.Name == "" && env("GITHUB_REPOSITORY") != "" {
		r.Repository.Name = path.Base(env("GITHUB_REPOSITORY"))
		r.Repository.URL = env("GITHUB_SERVER_URL") + "/" + env("GITHUB_REPOSITORY")
	}
	return nil
}

// pull is the pull request of a run; the zero value is none.
type pull struct{ number, target, head string }

// setRef sets the event and the ref: of the pull request, else of the Git tag, else of the branch.
func (r *Run) setRef(p pull, tag, branch string) {
	r.Event = "push"
	switch {
	case p.number != "":
		r.Event, r.Ref = "pull_request", "refs/pull/"+p.number+"/merge"
		r.Payload.PullRequest.Base.Ref, r.Payload.PullRequest.Head.SHA = p.target, p.head
	case tag != "":
		r.Ref = "refs/tags/" + tag
	case branch != "":
		r.Ref = "refs/heads/" + branch
	}
	r.Payload.Repository = r.Repository
}

func readGitLab(r *Run, env Env, _ []byte) error {
	r.SHA = env("CI_COMMIT_SHA")
	r.CommitDate, _ = time.Parse(time.RFC3339, env("CI_COMMIT_TIMESTAMP"))
	r.Repository = Repository{
		Name: env("CI_PROJECT_NAME"), Description: env("CI_PROJECT_DESCRIPTION"),
		URL: env("CI_PROJECT_URL"), DefaultBranch: env("CI_DEFAULT_BRANCH"),
	}
	p := pull{
		number: env("CI_MERGE_REQUEST_IID"),
		target: env("CI_MERGE_REQUEST_TARGET_BRANCH_NAME"),
		head:   env("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA"),
	}
	r.setRef(p, env("CI_COMMIT_TAG"), env("CI_COMMIT_BRANCH"))
	if env("CI_PIPELINE_SOURCE") == "schedule" {
		r.Event = "schedule"
	}
	return nil
}

func readBitbucket(r *Run, env Env, _ []byte) error {
	r.SHA = env("BITBUCKET_COMMIT")
	r.Repository = Repository{Name: env("BITBUCKET_REPO_SLUG"), URL: env("BITBUCKET_GIT_HTTP_ORIGIN")}
	// A pull request's pipeline runs on its own commit, not on a merge.
	p := pull{number: env("BITBUCKET_PR_ID"), target: env("BITBUCKET_PR_DESTINATION_BRANCH"), head: r.SHA}
	r.setRef(p, env("BITBUCKET_TAG"), env("BITBUCKET_BRANCH"))
	return nil
}

func readAzure(r *Run, env Env, _ []byte) error {
	r.SHA = env("BUILD_SOURCEVERSION")
	r.Repository = Repository{
		Name: path.Base(env("BUILD_REPOSITORY_NAME")),
		URL:  withoutUser(env("BUILD_REPOSITORY_URI")),
	}
	r.setRef(pull{}, "", "")
	r.Ref = env("BUILD_SOURCEBRANCH")
	switch env("BUILD_REASON") {
	case "PullRequest":
		r.Event = "pull_request"
		target := strings.TrimPrefix(env("SYSTEM_PULLREQUEST_TARGETBRANCH"), "refs/heads/")
		r.Payload.PullRequest.Base.Ref = target
		r.Payload.PullRequest.Head.SHA = env("SYSTEM_PULLREQUEST_SOURCECOMMITID")
	case "Schedule":
		r.Event = "schedule"
	}
	return nil
}

func readCircleCI(r *Run, env Env, _ []byte) error {
	r.SHA = env("CIRCLE_SHA1")
	r.Repository = Repository{Name: env("CIRCLE_PROJECT_REPONAME"), URL: WebURL(env("CIRCLE_REPOSITORY_URL"))}
	// The pull request of a fork has no branch: CIRCLE_BRANCH is "pull/12", at the pull request's own commit.
	p, branch := pull{head: r.SHA}, env("CIRCLE_BRANCH")
	if n, ok := strings.CutPrefix(branch, "pull/"); ok {
		branch, p.number = "", strings.TrimSuffix(n, "/head")
	}
	r.setRef(p, env("CIRCLE_TAG"), branch)
	return nil
}

// withoutUser removes the user from an address.
func withoutUser(address string) string {
	if scheme, rest, ok := strings.Cut(address, "://"); ok {
		host, tail, _ := strings.Cut(rest, "/")
		return scheme + "://" + host[strings.LastIndex(host, "@")+1:] + "/" + tail
	}
	return address
}

// WebURL is the web page of a repository, from the address that it is cloned from.
func WebURL(remote string) string {
	remote = strings.TrimSuffix(remote, ".git")
	if _, rest, ok := strings.Cut(remote, "@"); ok && !strings.Contains(remote, "://") {
		host, tail, _ := strings.Cut(rest, ":")
		return "https://" + host + "/" + tail
	}
	if rest, ok := strings.CutPrefix(remote, "ssh://"); ok {
		remote = "https://" + rest
	}
	return withoutUser(remote)
}
