package forgetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Check is a commit status; with Run it is a check run of GitHub.
type Check struct {
	Commit, Name, State, Description string
	Run                              bool
}

// Deployment is one of a commit to an environment. States are those that it had.
type Deployment struct {
	ID                  int
	Commit, Environment string
	States              []string
}

// Comment is one on a pull request.
type Comment struct {
	ID, Pull int
	Body     string
	// Edits counts how often it was edited.
	Edits int
}

// more is what a repository has beside pull requests. All repositories share it.
type more struct {
	checks      []Check
	deployments []*Deployment
	comments    []*Comment
}

// AddCheck reports a check, as CI does.
func (s *Server) AddCheck(c Check) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setCheck(c)
}

func (s *Server) setCheck(c Check) {
	s.more.checks = slices.DeleteFunc(s.more.checks, func(old Check) bool {
		return old.Commit == c.Commit && old.Name == c.Name && old.Run == c.Run
	})
	s.more.checks = append(s.more.checks, c)
}

// Checks, Deployments and Comments are what there is now.
func (s *Server) Checks() []Check {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.more.checks)
}

// Deployments are described at Checks.
func (s *Server) Deployments() (all []Deployment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.more.deployments {
		all = append(all, *d)
	}
	return all
}

// Comments are described at Checks.
func (s *Server) Comments() (all []Comment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.more.comments {
		all = append(all, *c)
	}
	return all
}

// AddComment adds a comment, as a person does.
func (s *Server) AddComment(pull int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.more.comments = append(s.more.comments, &Comment{ID: 500 + len(s.more.comments), Pull: pull, Body: body})
}

var hash = regexp.MustCompile(`^[0-9a-f]{40}$`)

// serveMore answers requests that are not about pull requests themselves, others with a zero answer.
func (s *Server) serveMore(repository string, parts []string, r *http.Request) answer {
	path := r.Method + " " + strings.Join(parts, "/")
	for _, route := range s.routes() {
		m := regexp.MustCompile("^" + route.path + "$").FindStringSubmatch(path)
		if m == nil {
			continue
		}
		for name := range r.URL.Query() {
			if !slices.Contains(route.query, name) {
				return wrong("unknown parameter %s", name)
			}
		}
		return route.serve(m[1:], r)
	}
	return answer{}
}

type route struct {
	path  string
	query []string
	serve func(parts []string, r *http.Request) answer
}

// routes are those of the kind: docs.github.com/rest, docs.gitlab.com/api, and Gitea's /swagger.v1.json.
func (s *Server) routes() []route {
	switch s.Kind {
	case "gitlab":
		return []route{
			{"GET repository/commits/([^/]+)/statuses", []string{"per_page", "page"}, s.listStatuses},
			{"POST statuses/([^/]+)", nil, s.postStatus},
			{"GET deployments", []string{"environment", "order_by", "sort", "per_page"}, s.listDeployments},
			{"POST deployments", nil, s.postDeployment},
			{"PUT deployments/(\\d+)", nil, s.putDeployment},
			{"GET merge_requests/(\\d+)/notes", []string{"per_page", "page"}, s.listComments},
			{"POST merge_requests/(\\d+)/notes", nil, s.postComment},
			{"PUT merge_requests/\\d+/notes/(\\d+)", nil, s.editComment},
		}
	case "gitea":
		return []route{
			{"GET commits/([^/]+)/status", []string{"limit", "page"}, s.listStatuses},
			{"POST statuses/([^/]+)", nil, s.postStatus},
			{"GET issues/(\\d+)/comments", nil, s.listComments},
			{"POST issues/(\\d+)/comments", nil, s.postComment},
			{"PATCH issues/comments/(\\d+)", nil, s.editComment},
		}
	}
	return []route{
		{"GET commits/([^/]+)/status", []string{"per_page", "page"}, s.listStatuses},
		{"GET commits/([^/]+)/check-runs", []string{"per_page", "page", "filter"}, s.listRuns},
		{"POST statuses/([^/]+)", nil, s.postStatus},
		{"GET deployments", []string{"sha", "environment"}, s.listDeployments},
		{"POST deployments", nil, s.postDeployment},
		{"POST deployments/(\\d+)/statuses", nil, s.putDeployment},
		{"GET issues/(\\d+)/comments", []string{"per_page", "page"}, s.listComments},
		{"POST issues/(\\d+)/comments", nil, s.postComment},
		{"PATCH issues/comments/(\\d+)", nil, s.editComment},
	}
}

