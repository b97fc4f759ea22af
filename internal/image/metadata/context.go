package metadata

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"time"
)

// Context is what is built, and when.
type Context struct {
	// Event is what started the run, in GitHub's words; empty where nothing did.
	Event, Ref, SHA string
	Payload         Payload
	Repository      Repository
	// CommitDate is zero where the CI system does not say it.
	CommitDate, Now time.Time
	// Short is how long a short commit is, as it is written; empty: 7. Levels are where annotations go.
	Short  string
	Levels []string
	// github: some events run on the default branch alone. Elsewhere a schedule may be of any branch.
	github bool
}

// Payload is what we read of the event's file.
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
	Commits    []commit   `json:"commits"`
	HeadCommit commit     `json:"head_commit"`
	Repository Repository `json:"repository"`
}

type commit struct {
	ID        string    `json:"id"`
	Timestamp time.Time `json:"timestamp"`
}

// Repository is what labels say of where the sources are.
type Repository struct {
	Name          string `json:"name"`
	Description   string `json:"description"`
	URL           string `json:"html_url"`
	DefaultBranch string `json:"default_branch"`
	License       struct {
		SPDX string `json:"spdx_id"`
	} `json:"license"`
}

// FromEnvironment reads what a CI system says: GitHub, Gitea and Forgejo (which set GITHUB_* too), GitLab,
// Bitbucket, Azure and CircleCI. Where none of them runs, ok is false, and only the settings are read.
func FromEnvironment(env func(string) string, event []byte) (c Context, ok bool, err error) {
	c.Short = env("DOCKER_METADATA_SHORT_SHA_LENGTH")
	c.Levels = []string{"manifest"}
	if levels := env("DOCKER_METADATA_ANNOTATIONS_LEVELS"); levels != "" {
		c.Levels = strings.Split(levels, ",")
	}
	ok = true
	switch {
	case env("GITHUB_ACTIONS") != "" || env("GITHUB_REF") != "" || env("GITHUB_EVENT_NAME") != "":
		c.github, err = true, c.actions(env, event)
	case env("GITLAB_CI") != "":
		c.gitlab(env)
	case env("BITBUCKET_COMMIT") != "":
		c.bitbucket(env)
	case env("TF_BUILD") != "":
		c.azure(env)
	case env("CIRCLECI") != "":
		c.circle(env)
	default:
		ok = false
	}
	pull := strings.Contains(c.Event, "pull_request")
	if head := c.Payload.PullRequest.Head.SHA; pull && head != "" &&
		strings.Contains(strings.ToLower(env("DOCKER_METADATA_PR_HEAD_SHA")), "true") {
		c.SHA = head
	}
	for _, each := range append(c.Payload.Commits, c.Payload.HeadCommit) {
		if each.ID == c.SHA && c.CommitDate.IsZero() {
			c.CommitDate = each.Timestamp
		}
	}
	return c, ok, err
}

func (c *Context) actions(env func(string) string, event []byte) error {
	if len(event) > 0 {
		if err := json.Unmarshal(event, &c.Payload); err != nil {
			return fmt.Errorf("read the event: %w", err)
		}
	}
	c.Event, c.Ref, c.SHA, c.Repository = env("GITHUB_EVENT_NAME"), env("GITHUB_REF"), env("GITHUB_SHA"),
		c.Payload.Repository
	if strings.Contains(c.Event, "pull_request_target") {
		c.Ref = fmt.Sprintf("refs/pull/%d/merge", c.Payload.Number)
	}
	if c.Repository.Name == "" && env("GITHUB_REPOSITORY") != "" {
		c.Repository.Name = path.Base(env("GITHUB_REPOSITORY"))
		c.Repository.URL = env("GITHUB_SERVER_URL") + "/" + env("GITHUB_REPOSITORY")
	}
	return nil
}

// at names what is built: a pull request before a Git tag before a branch.
func (c *Context) at(pull, target, head, tag, branch string) {
	c.Event = "push"
	switch {
	case pull != "":
		c.Event, c.Ref = "pull_request", "refs/pull/"+pull+"/merge"
		c.Payload.PullRequest.Base.Ref, c.Payload.PullRequest.Head.SHA = target, head
	case tag != "":
		c.Ref = "refs/tags/" + tag
	case branch != "":
		c.Ref = "refs/heads/" + branch
	}
	c.Payload.Repository = c.Repository
}

func (c *Context) gitlab(env func(string) string) {
	c.SHA = env("CI_COMMIT_SHA")
	c.CommitDate, _ = time.Parse(time.RFC3339, env("CI_COMMIT_TIMESTAMP"))
	c.Repository = Repository{Name: env("CI_PROJECT_NAME"), Description: env("CI_PROJECT_DESCRIPTION"),
		URL: env("CI_PROJECT_URL"), DefaultBranch: env("CI_DEFAULT_BRANCH")}
	c.at(env("CI_MERGE_REQUEST_IID"), env("CI_MERGE_REQUEST_TARGET_BRANCH_NAME"),
		env("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA"),
		env("CI_COMMIT_TAG"), env("CI_COMMIT_BRANCH"))
	if env("CI_PIPELINE_SOURCE") == "schedule" {
		c.Event = "schedule"
	}
}

func (c *Context) bitbucket(env func(string) string) {
	c.SHA = env("BITBUCKET_COMMIT")
	c.Repository = Repository{Name: env("BITBUCKET_REPO_SLUG"), URL: env("BITBUCKET_GIT_HTTP_ORIGIN")}
	// The commit of a pull request's pipeline is its own, not a merge.
	c.at(env("BITBUCKET_PR_ID"), env("BITBUCKET_PR_DESTINATION_BRANCH"), c.SHA, env("BITBUCKET_TAG"),
		env("BITBUCKET_BRANCH"))
}

func (c *Context) azure(env func(string) string) {
	c.SHA = env("BUILD_SOURCEVERSION")
	c.Repository = Repository{Name: path.Base(env("BUILD_REPOSITORY_NAME")),
		URL: withoutUser(env("BUILD_REPOSITORY_URI"))}
	c.at("", "", "", "", "")
	c.Ref = env("BUILD_SOURCEBRANCH")
	switch env("BUILD_REASON") {
	case "PullRequest":
		c.Event = "pull_request"
		c.Payload.PullRequest.Base.Ref = strings.TrimPrefix(env("SYSTEM_PULLREQUEST_TARGETBRANCH"), "refs/heads/")
		c.Payload.PullRequest.Head.SHA = env("SYSTEM_PULLREQUEST_SOURCECOMMITID")
	case "Schedule":
		c.Event = "schedule"
	}
}

func (c *Context) circle(env func(string) string) {
	c.SHA = env("CIRCLE_SHA1")
	c.Repository = Repository{Name: env("CIRCLE_PROJECT_REPONAME"), URL: WebURL(env("CIRCLE_REPOSITORY_URL"))}
	// A fork's pull request has no branch here: "pull/12", at its own commit.
	branch, pull := env("CIRCLE_BRANCH"), ""
	if n, ok := strings.CutPrefix(branch, "pull/"); ok {
		branch, pull = "", strings.TrimSuffix(n, "/head")
	}
	c.at(pull, "", c.SHA, env("CIRCLE_TAG"), branch)
}

// withoutUser leaves out who an address logs in as.
func withoutUser(address string) string {
	if scheme, rest, ok := strings.Cut(address, "://"); ok {
		host, tail, _ := strings.Cut(rest, "/")
		return scheme + "://" + host[strings.LastIndex(host, "@")+1:] + "/" + tail
	}
	return address
}

// WebURL is the page of a repository that is cloned from an address.
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
