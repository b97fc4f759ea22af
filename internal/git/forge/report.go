package forge

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Verdict is what an agent says about a commit in an environment.
type Verdict struct {
	Commit, Environment string
	Healthy             bool
	// Text is one sentence about it.
	Text string
	// Branch is the one that is deployed.
	Branch string
	// Production: people use the environment.
	Production bool
}

// The forges cut longer texts, or refuse them.
const (
	maxStatusText     = 140
	maxDeploymentText = 140
)

// SetStatus makes a verdict the commit status "slipway/ENVIRONMENT".
func (f Forge) SetStatus(ctx context.Context, repository string, v Verdict) error {
	at, err := f.project(repository)
	if err != nil {
		return err
	}
	body := map[string]any{
		"state": "success", "context": "slipway/" + v.Environment, "description": cut(v.Text, maxStatusText),
	}
	if !v.Healthy {
		body["state"] = "failure"
	}
	if f.Kind == GitLab {
		body["name"], body["ref"] = body["context"], v.Branch
		delete(body, "context")
		if !v.Healthy {
			body["state"] = "failed"
		}
	}
	err = f.do(ctx, call{
		doing: "set a commit status", method: http.MethodPost, at: at + "/statuses/" + v.Commit, body: body,
	}, new(struct{}))
	refused := (*AnswerError)(nil)
	if errors.As(err, &refused) && f.Kind == GitLab && strings.HasPrefix(refused.Status, "400") &&
		strings.Contains(refused.Text, "Cannot transition status") {
		return nil // it has this state already
	}
	return err
}

// deployment is one as the forges describe it.
type deployment struct {
	ID  int    `json:"id"`
	SHA string `json:"sha"`
}

// SetDeployment makes a verdict the state of the deployment of its commit to its environment, which GitHub
// and GitLab show beside pull requests. One that exists gets the new state. It fails at Gitea.
func (f Forge) SetDeployment(ctx context.Context, repository string, v Verdict) error {
	at, err := f.project(repository)
	if err != nil {
		return err
	}
	at += "/deployments"
	switch f.Kind {
	case GitHub:
		return f.deployAtGitHub(ctx, at, v)
	case GitLab:
		return f.deployAtGitLab(ctx, at, v)
	}
	return errors.New("set a deployment: " + f.Kind + " has no deployments")
}

func (f Forge) deployAtGitHub(ctx context.Context, at string, v Verdict) error {
	var found []deployment
	err := f.do(ctx, call{
		doing: "list deployments", method: http.MethodGet, at: at,
		query: url.Values{"sha": {v.Commit}, "environment": {v.Environment}},
	}, &found)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		// Neither a merge of the default branch nor checks are asked for: it is deployed already.
		found = make([]deployment, 1)
		if err := f.do(ctx, call{
			doing: "create a deployment", method: http.MethodPost, at: at, body: map[string]any{
				"ref": v.Commit, "environment": v.Environment, "auto_merge": false, "required_contexts": []string{},
				"description": "deployed by the Slipway agent", "production_environment": v.Production,
			},
		}, &found[0]); err != nil {
			return err
		}
	}
	state := "success"
	if !v.Healthy {
		state = "failure"
	}
	return f.do(ctx, call{
		doing: "set the state of a deployment", method: http.MethodPost,
		at:   at + "/" + strconv.Itoa(found[0].ID) + "/statuses",
		body: map[string]any{"state": state, "description": cut(v.Text, maxDeploymentText)},
	}, new(struct{}))
}

func (f Forge) deployAtGitLab(ctx context.Context, at string, v Verdict) error {
	status := "success"
	if !v.Healthy {
		status = "failed"
	}
	var found []deployment
	err := f.do(ctx, call{
		doing: "list deployments", method: http.MethodGet, at: at, query: url.Values{
			"environment": {v.Environment}, "order_by": {"id"}, "sort": {"desc"}, "per_page": {strconv.Itoa(perPage)},
		},
	}, &found)
	if err != nil {
		return err
	}
	for _, d := range found {
		if d.SHA == v.Commit {
			return f.do(ctx, call{
				doing: "set the state of a deployment", method: http.MethodPut, at: at + "/" + strconv.Itoa(d.ID),
				body: map[string]any{"status": status},
			}, new(struct{}))
		}
	}
	return f.do(ctx, call{
		doing: "create a deployment", method: http.MethodPost, at: at, body: map[string]any{
			"environment": v.Environment, "sha": v.Commit, "ref": v.Branch, "tag": false, "status": status,
		},
	}, new(struct{}))
}

// cut is a text of at most so many characters.
func cut(text string, most int) string {
	letters := []rune(text)
	if len(letters) <= most {
		return text
	}
	return string(letters[:most-1]) + "…"
}