// body reads the fields of a request, of which some are required.
func body(r *http.Request, required []string, optional ...string) (map[string]any, answer) {
	var f map[string]any
	if err := json.NewDecoder(r.Body).Decode(&f); err != nil {
		return nil, wrong("%v", err)
	}
	for _, name := range required {
		if _, ok := f[name]; !ok {
			return nil, wrong("field %s is missing", name)
		}
	}
	for name := range f {
		if !slices.Contains(required, name) && !slices.Contains(optional, name) {
			return nil, wrong("unknown field %s", name)
		}
	}
	return f, answer{}
}

// page is the part of a list that a request asks for.
func page[T any](all []T, r *http.Request) []T {
	size, _ := strconv.Atoi(r.URL.Query().Get("per_page") + r.URL.Query().Get("limit"))
	number, _ := strconv.Atoi(r.URL.Query().Get("page"))
	if size == 0 {
		return all
	}
	first := min(max(number-1, 0)*size, len(all))
	return all[first:min(first+size, len(all))]
}

const checkedAt = "2026-01-02T09:12:44Z"

func (s *Server) listStatuses(parts []string, r *http.Request) answer {
	if !hash.MatchString(parts[0]) {
		return wrong("%q is not a commit", parts[0])
	}
	list := []map[string]any{}
	for _, c := range s.more.checks {
		if c.Commit != parts[0] || c.Run {
			continue
		}
		is := map[string]any{"id": 1, "description": c.Description, "created_at": checkedAt}
		switch s.Kind {
		case "gitlab":
			is["name"], is["status"], is["started_at"], is["finished_at"] = c.Name, c.State, nil, checkedAt
		case "gitea":
			is["context"], is["status"], is["updated_at"] = c.Name, c.State, checkedAt
		default:
			is["context"], is["state"], is["updated_at"] = c.Name, c.State, checkedAt
		}
		list = append(list, is)
	}
	list = page(list, r)
	if s.Kind == "gitlab" {
		return answer{http.StatusOK, list}
	}
	return answer{http.StatusOK, map[string]any{"state": "pending", "sha": parts[0], "statuses": list}}
}

func (s *Server) listRuns(parts []string, r *http.Request) answer {
	if f := r.URL.Query().Get("filter"); f != "latest" && f != "all" {
		return wrong("filter %q", f)
	}
	list := []map[string]any{}
	for _, c := range s.more.checks {
		if c.Commit != parts[0] || !c.Run {
			continue
		}
		is := map[string]any{"id": 1, "name": c.Name, "status": "completed", "conclusion": c.State,
			"started_at": checkedAt, "completed_at": checkedAt}
		if c.State == "queued" || c.State == "in_progress" {
			is["status"], is["conclusion"], is["completed_at"] = c.State, nil, nil
		}
		list = append(list, is)
	}
	return answer{http.StatusOK, map[string]any{"total_count": len(list), "check_runs": page(list, r)}}
}

// cannotTransition is how GitLab refuses a status that a commit has already.
const cannotTransition = "Cannot transition status"

func (s *Server) postStatus(parts []string, r *http.Request) answer {
	name, states := "context", []string{"error", "failure", "pending", "success"}
	optional := []string{"target_url", "description"}
	if s.Kind == "gitlab" {
		name, states = "name", []string{"pending", "running", "success", "failed", "canceled", "skipped"}
		optional = append(optional, "ref", "coverage", "pipeline_id")
	}
	f, a := body(r, []string{"state", name}, optional...)
	if a.status != 0 {
		return a
	}
	c := Check{Commit: parts[0], Name: fmt.Sprint(f[name]), State: fmt.Sprint(f["state"])}
	c.Description, _ = f["description"].(string)
	switch {
	case !hash.MatchString(c.Commit):
		return wrong("%q is not a commit", c.Commit)
	case !slices.Contains(states, c.State):
		return wrong("state %q", c.State)
	case len([]rune(c.Description)) > 140:
		return answer{http.StatusUnprocessableEntity, map[string]string{"message": "description is too long"}}
	}
	same := func(old Check) bool { return old == c }
	if s.Kind == "gitlab" && slices.ContainsFunc(s.more.checks, same) {
		return answer{http.StatusBadRequest, map[string]string{
			"message": cannotTransition + " via :enqueue from :" + c.State}}
	}
	s.setCheck(c)
	return answer{http.StatusCreated, map[string]any{"id": 1, "state": c.State}}
}

func (s *Server) listDeployments(_ []string, r *http.Request) answer {
	query, list := r.URL.Query(), []map[string]any{}
	for _, d := range slices.Backward(s.more.deployments) {
		if d.Environment == query.Get("environment") && (query.Get("sha") == "" || query.Get("sha") == d.Commit) {
			list = append(list, map[string]any{"id": d.ID, "sha": d.Commit})
		}
	}
	return answer{http.StatusOK, page(list, r)}
}

func (s *Server) postDeployment(_ []string, r *http.Request) answer {
	required, optional, commit := []string{"ref"}, []string{
		"task", "auto_merge", "required_contexts", "payload", "environment", "description", "transient_environment",
		"production_environment"}, "ref"
	if s.Kind == "gitlab" {
		required, optional, commit = []string{"environment", "sha", "ref", "tag", "status"}, nil, "sha"
	}
	f, a := body(r, required, optional...)
	if a.status != 0 {
		return a
	}
	d := &Deployment{
		ID: 700 + len(s.more.deployments), Commit: fmt.Sprint(f[commit]), Environment: fmt.Sprint(f["environment"]),
	}
	if !hash.MatchString(d.Commit) {
		return wrong("%q is not a commit", d.Commit)
	}
	if s.Kind == "gitlab" {
		if a := d.set(fmt.Sprint(f["status"]), "running", "success", "failed", "canceled"); a.status != 0 {
			return a
		}
	} else if checks, ok := f["required_contexts"].([]any); !ok || len(checks) > 0 {
		return answer{http.StatusConflict, map[string]string{
			"message": "Conflict: Commit status checks failed for " + d.Commit}}
	}
	s.more.deployments = append(s.more.deployments, d)
	return answer{http.StatusCreated, map[string]any{"id": d.ID, "sha": d.Commit}}
}

func (d *Deployment) set(state string, known ...string) answer {
	if !slices.Contains(known, state) {
		return wrong("state %q", state)
	}
	d.States = append(d.States, state)
	return answer{}
}

func (s *Server) putDeployment(parts []string, r *http.Request) answer {
	key, known, optional := "state", []string{
		"error", "failure", "inactive", "in_progress", "queued", "pending", "success",
	}, []string{"log_url", "description", "environment", "environment_url", "auto_inactive"}
	if s.Kind == "gitlab" {
		key, known, optional = "status", []string{"running", "success", "failed", "canceled"}, nil
	}
	f, a := body(r, []string{key}, optional...)
	if a.status != 0 {
		return a
	}
	for _, d := range s.more.deployments {
		if strconv.Itoa(d.ID) == parts[0] {
			if a := d.set(fmt.Sprint(f[key]), known...); a.status != 0 {
				return a
			}
			return answer{http.StatusCreated, map[string]any{"id": 1}}
		}
	}
	return answer{http.StatusNotFound, map[string]string{"message": "404 Not Found"}}
}

func (s *Server) listComments(parts []string, r *http.Request) answer {
	list := []map[string]any{}
	for _, c := range s.more.comments {
		if strconv.Itoa(c.Pull) == parts[0] {
			list = append(list, map[string]any{"id": c.ID, "body": c.Body, "created_at": checkedAt})
		}
	}
	return answer{http.StatusOK, page(list, r)}
}

func (s *Server) postComment(parts []string, r *http.Request) answer {
	f, a := body(r, []string{"body"})
	if a.status != 0 {
		return a
	}
	pull, _ := strconv.Atoi(parts[0])
	c := &Comment{ID: 500 + len(s.more.comments), Pull: pull, Body: fmt.Sprint(f["body"])}
	if len([]rune(c.Body)) > 65536 {
		return answer{http.StatusUnprocessableEntity, map[string]string{"message": "Body is too long"}}
	}
	s.more.comments = append(s.more.comments, c)
	return answer{http.StatusCreated, map[string]any{"id": c.ID, "body": c.Body, "created_at": time.Now()}}
}

func (s *Server) editComment(parts []string, r *http.Request) answer {
	f, a := body(r, []string{"body"})
	if a.status != 0 {
		return a
	}
	for _, c := range s.more.comments {
		if strconv.Itoa(c.ID) == parts[0] {
			c.Body, c.Edits = fmt.Sprint(f["body"]), c.Edits+1
			return answer{http.StatusOK, map[string]any{"id": c.ID, "body": c.Body}}
		}
	}
	return answer{http.StatusNotFound, map[string]string{"message": "404 Not Found"}}
}
